//! Queues of one's own, and a broker of one's own for tests that end it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::child::Child;
use crate::{RABBITMQ, RABBITMQ_SERVER, own_name, variable};

/// A word on the tests' RabbitMQ that no other test has, for the beginning of the names of exchanges and queues.
#[derive(Debug, Clone)]
pub struct Queues {
    url: String,
    word: String,
}

impl Queues {
    /// A new word.
    pub fn own() -> Self {
        Self { url: variable(RABBITMQ), word: own_name() }
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

    /// A name of one's own: the word, a dash, and this.
    pub fn name(&self, rest: &str) -> String {
        format!("{}-{rest}", self.word)
    }
}

/// A broker on a free port of 127.0.0.1, which lets in one user with a password. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    ports: [u16; 2],
    password: String,
    child: Child,
}

impl Server {
    /// Starts one. Its user is `shop`.
    pub fn start(password: &str) -> Self {
        let mut child = Child::new("RabbitMQ");
        let folder = child.folder().to_owned();
        let settings = format!("default_user = shop\ndefault_pass = {password}\n");
        let command = |[port, distribution]: [u16; 2]| {
            let listening =
                format!("listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.file = false\n");
            fs::write(folder.join("rabbitmq.conf"), listening + &settings)
                .unwrap_or_else(|error| panic!("RabbitMQ's configuration: {error}"));
            command(&folder, [port, distribution])
        };
        let ports = child.start_on(command, |[port, _]| answers(port));
        Self { ports, password: password.to_owned(), child }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// Its URL, with user and password.
    pub fn url(&self) -> String {
        format!("amqp://shop:{}@127.0.0.1:{}", self.password, self.ports[0])
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it again on the same port, with what it kept.
    pub fn restart(&mut self) {
        let (command, port) = (command(self.child.folder(), self.ports), self.ports[0]);
        self.child.restart(command, || answers(port));
    }
}

fn command(folder: &std::path::Path, [port, distribution]: [u16; 2]) -> Command {
    let mut command = Command::new(variable(RABBITMQ_SERVER));
    command.arg(folder).args([port.to_string(), distribution.to_string()]);
    command
}

/// Whether it greets who greets it: it listens only when it has started.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0];
        stream.read_exact(&mut frame)?;
        Ok::<_, std::io::Error>(frame == [1])
    };
    ask().unwrap_or(false)
}
