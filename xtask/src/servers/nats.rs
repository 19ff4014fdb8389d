//! NATS with JetStream: from Debian's packages.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::install_without_service;
use crate::needs::{Variable, on_path, output};

/// Where Debian puts it, which is not on everybody's path.
const PLACE: &str = "/usr/sbin/nats-server";

/// The installed server.
struct Nats {
    server: PathBuf,
    version: String,
}

pub(super) fn find(_target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let place =
        || on_path(&["nats-server"]).or_else(|| Some(PathBuf::from(PLACE)).filter(|place| place.is_file()));
    if place().is_none() {
        install_without_service(&["nats-server"], "nats-server").context("nats-server not found")?;
    }
    let server = place().context("the package nats-server still has no nats-server")?;
    // "nats-server: v2.9.10"
    let about = output(Command::new(&server).arg("--version"))?;
    let version = about.rsplit('v').next().unwrap_or("?").to_owned();
    Ok(Box::new(Nats { server, version }))
}

impl Program for Nats {
    fn description(&self) -> String {
        format!("{} from {}", self.version, self.server.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_NATS_SERVER", self.server.clone().into_os_string())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        let port_text = port.to_string();
        let store = folder.join("store");
        let store = store.to_string_lossy();
        let arguments = ["--addr", "127.0.0.1", "--port", &port_text, "--jetstream", "--store_dir", &store];
        let log = folder.join("log");
        let mut process = Process::start(User::Own, &self.server, arguments, Signal::Kill, &log)?;
        process.ready(|_| answers(port))?;
        Ok(Started::at(process, format!("nats://127.0.0.1:{port}")))
    }
}

/// The server speaks first.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting)?;
        Ok::<_, std::io::Error>(&greeting == b"INFO ")
    };
    ask().unwrap_or(false)
}
