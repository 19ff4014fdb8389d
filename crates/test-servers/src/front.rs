//! Nginx, HAProxy and Envoy in front of a shop, with the files of `deploy/`.
//!
//! Of a file only addresses are changed, and the folders that it writes to: what is tested is what users copy.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child::free_port;
use crate::variable;

/// How long it may take to start or to end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A program with its file in `deploy/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `deploy/nginx/nginx.conf`.
    Nginx,
    /// `deploy/haproxy/haproxy.cfg`.
    HaProxy,
    /// `deploy/envoy/envoy.yaml`.
    Envoy,
}

/// What stands behind it.
#[derive(Clone, Debug, Default)]
pub struct Behind {
    /// The listener of each gateway and its admin listener.
    pub gateways: Vec<(SocketAddr, SocketAddr)>,
    /// Each inventory service.
    pub inventories: Vec<SocketAddr>,
    /// Where the program's own spans go, by OTLP over HTTP.
    pub spans: Option<SocketAddr>,
}

/// One that runs, on free ports of loopback. Dropped, it is ended.
#[derive(Debug)]
pub struct Front {
    customers: SocketAddr,
    systems: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Front {
    /// Starts one and waits until it takes connections.
    pub fn start(kind: Kind, behind: &Behind) -> Self {
        let mut said = String::new();
        // Somebody else may take a port between its being found and its being bound.
        for _ in 0..5 {
            match Self::try_start(kind, behind) {
                Ok(front) => return front,
                Err(log) => said = log,
            }
        }
        panic!("{kind:?} does not start: {said}");
    }

    /// Where customers connect, by HTTP.
    pub fn customers(&self) -> SocketAddr {
        self.customers
    }

    /// Where other systems connect, by gRPC.
    pub fn systems(&self) -> SocketAddr {
        self.systems
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn try_start(kind: Kind, behind: &Behind) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder for {kind:?}: {error}"));
        let [customers, systems, admin] = free_ports();
        let text = kind.configuration(behind, customers, systems, admin, folder.path());
        let file = folder.path().join(kind.file_name());
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let log = || {
            let file = fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log"));
            Stdio::from(file.unwrap_or_else(|error| panic!("the log of {kind:?}: {error}")))
        };
        let mut command = kind.command(&file);
        let child = command.process_group(0).stdin(Stdio::null()).stdout(log()).stderr(log()).spawn();
        let child = child.unwrap_or_else(|error| panic!("starting {kind:?}: {error}"));
        let mut front = Self { customers, systems, child, folder };
        let end = Instant::now() + TIMEOUT;
        while [customers, systems].iter().any(|address| TcpStream::connect(address).is_err()) {
            if !matches!(front.child.try_wait(), Ok(None)) || Instant::now() > end {
                return Err(front.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(front)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Nginx has workers, which end with it when it is asked to and stay when it is killed.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status();
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let group = format!("-{pid}");
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Kind {
    fn file_name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.conf",
            Self::HaProxy => "haproxy.cfg",
            Self::Envoy => "envoy.yaml",
        }
    }

    fn command(self, file: &Path) -> Command {
        let program = match self {
            Self::Nginx => variable("TEST_NGINX"),
            Self::HaProxy => variable("TEST_HAPROXY"),
            Self::Envoy => variable("TEST_ENVOY"),
        };
        // Ends with the thread that started it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--", &program]);
        match self {
            Self::Nginx => command.arg("-c").arg(file).args(["-g", "daemon off;"]),
            Self::HaProxy => command.arg("-db").arg("-f").arg(file),
            Self::Envoy => command.arg("-c").arg(file).args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "warn",
            ]),
        };
        command
    }

    fn configuration(
        self,
        behind: &Behind,
        customers: SocketAddr,
        systems: SocketAddr,
        admin: SocketAddr,
        folder: &Path,
    ) -> String {
        let place = match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
            Self::Envoy => "envoy",
        };
        let file: PathBuf =
            [env!("CARGO_MANIFEST_DIR"), "../../deploy", place, self.file_name()].iter().collect();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut edited = Edited(text);
        match self {
            Self::Nginx => edited.nginx(behind, customers, systems, folder),
            Self::HaProxy => edited.haproxy(behind, customers, systems),
            Self::Envoy => edited.envoy(behind, customers, systems, admin),
        }
        edited.0
    }
}

/// A file in which every place that is to be changed has to be there.
struct Edited(String);

impl Edited {
    fn nginx(&mut self, behind: &Behind, customers: SocketAddr, systems: SocketAddr, folder: &Path) {
        self.replace("/tmp/waypost-nginx", &folder.join("nginx").to_string_lossy());
        self.replace("listen 127.0.0.1:8000;", &format!("listen {customers};"));
        self.replace("listen 127.0.0.1:8001 ", &format!("listen {systems} "));
        self.repeat("server 127.0.0.1:8080 ", behind.gateways.iter().map(|(at, _)| format!("server {at} ")));
        self.repeat("server 127.0.0.1:9092 ", behind.inventories.iter().map(|at| format!("server {at} ")));
    }

    fn haproxy(&mut self, behind: &Behind, customers: SocketAddr, systems: SocketAddr) {
        self.replace("bind 127.0.0.1:8000", &format!("bind {customers}"));
        self.replace("bind 127.0.0.1:8001", &format!("bind {systems}"));
        let gateways = behind.gateways.iter().enumerate();
        self.repeat(
            "server gateway1 127.0.0.1:8080 check port 9464",
            gateways.map(|(number, (at, admin))| {
                format!("server gateway{} {at} check port {}", number + 1, admin.port())
            }),
        );
        let inventories = behind.inventories.iter().enumerate();
        self.repeat(
            "server inventory1 127.0.0.1:9092",
            inventories.map(|(number, at)| format!("server inventory{} {at}", number + 1)),
        );
    }

    fn envoy(&mut self, behind: &Behind, customers: SocketAddr, systems: SocketAddr, admin: SocketAddr) {
        let port = |at: SocketAddr| format!("port_value: {}}}", at.port());
        self.replace("port_value: 8000}", &port(customers));
        self.replace("port_value: 8001}", &port(systems));
        self.replace("port_value: 8002}", &port(admin));
        if let Some(spans) = behind.spans {
            self.replace("port_value: 4318}", &port(spans));
            self.replace("http://127.0.0.1:4318/", &format!("http://{spans}/"));
        }
        let endpoint = |at: SocketAddr| {
            format!(
                "              - endpoint:\n                  address:\n                    socket_address: \
                 {{address: 127.0.0.1, port_value: {}}}\n",
                at.port()
            )
        };
        let gateways = behind.gateways.iter().map(|(at, admin)| {
            let mut text = endpoint(*at);
            let _ = writeln!(text, "                  health_check_config: {{port_value: {}}}", admin.port());
            text
        });
        let old = format!(
            "{}                  health_check_config: {{port_value: 9464}}\n",
            endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
        );
        self.replace(&old, &gateways.collect::<Vec<_>>().concat());
        let inventories = behind.inventories.iter().map(|at| endpoint(*at));
        let old = endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)));
        self.replace(&old, &inventories.collect::<Vec<_>>().concat());
    }

    /// Everywhere.
    fn replace(&mut self, old: &str, new: &str) {
        assert!(self.0.contains(old), "the file in deploy/ has no {old:?} any more");
        self.0 = self.0.replace(old, new);
    }

    /// The lines that have this, once for each of these in its place.
    fn repeat(&mut self, old: &str, new: impl Iterator<Item = String>) {
        assert!(self.0.contains(old), "the file in deploy/ has no {old:?} any more");
        let new: Vec<String> = new.collect();
        let mut text = String::new();
        for line in self.0.lines() {
            if line.contains(old) {
                for new in &new {
                    text.extend([&line.replace(old, new), "\n"]);
                }
            } else {
                text.extend([line, "\n"]);
            }
        }
        self.0 = text;
    }
}

fn free_ports() -> [SocketAddr; 3] {
    [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())))
}
