//! The shop many replicas wide: several processes a role, on servers that they share, behind a balancer as a data centre has
//! one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::{Client, Process, Role, program};

/// Running replicas. Dropped, they are killed.
///
/// They find each other through the registry that the settings name, so a replica that comes back does so at another
/// address, as a container does.
#[derive(Debug)]
pub struct Fleet {
    binary: PathBuf,
    folder: TempDir,
    settings: Vec<String>,
    export: Option<String>,
    members: Vec<Member>,
    balancer: Balancer,
}

#[derive(Debug)]
struct Member {
    role: Role,
    /// Where it and its admin listener listen, when it is not any free port.
    at: Option<[SocketAddr; 2]>,
    process: Option<Process>,
    /// Where a gateway listens.
    gateway: Option<SocketAddr>,
}

impl Fleet {
    /// Makes the schema on the servers that the settings of all roles name; no replica runs yet. Spans go to `export`, if
    /// anywhere.
    ///
    /// # Errors
    /// When a port or a folder cannot be had, or the schema cannot be made.
    pub async fn prepare(
        binary: impl Into<PathBuf>,
        settings: &[(&str, &str)],
        export: Option<String>,
    ) -> anyhow::Result<Fleet> {
        let settings = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let (folder, balancer) = (tempfile::tempdir()?, Balancer::start().await?);
        let fleet = Fleet { binary: binary.into(), folder, settings, export, members: Vec::new(), balancer };
        let migrated = fleet.spawn(&["migrate"], "migrate", &[])?.ended().await?;
        anyhow::ensure!(migrated.status.success(), "{}", migrated.output);
        Ok(fleet)
    }

    /// Adds a replica of a role and starts it. Gives its place. The provider has to come first, as the others are told where
    /// it is.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn add(&mut self, role: Role) -> anyhow::Result<usize> {
        self.push(Member { role, at: None, process: None, gateway: None }).await
    }

    /// As [`Fleet::add`], listening at the first address, and with its admin listener at the second: for what stands in front
    /// of it and does not ask the registry.
    ///
    /// # Errors
    /// As [`Fleet::add`], and when an address is taken.
    pub async fn add_at(&mut self, role: Role, at: [SocketAddr; 2]) -> anyhow::Result<usize> {
        self.push(Member { role, at: Some(at), process: None, gateway: None }).await
    }

    async fn push(&mut self, member: Member) -> anyhow::Result<usize> {
        self.members.push(member);
        let place = self.members.len() - 1;
        self.start(place).await?;
        Ok(place)
    }

    /// Starts a replica again that was killed.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn start(&mut self, place: usize) -> anyhow::Result<()> {
        let Member { role, at, .. } = *self.member(place)?;
        let name = format!("{role}-{place}");
        let known = at.map(|[own, admin]| [(role.name(), own), ("admin", admin)]);
        let known = known.as_ref().map_or(&[][..], |known| &known[..]);
        let mut process =
            self.spawn(&["run", role.name()], &name, known).with_context(|| format!("starting {name}"))?;
        let gateway = match role {
            Role::Gateway => Some(program::address_of(&mut process, role.name()).await?),
            _ => None,
        };
        if role == Role::Provider {
            // It is outside of the shop, so it is configured and not found.
            let found = program::address_of(&mut process, role.name()).await?;
            self.settings.push(format!("payment.provider.url=http://{found}"));
        }
        program::is_ready(&mut process).await.with_context(|| process.output())?;
        let member = self.members.get_mut(place).context("no such replica")?;
        (member.process, member.gateway) = (Some(process), gateway);
        self.balance();
        Ok(())
    }

    /// Ends a replica at once. A gateway gets no new connections from then on.
    ///
    /// # Errors
    /// When it does not run, or waiting for its end fails.
    pub async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        let member = self.members.get_mut(place).context("no such replica")?;
        let process = member.process.take().with_context(|| format!("{} does not run", member.role))?;
        member.gateway = None;
        self.balance();
        process.kill().await?;
        Ok(())
    }

    /// Asks a replica to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not run, does not stop, or says that not everything was finished.
    pub async fn stop(&mut self, place: usize) -> anyhow::Result<()> {
        let member = self.members.get_mut(place).context("no such replica")?;
        let process = member.process.take().with_context(|| format!("{} does not run", member.role))?;
        member.gateway = None;
        self.balance();
        process.signal("TERM")?;
        let stopped = process.ended().await?;
        anyhow::ensure!(stopped.status.success(), "{:?}: {}", stopped.status, stopped.output);
        Ok(())
    }

    /// Sends a replica a signal by name, such as `STOP`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, place: usize, signal: &str) -> anyhow::Result<()> {
        let member = self.member(place)?;
        member.process.as_ref().with_context(|| format!("{} does not run", member.role))?.signal(signal)
    }

    /// What a replica has said since it was last started.
    pub fn output(&self, place: usize) -> String {
        let process = self.members.get(place).and_then(|member| member.process.as_ref());
        process.map(Process::output).unwrap_or_default()
    }

    /// A client of the gateways: each connection goes to one that runs.
    pub fn gateway(&self) -> Client {
        Client::new(self.balancer.address)
    }

    fn member(&self, place: usize) -> anyhow::Result<&Member> {
        self.members.get(place).context("no such replica")
    }

    fn balance(&self) {
        let gateways = self.members.iter().filter_map(|member| member.gateway).collect();
        *self.balancer.targets.lock().unwrap_or_else(PoisonError::into_inner) = gateways;
    }

    fn spawn(&self, words: &[&str], name: &str, known: &[(&str, SocketAddr)]) -> anyhow::Result<Process> {
        let mut command = program::command(&self.binary, self.folder.path());
        command.args(words);
        if words.first() == Some(&"run") {
            program::on_ports(&mut command, known);
        }
        // Of its own, so that it has a name of its own, and keeps it.
        let data = self.folder.path().join(name);
        command.args(["--set", &format!("data.folder={}", data.display())]);
        command.args(self.settings.iter().flat_map(|setting| ["--set", setting]));
        command.envs([("WAYPOST_TELEMETRY__LOGS__FORMAT", "json"), ("WAYPOST_DRAIN__NOTICE", "200ms")]);
        match &self.export {
            Some(endpoint) => command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            None => command.env("OTEL_TRACES_EXPORTER", "none"),
        };
        Process::start(&mut command)
    }
}

/// Forwards each connection to one of the targets.
#[derive(Debug)]
struct Balancer {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    accepting: tokio::task::AbortHandle,
}

impl Balancer {
    async fn start() -> anyhow::Result<Balancer> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let targets: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let known = Arc::clone(&targets);
        let accepting = waypost_telemetry::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut targets = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                fastrand::shuffle(&mut targets);
                waypost_telemetry::spawn(forward(client, targets));
            }
        });
        Ok(Balancer { address, targets, accepting: accepting.abort_handle() })
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: TcpStream, targets: Vec<SocketAddr>) {
    for target in targets {
        if let Ok(mut server) = TcpStream::connect(target).await {
            // A connection that breaks on either side is broken on both.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
