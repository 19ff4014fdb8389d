//! The viewer alone: `waypost viewer` on free ports.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Client, Process, Stopped, program};

const LISTENERS: [&str; 5] = ["viewer", "otlp_grpc", "otlp_http", "zipkin", "admin"];

/// How a viewer is started.
#[derive(Debug)]
pub struct ViewerBuilder {
    binary: PathBuf,
    data: PathBuf,
    launcher: Vec<String>,
    host: IpAddr,
    settings: Vec<(String, String)>,
}

/// A running viewer. Dropped, it is killed and its private folder removed.
#[derive(Debug)]
pub struct Viewer {
    process: Process,
    addresses: BTreeMap<String, SocketAddr>,
    _folder: TempDir,
}

impl Viewer {
    /// `waypost viewer` of this binary with its data in this folder, on free ports of loopback.
    pub fn of(binary: impl Into<PathBuf>, data: &Path) -> ViewerBuilder {
        ViewerBuilder {
            binary: binary.into(),
            data: data.to_owned(),
            launcher: Vec::new(),
            host: Ipv4Addr::LOCALHOST.into(),
            settings: Vec::new(),
        }
    }

    /// Starts [`Viewer::of`] this binary and folder with these settings, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn start(
        binary: impl Into<PathBuf>,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Viewer> {
        let begun = Viewer::of(binary, data);
        settings.iter().fold(begun, |begun, (key, value)| begun.set(key, value)).start().await
    }

    /// Where one of `viewer`, `otlp-grpc`, `otlp-http`, `zipkin` and `admin` listens.
    ///
    /// # Panics
    /// When there is no such listener.
    pub fn address(&self, listener: &str) -> SocketAddr {
        match self.addresses.get(listener) {
            Some(address) => *address,
            None => panic!("no address of {listener} among {:?}", self.addresses),
        }
    }

    /// A client of one of its listeners, on this machine.
    pub fn client(&self, listener: &str) -> Client {
        let mut address = self.address(listener);
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Client::new(address)
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

    /// Stops it as Ctrl-C does.
    ///
    /// # Errors
    /// As [`Process::interrupt`].
    pub async fn stop(self) -> anyhow::Result<Stopped> {
        self.process.interrupt().await
    }
}

impl ViewerBuilder {
    /// Changes a setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> ViewerBuilder {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Listens on this address with everything but the health of the process.
    #[must_use]
    pub fn listen_on(mut self, host: impl Into<IpAddr>) -> ViewerBuilder {
        self.host = host.into();
        self
    }

    /// Is run by a program with these arguments, which become the viewer (`exec`).
    #[must_use]
    pub fn by(mut self, launcher: &[&str]) -> ViewerBuilder {
        self.launcher = launcher.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn start(self) -> anyhow::Result<Viewer> {
        let folder = tempfile::tempdir()?;
        let mut command = self.launcher;
        command.extend([self.binary.display().to_string(), "viewer".to_owned()]);
        command.extend(["--data".to_owned(), self.data.display().to_string()]);
        for listener in LISTENERS {
            let host = if listener == "admin" { Ipv4Addr::LOCALHOST.into() } else { self.host };
            let address = SocketAddr::new(host, 0).to_string();
            command.extend([format!("--{}", listener.replace('_', "-")), address]);
        }
        command.extend(["--set".to_owned(), "telemetry.logs.format=json".to_owned()]);
        for (key, value) in self.settings {
            command.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let launched = command.remove(0);
        let mut process = Process::start(program::command(launched, folder.path()).args(&command))?;
        let mut addresses = BTreeMap::new();
        for listener in LISTENERS {
            let name = listener.replace('_', "-");
            let found = program::address_of(&mut process, &name).await?;
            addresses.insert(name, found);
        }
        program::is_ready(&mut process).await?;
        Ok(Viewer { process, addresses, _folder: folder })
    }
}
