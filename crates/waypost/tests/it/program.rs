//! The program under test, for tests that block: what goes wrong is the test's panic.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use waypost_testkit::program;
pub use waypost_testkit::{PATIENCE, Process, Stopped};

/// Every listener on a free port.
pub const FREE_PORTS: [&str; 22] = [
    "--gateway",
    "127.0.0.1:0",
    "--order",
    "127.0.0.1:0",
    "--user",
    "127.0.0.1:0",
    "--inventory",
    "127.0.0.1:0",
    "--payment",
    "127.0.0.1:0",
    "--provider",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--viewer",
    "127.0.0.1:0",
    "--otlp-grpc",
    "127.0.0.1:0",
    "--otlp-http",
    "127.0.0.1:0",
    "--zipkin",
    "127.0.0.1:0",
];

/// The binary with a private folder and an environment that no developer's settings reach.
pub fn waypost(folder: &Path) -> Command {
    program::command(env!("CARGO_BIN_EXE_waypost"), folder)
}

/// Runs to the end, for commands that end by themselves.
pub fn ended(command: &mut Command) -> Stopped {
    Process::run(command).unwrap()
}

/// A running program.
#[derive(Debug)]
pub struct Program(Process);

impl Program {
    pub fn start(command: &mut Command) -> Program {
        Program(Process::start(command).unwrap())
    }

    /// Waits for a line that contains `part`, and returns it.
    pub fn line_with(&mut self, part: &str) -> String {
        let found = |line: &str| line.contains(part).then(|| line.to_owned());
        self.0.wait_for_line(&format!("line with {part:?}"), found).unwrap()
    }

    /// Where a role listens, as its log says that is written as JSON.
    pub fn address_of(&mut self, role: &str) -> SocketAddr {
        let announced = |line: &str| program::announced(role, line);
        self.0.wait_for_line(&format!("address of {role}"), announced).unwrap()
    }

    /// What was printed so far.
    pub fn seen(&self) -> String {
        self.0.out()
    }

    pub fn signal(&self, name: &str) {
        self.0.signal(name).unwrap();
    }

    /// Reads to the end of its output and returns how it ended.
    pub fn end(self) -> Stopped {
        self.0.wait().unwrap()
    }
}
