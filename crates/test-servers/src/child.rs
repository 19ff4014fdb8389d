//! A server that a test has for itself, as a process: started on free ports, awaited, ended with its folder.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::own_name;
use crate::own_postgres::is_root;

/// Longest time for a server to answer after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a start is tried: somebody else may take a port between its being found and its being bound.
const TRIES: u32 = 5;

/// A process with a folder of its own. Killed when dropped, and its folder removed.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    folder: PathBuf,
    process: Option<std::process::Child>,
}

impl Child {
    /// A folder for a server that is not started yet.
    pub(crate) fn new(name: &'static str) -> Self {
        let folder = std::env::temp_dir().join(own_name());
        fs::create_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be made: {error}", folder.display()));
        Self { name, folder, process: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it for the first time, on ports that are free now, and gives them.
    pub(crate) fn start_on<const N: usize>(
        &mut self,
        command: impl Fn([u16; N]) -> Command,
        is_ready: impl Fn([u16; N]) -> bool,
    ) -> [u16; N] {
        for _ in 0..TRIES {
            let ports = free_ports();
            if self.start(command(ports), || is_ready(ports)) {
                return ports;
            }
        }
        panic!("no {} starts: {}", self.name, self.log());
    }

    /// Starts it again as it was.
    pub(crate) fn restart(&mut self, command: Command, is_ready: impl Fn() -> bool) {
        self.kill();
        assert!(self.start(command, is_ready), "{} does not start again: {}", self.name, self.log());
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.as_ref().unwrap_or_else(|| panic!("{} is not running", self.name));
        let sent = Command::new("kill").arg(format!("-{name}")).arg(process.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} is gone", self.name);
    }

    fn start(&mut self, command: Command, is_ready: impl Fn() -> bool) -> bool {
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.unwrap_or_else(|error| panic!("the log cannot be made: {error}"));
        let also = log.try_clone().unwrap_or_else(|error| panic!("the log cannot be shared: {error}"));
        let mut command = ending_with_us(command);
        let child = command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(also).spawn();
        let child = child.unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.name));
        let child = self.process.insert(child);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if is_ready() {
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

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        // What is left does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The same program, which ends with the thread that starts it where the system can do that.
fn ending_with_us(command: Command) -> Command {
    if !has_setpriv() {
        return command;
    }
    let mut ending = Command::new("setpriv");
    ending.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => ending.env(name, value),
            None => ending.env_remove(name),
        };
    }
    ending
}

/// Ports that are free, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
}

/// A program that the kernel ends with the thread that starts it. As somebody who is not root if `needs_user`, for
/// servers that refuse to be.
pub(crate) fn command(program: &str, needs_user: bool) -> Command {
    if !has_setpriv() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if needs_user && is_root() {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// A port that is free, and stays so while its server is away: it lies below those that the system gives to whoever asks for any
/// port, and to connections. A client that looks for a server which is away could otherwise be given that port itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another process of tests begins elsewhere.
    let first = 10_000 + u16::try_from(std::process::id() % 7_000).unwrap_or_default();
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 3_000);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).unwrap_or_else(|| panic!("no port is free"))
}

fn has_setpriv() -> bool {
    Command::new("setpriv").arg("--version").output().is_ok_and(|output| output.status.success())
}
