//! One server as a child process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::needs::{on_path, output};

/// Longest time for a server to answer after its start, beside builds too, and to end after it was told to.
const PATIENCE: Duration = Duration::from_mins(3);

const POLL: Duration = Duration::from_millis(10);

/// A start that failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// A port was taken between being found free and being bound.
    pub(super) is_in_use: bool,
    pub(super) reason: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { is_in_use: false, reason: error.into() }
    }
}

/// As whom a server runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum User {
    /// Whoever runs this program.
    Own,
    /// Nobody in particular, by user and group.
    Nobody { user: u32, group: u32 },
}

impl User {
    /// For a server that refuses to run as root.
    pub(super) fn nobody() -> anyhow::Result<Self> {
        let id = |option| output(Command::new("id").args([option, "nobody"]));
        Ok(Self::Nobody { user: id("-u")?.parse()?, group: id("-g")?.parse()? })
    }

    /// Gives a folder to this user.
    pub(super) fn give(self, path: &Path) -> anyhow::Result<()> {
        let Self::Nobody { user, group } = self else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(user), Some(group))
            .with_context(|| format!("giving {} to user {user}", path.display()))
    }

    /// A program as this user. It gets the signal when the thread that starts it ends, however that comes.
    pub(super) fn command(self, program: &Path, on_death: Signal) -> anyhow::Result<Command> {
        let Some(setpriv) = on_path(&["setpriv"]) else {
            if matches!(self, Self::Nobody { .. }) {
                bail!(
                    "`setpriv` is needed to run {} as another user than root (Debian: util-linux)",
                    program.display()
                );
            }
            return Ok(Command::new(program));
        };
        let mut command = Command::new(setpriv);
        command.arg("--pdeathsig").arg(on_death.name());
        if let Self::Nobody { user, group } = self {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        }
        command.arg("--").arg(program);
        Ok(command)
    }
}

/// How a server is ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    /// It ends at once and takes its own children along.
    Quit,
    /// It has none.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

/// A running server. Dropped, it is ended and waited for.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
    stop: Signal,
}

impl Process {
    /// Starts a program in a group of its own, so that Ctrl-C at the terminal ends its owner and not the server under a
    /// test. What it says goes to `log`.
    pub(super) fn start<A: AsRef<OsStr>>(
        user: User,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        stop: Signal,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let said = File::create(log).with_context(|| format!("making {}", log.display()))?;
        let child = user
            .command(program, stop)?
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("`{}` could not be started", program.display()))?;
        Ok(Self { child, log: log.to_owned(), stop })
    }

    /// Waits until the server answers.
    pub(super) fn ready(&mut self, mut answers: impl FnMut(u32) -> bool) -> Result<(), Failed> {
        let begun = Instant::now();
        while !answers(self.child.id()) {
            if let Some(how) = self.ended() {
                let said = fs::read_to_string(&self.log).unwrap_or_default().to_lowercase();
                let is_in_use = said.contains("address already in use") || said.contains("address in use");
                return Err(Failed { is_in_use, reason: anyhow!(how) });
            }
            if begun.elapsed() > PATIENCE {
                let reason = anyhow!("no answer in {} s; its log: {}", PATIENCE.as_secs(), self.last_words());
                return Err(Failed { is_in_use: false, reason });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{status}; its log: {}", self.last_words()))
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines.split_at(lines.len().saturating_sub(3)).1 {
            [] => "empty".to_owned(),
            last => last.join(" | "),
        }
    }

    fn wait(&mut self, longest: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < longest {
            if let Some(status) = self.child.try_wait().ok().flatten() {
                return Some(status);
            }
            thread::sleep(POLL);
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_some() {
            return;
        }
        if matches!(self.stop, Signal::Quit) {
            let id = self.child.id().to_string();
            let told = Command::new("kill").args(["-QUIT", &id]).stderr(Stdio::null()).status();
            if told.is_ok_and(|status| status.success()) && self.wait(PATIENCE).is_some() {
                return;
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
