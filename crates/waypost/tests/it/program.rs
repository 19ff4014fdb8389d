//! The program under test: started in a private folder, read line by line, ended by signals, killed when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Far above what anything here takes; reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_mins(1);

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

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The binary with a private folder and an environment that no developer's settings reach.
pub fn waypost(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs to the end, for commands that end by themselves.
pub fn ended(command: &mut Command) -> Ended {
    let program = Program::start(command);
    program.end()
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: String,
    err: Option<thread::JoinHandle<String>>,
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let err = thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap_or_default();
            text
        });
        Program { child, lines, seen: String::new(), err: Some(err) }
    }

    /// Waits for a line of standard output that contains `part`, and returns it.
    pub fn line_with(&mut self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(reason) => {
                    let errors = self.errors();
                    panic!("no line with {part:?} ({reason}); so far:\n{}\n{errors}", self.seen)
                }
            }
        }
    }

    /// What was printed so far.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id();
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
        assert!(status.success(), "cannot send {name} to {pid}");
    }

    /// Reads to the end of its output and returns how it ended.
    pub fn end(mut self) -> Ended {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let errors = self.errors();
                    panic!("it does not end; so far:\n{}\n{errors}", self.seen)
                }
            }
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ended { code, out: std::mem::take(&mut self.seen), err: self.errors() }
    }

    /// What it wrote to standard error; ends the program if it has not ended.
    fn errors(&mut self) -> String {
        self.child.kill().unwrap_or_default();
        self.err.take().map(|reader| reader.join().unwrap_or_default()).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}
