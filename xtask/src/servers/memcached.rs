//! Memcached: from Debian's packages.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::{install_without_service, is_root};
use crate::needs::{Variable, on_path, output};

/// The installed server.
struct Memcached {
    server: PathBuf,
    version: String,
    user: User,
}

pub(super) fn find(_target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let place = || on_path(&["memcached"]);
    if place().is_none() {
        install_without_service(&["memcached"], "memcached").context("memcached not found")?;
    }
    let server = place().context("the package memcached still has no memcached")?;
    // "memcached 1.6.18"
    let about = output(Command::new(&server).arg("--version"))?;
    let version = about.split_whitespace().nth(1).unwrap_or("?").to_owned();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let major_and_minor = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    ensure!(major_and_minor >= (1, 6), "{} is version {version}, 1.6 or newer is needed", server.display());
    // It refuses to run as root, and would change its user so that it outlives its parent.
    let user = if is_root()? { User::nobody()? } else { User::Own };
    Ok(Box::new(Memcached { server, version, user }))
}

impl Program for Memcached {
    fn description(&self) -> String {
        format!("{} from {}", self.version, self.server.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_MEMCACHED_SERVER", self.server.clone().into_os_string())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        let port_text = port.to_string();
        let arguments = ["-l", "127.0.0.1", "-p", &port_text, "-U", "0", "-m", "64"];
        let log = folder.join("log");
        let mut process = Process::start(self.user, &self.server, arguments, Signal::Kill, &log)?;
        process.ready(|_| answers(port))?;
        Ok(Started::at(process, format!("tcp://127.0.0.1:{port}")))
    }
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"version\r\n")?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(&answer == b"VERSION ")
    };
    ask().unwrap_or(false)
}
