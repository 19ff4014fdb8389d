//! The blocks of one page, run in one folder.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::block::Block;

/// How long a block may take to say that it runs.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The ports of the pages with the settings whose defaults they are.
const PORTS: [(u16, Option<&str>); 14] = [
    (8080, Some("GATEWAY")),
    (9090, Some("ORDER")),
    (9091, Some("USER")),
    (9092, Some("INVENTORY")),
    (9093, Some("PAYMENT")),
    (9095, Some("PROVIDER")),
    (9464, Some("ADMIN")),
    (9465, None),
    (9466, None),
    (16686, Some("VIEWER")),
    (4317, Some("OTLP_GRPC")),
    (4318, Some("OTLP_HTTP")),
    (9411, Some("ZIPKIN")),
    (9467, None),
];

/// Runs the blocks. What they start ends with it.
pub(crate) fn run(page: &Path, blocks: &[Block]) {
    let folder = Reader::new();
    let mut running: Vec<Running> = Vec::new();
    for block in blocks {
        let place = format!("{}:{}", page.display(), block.line);
        if block.is_alone {
            running.clear();
        }
        match (block.language.as_str(), &block.until) {
            ("toml", _) => folder.check(&place, block),
            (_, Some((words, times))) => running.push(folder.start(&place, block, words, *times)),
            (_, None) => folder.finish(&place, block),
        }
    }
}

/// Somebody with an empty folder who follows a page.
struct Reader {
    folder: TempDir,
    ports: Vec<(u16, u16)>,
}

impl Reader {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listeners = PORTS.map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let free = listeners.map(|listener| listener.local_addr().unwrap().port());
        let ports = PORTS.iter().zip(free).map(|((port, _), free)| (*port, free)).collect();
        // What a checkout is to them: `cargo run` is the program.
        let shim = format!(
            "#!/bin/sh\ntest \"$1 $2 $3\" = 'run --release --' || {{ echo \"cargo $*: not here\" >&2; exit 1; }}\n\
             shift 3\nexec {} \"$@\"\n",
            env!("CARGO_BIN_EXE_waypost")
        );
        let programs = folder.path().join("programs");
        fs::create_dir_all(folder.path().join("work")).unwrap();
        fs::create_dir(&programs).unwrap();
        fs::write(programs.join("cargo"), shim).unwrap();
        fs::set_permissions(programs.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_waypost"), programs.join("waypost")).unwrap();
        Self { folder, ports }
    }

    /// A configuration that there is nothing wrong with.
    fn check(&self, place: &str, block: &Block) {
        let file = self.folder.path().join("checked.toml");
        fs::write(&file, &block.text).unwrap();
        let checked =
            self.command("waypost").args(["config", "check", "--config"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{place}: {said}");
    }

    fn finish(&self, place: &str, block: &Block) {
        let done = self.script(block).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&done.stdout), text(&done.stderr));
        assert!(done.status.success(), "{place}: {}\n{out}\n{err}", done.status);
        if let Some(words) = &block.shows {
            assert!(out.contains(words), "{place}: no {words:?} in\n{out}\n{err}");
        }
    }

    fn start(&self, place: &str, block: &Block, words: &str, times: usize) -> Running {
        let log = self.folder.path().join(format!("log-{}", block.line));
        let file = || File::options().create(true).append(true).open(&log).unwrap();
        let child = self.script(block).process_group(0).stdout(file()).stderr(file()).spawn().unwrap();
        let mut running = Running(child);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let end = Instant::now() + TIMEOUT;
        while said().matches(words).count() < times {
            assert!(Instant::now() < end, "{place} does not say {words:?} {times} times:\n{}", said());
            let ended = running.0.try_wait().unwrap();
            assert!(ended.is_none_or(|status| status.success()), "{place} ended: {ended:?}\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    fn script(&self, block: &Block) -> Command {
        // Its target is a port as well, that of the gateway, which a page need not say.
        let text = block.text.replace("waypost load ", "waypost load --target http://localhost:8080 ");
        let text = format!("set -euo pipefail\n{}", self.moved(&text));
        let mut command = self.command("bash");
        command.args(["-c", &text]);
        command
    }

    /// The text with its ports replaced: those behind a colon.
    fn moved(&self, text: &str) -> String {
        let mut parts = text.split(':');
        let mut moved = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            let (number, rest) = part.split_at(digits);
            let free = self.ports.iter().find(|(port, _)| port.to_string() == number);
            moved.push(':');
            moved.push_str(&free.map_or_else(|| number.to_owned(), |(_, free)| free.to_string()));
            moved.push_str(rest);
        }
        moved
    }

    fn command(&self, program: &str) -> Command {
        let programs = self.folder.path().join("programs");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env_clear().env("PATH", format!("{}:{path}", programs.display()));
        command.current_dir(self.folder.path().join("work")).stdin(Stdio::null());
        for ((_, setting), (_, free)) in PORTS.iter().zip(&self.ports) {
            if let Some(setting) = setting {
                command.env(format!("WAYPOST_LISTEN__{setting}"), format!("127.0.0.1:{free}"));
            }
        }
        command
    }
}

/// A block that goes on running, with all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let signal = |name: &str| {
            let _ = Command::new("kill").args([name, "--", &group]).stderr(Stdio::null()).status();
        };
        signal("-TERM");
        let end = Instant::now() + Duration::from_secs(20);
        let is_gone = || {
            let asked = Command::new("kill").args(["-0", "--", &group]).stderr(Stdio::null()).status();
            asked.is_ok_and(|status| !status.success())
        };
        while Instant::now() < end && !is_gone() {
            // It is a zombie until it is asked for.
            let _ = self.0.try_wait();
            std::thread::sleep(Duration::from_millis(20));
        }
        signal("-KILL");
        let _ = self.0.wait();
    }
}
