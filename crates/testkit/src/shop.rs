//! The whole shop: `waypost up` on free ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{Client, Collector, Process, Stopped, program};

const ROLES: [&str; 7] = ["gateway", "order", "user", "inventory", "payment", "provider", "admin"];

const SERVICES: [&str; 4] = ["order", "user", "inventory", "payment"];

const VIEWER: [&str; 4] = ["viewer", "otlp-grpc", "otlp-http", "zipkin"];

/// How a shop is started.
#[derive(Debug)]
pub struct ShopBuilder {
    binary: PathBuf,
    data: Option<PathBuf>,
    has_viewer: bool,
    listening: BTreeMap<String, SocketAddr>,
    sockets: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A running shop. Dropped, it is killed and its private folder removed.
#[derive(Debug)]
pub struct Shop {
    process: Process,
    addresses: BTreeMap<String, SocketAddr>,
    _folder: TempDir,
}

impl Shop {
    /// A shop of this binary, without the first order and without a viewer, on free ports.
    pub fn of(binary: impl Into<PathBuf>) -> ShopBuilder {
        ShopBuilder {
            binary: binary.into(),
            data: None,
            has_viewer: false,
            listening: BTreeMap::new(),
            sockets: None,
            arguments: vec!["--no-first-order".into(), "--plain".into()],
            environment: Vec::new(),
        }
    }

    /// Where a role listens.
    ///
    /// # Panics
    /// When the program did not name the role.
    pub fn address(&self, role: &str) -> SocketAddr {
        match self.addresses.get(role) {
            Some(address) => *address,
            None => panic!("no address of {role} among {:?}", self.addresses),
        }
    }

    /// A client of a role that speaks HTTP.
    pub fn client(&self, role: &str) -> Client {
        Client::new(self.address(role))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// As [`Process::kill`].
    pub async fn kill(self) -> anyhow::Result<Stopped> {
        self.process.kill().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// As [`Process::ended`].
    pub async fn ended(self) -> anyhow::Result<Stopped> {
        self.process.ended().await
    }

    /// Stops it as Ctrl-C does.
    ///
    /// # Errors
    /// As [`Process::interrupt`].
    pub async fn stop(self) -> anyhow::Result<Stopped> {
        self.process.interrupt().await
    }
}

impl ShopBuilder {
    /// Keeps the data in this folder; otherwise it is gone with the shop.
    #[must_use]
    pub fn data(mut self, folder: &Path) -> ShopBuilder {
        self.data = Some(folder.to_path_buf());
        self
    }

    /// With its viewer, whose listeners are named `viewer`, `otlp-grpc`, `otlp-http` and `zipkin`.
    #[must_use]
    pub fn viewer(mut self) -> ShopBuilder {
        self.has_viewer = true;
        self
    }

    /// Lets a listener have this address in place of a free port of loopback.
    #[must_use]
    pub fn listen_on(mut self, listener: &str, address: impl Into<SocketAddr>) -> ShopBuilder {
        self.listening.insert(listener.to_owned(), address.into());
        self
    }

    /// Lets the services listen at Unix-domain sockets in this folder, `order.sock` and so on; they have no address then.
    #[must_use]
    pub fn services_at(mut self, folder: &Path) -> ShopBuilder {
        self.sockets = Some(folder.to_path_buf());
        self
    }

    /// Changes a setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> ShopBuilder {
        self.arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        self
    }

    /// Keeps the data of all roles in this database of a PostgreSQL server; only the broker's stays in the folder.
    #[must_use]
    pub fn on_postgres(self, url: &str) -> ShopBuilder {
        self.set("database.kind", "postgres").environment("WAYPOST_DATABASE__URL", url)
    }

    /// Sends the telemetry to a collector, without delay.
    #[must_use]
    pub fn export_to(mut self, collector: &Collector) -> ShopBuilder {
        self.arguments.extend(["--export".to_owned(), collector.endpoint()]);
        self.environment.push(("OTEL_BSP_SCHEDULE_DELAY".into(), "20".into()));
        self.environment.push(("OTEL_BSP_MAX_QUEUE_SIZE".into(), "200000".into()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> ShopBuilder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it has named its addresses.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn start(self) -> anyhow::Result<Shop> {
        let folder = tempfile::tempdir()?;
        let mut arguments = vec!["up".to_owned()];
        match &self.data {
            Some(data) => arguments.extend(["--data".to_owned(), data.display().to_string()]),
            None => arguments.push("--ephemeral".to_owned()),
        }
        let mut listeners = ROLES.to_vec();
        if self.has_viewer {
            listeners.extend(VIEWER);
        } else {
            arguments.push("--no-viewer".to_owned());
        }
        if let Some(folder) = &self.sockets {
            listeners.retain(|listener| !SERVICES.contains(listener));
            for service in SERVICES {
                let socket = folder.join(format!("{service}.sock"));
                arguments.extend([format!("--{service}"), format!("unix:{}", socket.display())]);
            }
        }
        for listener in &listeners {
            let free = SocketAddr::from(([127, 0, 0, 1], 0));
            let address = self.listening.get(*listener).unwrap_or(&free);
            arguments.extend([format!("--{listener}"), address.to_string()]);
        }
        arguments.extend(self.arguments);
        let mut command = program::command(&self.binary, folder.path());
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let mut process = Process::start(command.args(&arguments).envs(environment))?;
        let mut addresses = BTreeMap::new();
        for role in listeners {
            let found = process.line(&format!("the address of {role}"), |line| address(role, line)).await;
            addresses
                .insert(role.to_owned(), found.with_context(|| format!("waypost {}", arguments.join(" ")))?);
        }
        process.line("that it is ready", |line| line.contains("Ctrl-C").then_some(())).await?;
        Ok(Shop { process, addresses, _folder: folder })
    }
}

/// The address in a line such as `  gateway    http://127.0.0.1:8080/?token=..  (API)`.
fn address(role: &str, line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    if words.next() != Some(role) {
        return None;
    }
    let address = words.next()?;
    address.strip_prefix("http://").unwrap_or(address).split('/').next()?.parse().ok()
}
