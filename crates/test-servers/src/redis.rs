//! Keys of one's own, and a server of one's own for tests that stop it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{command, free_port};
use crate::{REDIS, REDIS_SERVER, own_name, variable};

/// Longest time for a server to answer after its start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A prefix on the tests' Redis that no other test has. What is kept under it stays until it runs out or the server ends.
#[derive(Debug, Clone)]
pub struct Keys {
    url: String,
    prefix: String,
}

impl Keys {
    /// A new prefix.
    pub fn own() -> Self {
        Self { url: variable(REDIS), prefix: format!("{}:", own_name()) }
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

/// A server of one's own on a free port of 127.0.0.1, for a test that ends it, stops it or fills it. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    options: Vec<String>,
    folder: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts one that keeps what it has in memory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with options as of the command line: `["--maxmemory", "2mb"]`. `FOLDER` in one stands for its folder.
    pub fn start_with(options: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(own_name());
        fs::create_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be made: {error}", folder.display()));
        let own = folder.to_string_lossy().into_owned();
        let options = options.iter().map(|option| option.replace("FOLDER", &own)).collect();
        let mut server = Self { port: 0, options, folder, child: None };
        // Somebody else may take a port between its being found and its being bound.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        panic!("no Redis starts: {}", server.log());
    }

    /// Starts a sentinel with this file of configuration, into which it writes.
    pub fn sentinel(file: &std::path::Path) -> Self {
        // The file has to come first, and the options after it.
        Self::start_with(&[&file.to_string_lossy(), "--sentinel"])
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its private folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Ends it at once, as a power cut would. What it kept in memory is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port, with nothing in it.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "Redis does not start again: {}", self.log());
    }

    /// Stops it where it is, its connections open: it is there and does not answer.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Server::pause`].
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Sends it one command, and returns the first line of the answer.
    pub fn command(&self, words: &[&str]) -> String {
        ask(self.port, words).unwrap_or_else(|error| panic!("Redis does not answer {words:?}: {error}"))
    }

    fn signal(&self, name: &str) {
        let child = self.child.as_ref().unwrap_or_else(|| panic!("the server is not running"));
        let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server is gone");
    }

    fn try_start(&mut self) -> bool {
        let log = fs::File::create(self.folder.join("log"));
        let log = log.unwrap_or_else(|error| panic!("the log cannot be made: {error}"));
        let server = variable(REDIS_SERVER);
        let mut command = command(&server, false);
        let port = self.port.to_string();
        let is_sentinel = self.options.iter().any(|option| option == "--sentinel");
        command
            .args(&self.options)
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .arg("--dir")
            .arg(&self.folder);
        if !is_sentinel {
            command.args(["--save", ""]);
        }
        let child = command.process_group(0).stdin(Stdio::null()).stdout(log).spawn();
        let child = child.unwrap_or_else(|error| panic!("{server} cannot be started: {error}"));
        let child = self.child.insert(child);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if ask(self.port, &["PING"]).is_ok() {
                return true;
            }
            if child.try_wait().ok().flatten().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // What is left does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends one command; any answer is one, also a refusal.
fn ask(port: u16, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let parts = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let command = format!("*{}\r\n{}", words.len(), parts.collect::<String>());
    stream.write_all(command.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}
