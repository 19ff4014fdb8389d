//! An etcd of one's own, for tests that end it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::free_port;
use crate::{ETCD_SERVER, own_name, variable};

/// Longest time for a server to answer after its start.
const PATIENCE: Duration = Duration::from_secs(30);

/// One member on free ports of 127.0.0.1, with its data in a folder of its own. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    /// For clients, for other members, and for questions about its health.
    ports: [u16; 3],
    certificates: Option<Certificates>,
    folder: PathBuf,
    child: Option<Child>,
}

/// What a server with TLS shows to its clients, and whom it lets in: files in PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authorities that a client's certificate has to be signed by.
    pub authority: PathBuf,
    /// Its own certificate.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
}

impl Server {
    /// Starts one with nothing in it.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// Starts one that speaks TLS to its clients and asks each for a certificate.
    pub fn start_secured(certificates: Certificates) -> Self {
        Self::start_as(Some(certificates))
    }

    fn start_as(certificates: Option<Certificates>) -> Self {
        let folder = std::env::temp_dir().join(own_name());
        fs::create_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be made: {error}", folder.display()));
        let mut server = Self { ports: [0; 3], certificates, folder, child: None };
        // Somebody else may take a port between its being found and its being bound.
        for _ in 0..5 {
            server.ports = [(); 3].map(|()| free_port());
            if server.try_start() {
                return server;
            }
        }
        panic!("no etcd starts: {}", server.log());
    }

    /// Its URL for clients.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.ports[0])
    }

    /// Ends it at once, as a power cut would. What it has confirmed is on the disk.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same ports, with the same data.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "etcd does not start again: {}", self.log());
    }

    /// Writes a key by etcd's own HTTP interface, as an operator's script would; both texts in Base64.
    pub fn put_base64(&self, key: &str, value: &str) {
        let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
        let answer = ask(
            self.ports[0],
            &format!(
                "POST /v3/kv/put HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        assert!(answer.as_deref().is_ok_and(|answer| answer.contains("200 OK")), "{answer:?}");
    }

    /// How many keys there are, by the same interface.
    pub fn keys(&self) -> usize {
        // All keys: from "\0" to "\0".
        let body = r#"{"key":"AA==","range_end":"AA==","keys_only":true}"#;
        let request = format!(
            "POST /v3/kv/range HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer =
            ask(self.ports[0], &request).unwrap_or_else(|error| panic!("etcd does not answer: {error}"));
        answer.matches(r#""key":"#).count()
    }

    fn try_start(&mut self) -> bool {
        let log = fs::File::create(self.folder.join("log"));
        let log = log.unwrap_or_else(|error| panic!("the log cannot be made: {error}"));
        let program = variable(ETCD_SERVER);
        let client = self.url();
        let [peer, health] = [1, 2].map(|place| format!("http://127.0.0.1:{}", self.ports[place]));
        let mut command = Command::new(&program);
        if let Some(Certificates { authority, certificate, key }) = &self.certificates {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(authority);
            command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
        }
        let child = command
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-metrics-urls", &health])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{program} does not start: {error}")));
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let has_ended = self.child.as_mut().is_none_or(|child| child.try_wait().ok().flatten().is_some());
            if has_ended {
                return false;
            }
            if self.is_healthy() {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn is_healthy(&self) -> bool {
        let asked = ask(self.ports[2], "GET /health HTTP/1.0\r\n\r\n");
        asked.is_ok_and(|answer| answer.contains(r#""health":"true""#))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // Left behind in the folder for temporary files at worst.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
