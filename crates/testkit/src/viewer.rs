//! The viewer alone: `waypost viewer` on free ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Client, Process, Stopped};

const LISTENERS: [&str; 5] = ["viewer", "otlp_grpc", "otlp_http", "zipkin", "admin"];

/// A running viewer. Dropped, it is killed and its private folder removed.
#[derive(Debug)]
pub struct Viewer {
    process: Process,
    addresses: BTreeMap<String, SocketAddr>,
    _folder: TempDir,
}

impl Viewer {
    /// Starts `waypost viewer` of this binary with its data in this folder, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or says nothing.
    pub async fn start(
        binary: impl Into<PathBuf>,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Viewer> {
        let folder = tempfile::tempdir()?;
        let mut arguments = vec!["viewer".to_owned(), "--data".to_owned(), data.display().to_string()];
        for listener in LISTENERS {
            arguments.extend([format!("--{}", listener.replace('_', "-")), "127.0.0.1:0".to_owned()]);
        }
        for (key, value) in [("telemetry.logs.format", "json")].iter().chain(settings) {
            arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        }
        let mut process = Process::start(&binary.into(), &arguments, &[], folder.path())?;
        let mut addresses = BTreeMap::new();
        for listener in LISTENERS {
            let name = listener.replace('_', "-");
            let found = process.line(&format!("the address of {name}"), |line| address(&name, line)).await;
            addresses.insert(name, found.with_context(|| format!("waypost {}", arguments.join(" ")))?);
        }
        process.line("that it is ready", |line| line.contains("\"ready\"").then_some(())).await?;
        Ok(Viewer { process, addresses, _folder: folder })
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

    /// A client of one of its listeners.
    pub fn client(&self, listener: &str) -> Client {
        Client::new(self.address(listener))
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

/// The address in a log line that says that a listener is listening.
fn address(name: &str, line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |key: &str| line.get(key)?.as_str();
    (field("role") == Some(name)).then(|| field("address")?.parse().ok())?
}
