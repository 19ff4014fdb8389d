//! A database of one's own, and a server of one's own for tests that end it.
//!
//! The server is mongo-java-server, which speaks MongoDB's wire protocol and keeps everything in memory. It knows neither users
//! nor transactions.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use crate::child::Child;
use crate::{MONGODB, MONGODB_CLASS_PATH, own_name, variable};

/// A database that no other test has.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
    name: String,
}

impl Database {
    /// A new one.
    pub fn own() -> Self {
        Self { url: variable(MONGODB), name: own_name() }
    }

    /// The URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A server on a free port of 127.0.0.1. Killed when dropped, with all that it has.
#[derive(Debug)]
pub struct Server {
    port: u16,
    child: Child,
}

impl Server {
    /// Starts one with nothing in it.
    pub fn start() -> Self {
        let mut child = Child::new("MongoDB");
        let [port] = child.start_on(|[port]| command(port), |[port]| answers(port));
        Self { port, child }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Stops it where it is, its connections open: it is there and does not answer.
    pub fn pause(&self) {
        self.child.signal("STOP");
    }

    /// Starts it again on the same port, with nothing in it.
    pub fn restart(&mut self) {
        let port = self.port;
        self.child.restart(command(port), || answers(port));
    }
}

fn command(port: u16) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    command.args([variable(MONGODB_CLASS_PATH), "Server".to_owned(), port.to_string()]);
    command
}

/// It listens only when it answers.
fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
