//! The shop as it is in production, each role a process of its own, or all of them in one process, with a lossy proxy on every
//! way between two.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::proxy::{Late, LossyProxy, Seen, Weather};
use crate::{Client, Data, Process, Stopped, program};

/// A role that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The simulated provider, which is outside of the shop.
    Provider,
    /// Stock.
    Inventory,
    /// Users.
    User,
    /// Payments.
    Payment,
    /// Orders.
    Order,
    /// Messages to users.
    Notification,
    /// The public edge.
    Gateway,
}

/// A way between two roles: its name, who is called, and the caller's setting for it.
const LINKS: [(&str, Role, &str); 6] = [
    ("gateway-order", Role::Order, "gateway.order_service"),
    ("gateway-user", Role::User, "gateway.user_service"),
    ("gateway-inventory", Role::Inventory, "gateway.inventory_service"),
    ("order-inventory", Role::Inventory, "order.inventory_target"),
    ("order-payment", Role::Payment, "order.payment_target"),
    ("payment-provider", Role::Provider, "payment.provider.url"),
];

impl Role {
    /// Every role, those that are called before those that call.
    pub const ALL: [Role; 7] = [
        Role::Provider,
        Role::Inventory,
        Role::User,
        Role::Payment,
        Role::Order,
        Role::Notification,
        Role::Gateway,
    ];

    /// Its name, as `waypost run` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Provider => "provider",
            Role::Inventory => "inventory",
            Role::User => "user",
            Role::Payment => "payment",
            Role::Order => "order",
            Role::Notification => "notification",
            Role::Gateway => "gateway",
        }
    }

    fn listens(self) -> bool {
        self != Role::Notification
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Running roles and the proxies between them. Dropped, they are killed.
#[derive(Debug)]
pub struct Roles {
    binary: PathBuf,
    folder: TempDir,
    data: Data,
    settings: Vec<String>,
    /// The roles that a process has, by the one that is started for all of them.
    groups: BTreeMap<Role, Vec<Role>>,
    weather: Weather,
    links: Vec<(Role, LossyProxy)>,
    /// In front of the gateway, whose address changes with each start; it loses nothing.
    front: LossyProxy,
    running: BTreeMap<Role, Running>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    admin: SocketAddr,
}

impl Roles {
    /// The proxies and an empty data folder, with its schema; no role runs yet. `settings` are those of all roles.
    ///
    /// # Errors
    /// When a port or a folder cannot be had, or the schema cannot be made.
    pub async fn prepare(binary: impl Into<PathBuf>, settings: &[(&str, &str)]) -> anyhow::Result<Roles> {
        Roles::prepare_on(binary, None, Roles::apart(), settings).await
    }

    /// As [`Roles::prepare`], with all roles in one process, and so in one file. What is said of one of them holds for all.
    ///
    /// # Errors
    /// As [`Roles::prepare`].
    pub async fn prepare_together(
        binary: impl Into<PathBuf>,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Roles> {
        let groups = BTreeMap::from([(Role::Gateway, Role::ALL.to_vec())]);
        Roles::prepare_on(binary, None, groups, settings).await
    }

    /// As [`Roles::prepare`], with the data of all roles in this database of a PostgreSQL server, by its URL.
    ///
    /// # Errors
    /// As [`Roles::prepare`].
    pub async fn prepare_on_postgres(
        binary: impl Into<PathBuf>,
        url: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Roles> {
        Roles::prepare_on(binary, Some(url), Roles::apart(), settings).await
    }

    fn apart() -> BTreeMap<Role, Vec<Role>> {
        Role::ALL.into_iter().map(|role| (role, vec![role])).collect()
    }

    async fn prepare_on(
        binary: impl Into<PathBuf>,
        server: Option<&str>,
        groups: BTreeMap<Role, Vec<Role>>,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Roles> {
        let (binary, folder, weather) = (binary.into(), tempfile::tempdir()?, Weather::default());
        let mut links = Vec::new();
        // Where processes with some of the roles find what `migrate` makes, so that they need not move it.
        let files = if groups.len() > 1 { "per-role" } else { "shared" };
        let mut set = vec![format!("storage.files={files}")];
        set.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
        for (link, callee, key) in LINKS {
            let proxy = LossyProxy::start(link, &weather).await?;
            set.push(format!("{key}=http://{}", proxy.address()));
            links.push((callee, proxy));
        }
        let data_folder = folder.path().join("data");
        set.push(format!("data.folder={}", data_folder.display()));
        let data = match server {
            Some(url) => {
                set.extend(["database.kind=postgres".to_owned(), format!("database.url={url}")]);
                Data::Server { url: url.to_owned(), folder: data_folder }
            }
            None => Data::Folder(data_folder),
        };
        let front = LossyProxy::start("client-gateway", &Weather::default()).await?;
        let running = BTreeMap::new();
        let roles = Roles { binary, folder, data, settings: set, groups, weather, links, front, running };
        let migrated = roles.spawn(&["migrate"])?.ended().await?;
        anyhow::ensure!(migrated.status.success(), "{}", migrated.output);
        Ok(roles)
    }

    /// Starts every role that does not run.
    ///
    /// # Errors
    /// When one of them ends or says nothing.
    pub async fn start_all(&mut self) -> anyhow::Result<()> {
        for role in Role::ALL {
            if !self.running.contains_key(&self.process_of(role)?) {
                self.start(role).await?;
            }
        }
        Ok(())
    }

    /// Starts the process of a role and lets the proxies lead to it.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn start(&mut self, role: Role) -> anyhow::Result<()> {
        let first = self.process_of(role)?;
        let group = self.groups.get(&first).cloned().unwrap_or_default();
        let words: Vec<&str> = std::iter::once("run").chain(group.iter().map(|role| role.name())).collect();
        let mut process = self.spawn(&words).with_context(|| format!("starting {words:?}"))?;
        for role in group.into_iter().filter(|role| role.listens()) {
            let found = program::address_of(&mut process, role.name()).await?;
            if role == Role::Gateway {
                self.front.set_target(found);
            }
            for (callee, proxy) in &self.links {
                if *callee == role {
                    proxy.set_target(found);
                }
            }
        }
        let admin = program::address_of(&mut process, "admin").await?;
        program::is_ready(&mut process).await?;
        self.running.insert(first, Running { process, admin });
        Ok(())
    }

    /// The role whose name the process of a role goes by.
    fn process_of(&self, role: Role) -> anyhow::Result<Role> {
        let of = self.groups.iter().find(|(_, group)| group.contains(&role));
        of.map(|(first, _)| *first).with_context(|| format!("no process has {role}"))
    }

    fn running(&self, role: Role) -> anyhow::Result<&Running> {
        self.running.get(&self.process_of(role)?).with_context(|| format!("{role} does not run"))
    }

    /// Ends a role at once.
    ///
    /// # Errors
    /// When it does not run, or waiting for its end fails.
    pub async fn kill(&mut self, role: Role) -> anyhow::Result<Stopped> {
        self.take(role)?.process.kill().await
    }

    /// Ends every role at once, as a power cut does.
    ///
    /// # Errors
    /// When waiting for an end fails.
    pub async fn kill_all(&mut self) -> anyhow::Result<()> {
        for role in Role::ALL.into_iter().rev() {
            if self.running(role).is_ok() {
                self.kill(role).await?;
            }
        }
        Ok(())
    }

    /// Runs another command of the program with the settings of the roles, such as `export DIR`, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn command(&self, words: &[&str]) -> anyhow::Result<Stopped> {
        self.spawn(words)?.ended().await
    }

    /// Lets the data of all roles be in this database of a PostgreSQL server from their next start on. The broker's file stays
    /// where it is.
    ///
    /// # Errors
    /// When it is on a server already.
    pub fn keep_on_postgres(&mut self, url: &str) -> anyhow::Result<()> {
        let Data::Folder(folder) = &self.data else { anyhow::bail!("the data is on a server already") };
        self.data = Data::Server { url: url.to_owned(), folder: folder.clone() };
        self.settings.extend(["database.kind=postgres".to_owned(), format!("database.url={url}")]);
        Ok(())
    }

    /// Sends a role a signal by name, such as `STOP`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, role: Role, signal: &str) -> anyhow::Result<()> {
        self.running(role)?.process.signal(signal)
    }

    /// Where their data is.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Whether the proxies lose calls.
    pub fn weather(&self) -> &Weather {
        &self.weather
    }

    /// What the proxies did to the calls of an order.
    pub fn seen(&self, seed: u64, order: u32) -> Vec<Seen> {
        let mut seen: Vec<Seen> = self.links.iter().flat_map(|(_, proxy)| proxy.seen(seed, order)).collect();
        seen.sort_by_key(|seen| seen.at);
        seen
    }

    /// The calls that were held back and have been answered since.
    pub fn late(&self) -> Vec<Late> {
        self.links.iter().flat_map(|(_, proxy)| proxy.late()).collect()
    }

    /// How many calls met each kind of fault.
    pub fn faults(&self) -> BTreeMap<String, usize> {
        let mut faults = BTreeMap::new();
        for (name, count) in self.links.iter().flat_map(|(_, proxy)| proxy.faults()) {
            *faults.entry(name).or_default() += count;
        }
        faults
    }

    /// True when no proxy holds back anything.
    pub fn is_idle(&self) -> bool {
        self.links.iter().all(|(_, proxy)| proxy.is_idle())
    }

    /// A client of the gateway, whichever process that is at the moment.
    pub fn gateway(&self) -> Client {
        Client::new(self.front.address())
    }

    /// A client of the admin listener of a role, as long as that runs.
    ///
    /// # Errors
    /// When it does not run.
    pub fn admin(&self, role: Role) -> anyhow::Result<Client> {
        Ok(Client::new(self.running(role)?.admin))
    }

    /// What a role has said since it was last started.
    pub fn output(&self, role: Role) -> String {
        self.running(role).map(|running| running.process.output()).unwrap_or_default()
    }

    fn take(&mut self, role: Role) -> anyhow::Result<Running> {
        let first = self.process_of(role)?;
        self.running.remove(&first).with_context(|| format!("{role} does not run"))
    }

    fn spawn(&self, words: &[&str]) -> anyhow::Result<Process> {
        let mut command = program::command(&self.binary, self.folder.path());
        command.args(words);
        if words.first() == Some(&"run") {
            program::on_free_ports(&mut command);
        }
        command.args(self.settings.iter().flat_map(|setting| ["--set", setting]));
        Process::start(command.envs([
            ("WAYPOST_TELEMETRY__LOGS__FORMAT", "json"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("WAYPOST_DRAIN__NOTICE", "0s"),
        ]))
    }
}
