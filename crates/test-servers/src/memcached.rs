//! Keys of one's own, and a server of one's own for tests that stop it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{command, free_port};
use crate::{MEMCACHED, MEMCACHED_SERVER, own_name, variable};

/// Longest time for a server to answer after its start.
const MAX_START: Duration = Duration::from_secs(30);

/// A prefix on the tests' Memcached that no other test has. What is kept under it stays until it runs out or the server ends.
#[derive(Debug, Clone)]
pub struct Keys {
    url: String,
    prefix: String,
}

impl Keys {
    /// A new prefix.
    pub fn own() -> Self {
        Self { url: variable(MEMCACHED), prefix: format!("{}:", own_name()) }
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What each key has to begin with. Ends with `:`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// A server of one's own on a free port of 127.0.0.1, for a test that ends or stops it. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    child: Child,
}

impl Server {
    /// Starts one.
    pub fn start() -> Self {
        // Somebody else may take a port between its being found and its being bound.
        (0..5).find_map(|_| Self::try_start(free_port())).unwrap_or_else(|| panic!("no Memcached starts"))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it where it is, its connections open: it is there and does not answer.
    pub fn pause(&self) {
        let sent = Command::new("kill").arg("-STOP").arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server is gone");
    }

    fn try_start(port: u16) -> Option<Self> {
        let server = variable(MEMCACHED_SERVER);
        let mut command = command(&server, true);
        command.args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0", "-m", "64"]);
        let child = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{server} cannot be started: {error}"));
        let mut server = Self { port, child };
        let begun = Instant::now();
        while begun.elapsed() < MAX_START {
            if answers(port).is_ok() {
                return Some(server);
            }
            if server.child.try_wait().ok().flatten().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn answers(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"version\r\n")?;
    stream.read_exact(&mut [0; 8])
}
