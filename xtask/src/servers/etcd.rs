//! etcd: from Debian's packages.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::install_without_service;
use crate::needs::{Variable, on_path, output};

/// The installed server.
struct Etcd {
    server: PathBuf,
    version: String,
}

pub(super) fn find(_target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let place = || on_path(&["etcd"]);
    if place().is_none() {
        install_without_service(&["etcd-server"], "etcd").context("etcd not found")?;
    }
    let server = place().context("the package etcd-server still has no etcd")?;
    // "etcd Version: 3.4.23" on the first of several lines.
    let about = output(Command::new(&server).arg("--version"))?;
    let version = about.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or("?").to_owned();
    Ok(Box::new(Etcd { server, version }))
}

impl Program for Etcd {
    fn description(&self) -> String {
        format!("{} from {}", self.version, self.server.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_ETCD_SERVER", self.server.clone().into_os_string())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [client, peer] = port::free()?;
        let (client_url, peer_url) =
            (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let (data, cluster) = (folder.join("data"), format!("default={peer_url}"));
        let arguments = [
            "--data-dir",
            &data.to_string_lossy(),
            "--listen-client-urls",
            &client_url,
            "--advertise-client-urls",
            &client_url,
            "--listen-peer-urls",
            &peer_url,
            "--initial-advertise-peer-urls",
            &peer_url,
            "--initial-cluster",
            &cluster,
        ];
        let log = folder.join("log");
        let mut process = Process::start(User::Own, &self.server, arguments, Signal::Kill, &log)?;
        process.ready(|_| answers(client))?;
        Ok(Started::at(process, client_url))
    }
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.contains(r#""health":"true""#))
    };
    ask().unwrap_or(false)
}
