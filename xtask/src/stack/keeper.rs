//! The process that owns the servers of the stack, and what others ask it.
//!
//! A question is one line over a socket, and the answer the state as JSON. `down` is answered when everything is gone.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::place::Place;
use crate::servers::{Servers, Set};

pub(super) const STATUS: &str = "status";
pub(super) const DOWN: &str = "down";

const POLL: Duration = Duration::from_millis(50);

/// What a keeper says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// What leads tests to the servers.
    pub(super) variables: Vec<(String, String)>,
    /// One line for each server that has ended by itself.
    pub(super) ended: Vec<String>,
}

impl State {
    fn of(servers: &Servers) -> Self {
        let text = |value: &std::ffi::OsString| value.to_string_lossy().into_owned();
        let variables = servers.variables().iter().map(|(name, value)| ((*name).to_owned(), text(value)));
        Self { variables: variables.collect(), ended: servers.ended() }
    }

    /// Whether any of what shows telemetry is up.
    pub(super) fn shows_telemetry(&self) -> bool {
        let names = ["TEST_ZIPKIN_URL", "TEST_COLLECTOR_URL", "TEST_PROMETHEUS_URL", "TEST_JAEGER_URL"];
        self.variables.iter().any(|(name, _)| names.contains(&name.as_str()))
    }

    fn written(&self) -> String {
        json!({ "variables": self.variables, "ended": self.ended }).to_string()
    }

    fn read(text: &str) -> anyhow::Result<Self> {
        let whole: Value = serde_json::from_str(text).context("the keeper's answer is no JSON")?;
        let list = |key: &str| whole[key].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            variables: list("variables").iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            ended: list("ended").iter().map(text).collect(),
        })
    }
}

/// What the keeper answers; `None` when there is none.
pub(super) fn ask(place: &Place, question: &str) -> anyhow::Result<Option<State>> {
    let mut stream = match UnixStream::connect(place.socket()) {
        Ok(stream) => stream,
        // Nobody listens, though a keeper that was killed may have left its socket.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("asking {}", place.socket().display())),
    };
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the keeper did not answer")?;
    State::read(&answer).map(Some)
}

/// Starts a keeper in the background and waits until its servers answer.
pub(super) fn start(place: &Place, arguments: &[&str]) -> anyhow::Result<State> {
    place.make()?;
    let log = File::create(place.log()).with_context(|| format!("making {}", place.log().display()))?;
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let mut keeper = Command::new(program)
        .args(["stack", "keep"])
        .args(arguments)
        // Ctrl-C at the terminal is not for it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("the keeper could not be started")?;
    let mut told = 0;
    loop {
        told = pass_on(&place.log(), told);
        if let Some(state) = ask(place, STATUS)? {
            pass_on(&place.log(), told);
            return Ok(state);
        }
        if let Some(status) = keeper.try_wait()? {
            pass_on(&place.log(), told);
            // Another `up` may have been quicker.
            return ask(place, STATUS)?.ok_or_else(|| anyhow!("the keeper ended: {status}"));
        }
        thread::sleep(POLL);
    }
}

/// Says what a log has beyond `told` bytes; returns how many it has.
fn pass_on(log: &Path, told: usize) -> usize {
    let text = fs::read_to_string(log).unwrap_or_default();
    crate::needs::tell(text.get(told..).unwrap_or_default());
    text.len().max(told)
}

/// The keeper itself: `cargo xtask stack keep`.
pub(super) fn keep(place: &Place, target: &Path, set: Set) -> anyhow::Result<()> {
    place.make()?;
    let Some(_lock) = place.lock()? else {
        bail!("another keeper is at work in {}", place.folder().display())
    };
    // Left by one that was killed; its servers went with it.
    let servers = place.folder().join("servers");
    for left in [&servers, &place.socket()] {
        remove(left)?;
    }
    crate::servers::make_folder(&servers)?;
    let running = Servers::start(target, &servers, set);
    running.watch();
    // Bound when everything answers: whoever can ask gets a whole answer.
    let listener = UnixListener::bind(place.socket())
        .with_context(|| format!("binding {}", place.socket().display()))?;
    let asker = serve(&listener, &running);
    running.stop();
    let removed = fs::remove_dir_all(place.folder()).context("removing the folder of the stack");
    if let Some(mut asker) = asker {
        // Whoever asked may have gone.
        let _ = asker.write_all(State::default().written().as_bytes());
    }
    removed
}

/// Answers until one asks for the end; that one is answered last.
fn serve(listener: &UnixListener, servers: &Servers) -> Option<UnixStream> {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        // One that asks nothing must not hold up the others.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut question = String::new();
        if BufReader::new(&stream).read_line(&mut question).is_err() {
            continue;
        }
        match question.trim() {
            DOWN => return Some(stream),
            _ => drop(stream.write_all(State::of(servers).written().as_bytes())),
        }
    }
    None
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
