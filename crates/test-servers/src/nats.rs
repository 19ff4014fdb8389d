//! Subjects of one's own, and a server of one's own for tests that end it.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::child::Child;
use crate::{NATS, NATS_SERVER, own_name, variable};

/// A word on the tests' NATS that no other test has, for the beginning of subjects and for the names of streams.
#[derive(Debug, Clone)]
pub struct Subjects {
    url: String,
    word: String,
}

impl Subjects {
    /// A new word.
    pub fn own() -> Self {
        Self { url: variable(NATS), word: own_name() }
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        let port = self.url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.unwrap_or_else(|| panic!("{} has no port", self.url))
    }

    /// A subject of one's own: the word, a dot, and this.
    pub fn subject(&self, rest: &str) -> String {
        format!("{}.{rest}", self.word)
    }

    /// The word, which is a name for a stream as well.
    pub fn word(&self) -> &str {
        &self.word
    }
}

/// A server with JetStream on a free port of 127.0.0.1, which lets in one user with a password. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    password: String,
    child: Child,
}

impl Server {
    /// Starts one. Its user is `shop`.
    pub fn start(password: &str) -> Self {
        let mut server = Self { port: 0, password: password.to_owned(), child: Child::new("NATS") };
        let (store, word) = (server.child.folder().join("store"), server.password.clone());
        let [port] = server.child.start_on(|[port]| command(port, &store, &word), |[port]| answers(port));
        server.port = port;
        server
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, with user and password.
    pub fn url(&self) -> String {
        format!("nats://shop:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it again on the same port, with the streams that it had.
    pub fn restart(&mut self) {
        let command = command(self.port, &self.child.folder().join("store"), &self.password);
        let port = self.port;
        self.child.restart(command, || answers(port));
    }
}

fn command(port: u16, store: &std::path::Path, password: &str) -> Command {
    let mut command = Command::new(variable(NATS_SERVER));
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"]);
    command.arg(store).args(["--user", "shop", "--pass", password]);
    command
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
