//! Redis: from Debian's packages.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::install_without_service;
use crate::needs::{Variable, on_path, output};

/// The installed server.
struct Redis {
    server: PathBuf,
    version: String,
}

pub(super) fn find(_target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let place = || on_path(&["redis-server"]);
    if place().is_none() {
        install_without_service(&["redis-server"], "redis-server").context("redis-server not found")?;
    }
    let server = place().context("the package redis-server still has no redis-server")?;
    // "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=..."
    let about = output(Command::new(&server).arg("--version"))?;
    let version = about.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?").to_owned();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or_default();
    ensure!(major >= 7, "{} is version {version}, 7 or newer is needed", server.display());
    Ok(Box::new(Redis { server, version }))
}

impl Program for Redis {
    fn description(&self) -> String {
        format!("{} from {}", self.version, self.server.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_REDIS_SERVER", self.server.clone().into_os_string())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        let port_text = port.to_string();
        let folder_text = folder.to_string_lossy();
        let arguments = [
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--dir",
            &folder_text,
            "--save",
            "",
            "--databases",
            "16",
        ];
        let log = folder.join("log");
        let mut process = Process::start(User::Own, &self.server, arguments, Signal::Kill, &log)?;
        process.ready(|_| answers(port))?;
        Ok(Started::at(process, format!("redis://127.0.0.1:{port}")))
    }
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(&answer == b"+PONG\r\n")
    };
    ask().unwrap_or(false)
}
