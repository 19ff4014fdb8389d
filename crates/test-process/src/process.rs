//! A child process whose lines can be waited for.

use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, bail};

use crate::PATIENCE;
use crate::output::{Output, Said, Stream};

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Output,
    /// How it was started, for errors.
    command: String,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
    /// Both, in the order of arrival.
    pub output: String,
}

impl Process {
    /// Starts a program with nothing to read; both of its outputs are kept here.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let started = format!("{} {}", command.get_program().display(), arguments(command));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {started}"))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let output = Output::of(2);
        output.read(Stream::Out, out.context("standard output is not piped")?);
        output.read(Stream::Err, err.context("standard error is not piped")?);
        Ok(Self { child, output, command: started })
    }

    /// Runs a program to its end, blocking the thread.
    ///
    /// # Errors
    /// When it cannot be started, or does not end in time.
    pub fn run(command: &mut Command) -> anyhow::Result<Stopped> {
        Self::start(command)?.wait()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn output(&self) -> String {
        let said = self.output.lock();
        said.lines().collect::<Vec<_>>().join("\n")
    }

    /// What it has written to standard output so far.
    pub fn out(&self) -> String {
        self.output.lock().text(Stream::Out)
    }

    /// Waits for a line that `find` makes something of; it may have come before.
    ///
    /// # Errors
    /// When the program ends, or too much time passes, before such a line comes. The error holds what it said.
    pub async fn line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let found = self.output.until(PATIENCE, |said| found(said, &find)).await;
        self.or_why(what, found)
    }

    /// As [`Process::line`], blocking the thread.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub fn wait_for_line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let found = self.output.wait(PATIENCE, |said| found(said, &find));
        self.or_why(what, found)
    }

    /// Waits until there are `count` lines that `find` makes something of, blocking the thread.
    ///
    /// # Errors
    /// As [`Process::line`].
    pub fn wait_for_lines<T>(
        &mut self,
        count: usize,
        what: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<()> {
        let enough = |said: &Said| said.lines().filter_map(&find).nth(count.saturating_sub(1)).is_some();
        let found = self.output.wait(PATIENCE, |said| {
            if enough(said) { Some(Ok(())) } else { said.has_ended().then_some(Err(Ended)) }
        });
        self.or_why(what, found)
    }

    /// Sends a signal by name, such as `INT` or `STOP`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot send {name} to {} ({})", self.id(), self.command);
        }
        Ok(())
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn kill(mut self) -> anyhow::Result<Stopped> {
        self.child.kill()?;
        self.ended().await
    }

    /// As [`Process::kill`], blocking the thread.
    ///
    /// # Errors
    /// As [`Process::kill`].
    pub fn kill_and_wait(mut self) -> anyhow::Result<Stopped> {
        self.child.kill()?;
        self.wait()
    }

    /// Asks it to stop, as Ctrl-C does, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn interrupt(self) -> anyhow::Result<Stopped> {
        self.signal("INT")?;
        self.ended().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(self) -> anyhow::Result<Stopped> {
        let ended = self.output.until(PATIENCE, |said| said.has_ended().then_some(())).await;
        self.stopped(ended)
    }

    /// As [`Process::ended`], blocking the thread.
    ///
    /// # Errors
    /// As [`Process::ended`].
    pub fn wait(self) -> anyhow::Result<Stopped> {
        let ended = self.output.wait(PATIENCE, |said| said.has_ended().then_some(()));
        self.stopped(ended)
    }

    /// Its outputs end when it does, so there is nothing left to wait for but the status.
    fn stopped(mut self, ended: Option<()>) -> anyhow::Result<Stopped> {
        if ended.is_none() {
            bail!("{} did not end in time:\n{}", self.command, self.output());
        }
        let (status, output) = (self.child.wait()?, self.output());
        let (said, code) = (self.output.lock(), status.code().unwrap_or(-1));
        Ok(Stopped { status, code, out: said.text(Stream::Out), err: said.text(Stream::Err), output })
    }

    fn or_why<T>(&mut self, what: &str, found: Option<Result<T, Ended>>) -> anyhow::Result<T> {
        match found {
            Some(Ok(found)) => Ok(found),
            Some(Err(Ended)) => {
                let status = self.child.wait()?;
                bail!("{} ended ({status}) before {what}:\n{}", self.command, self.output())
            }
            None => bail!("{}: no {what} in time:\n{}", self.command, self.output()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It has said all that it will say, and what was waited for is not among it.
struct Ended;

/// What the first fitting line gives; `None` when it may still come.
fn found<T>(said: &Said, find: impl Fn(&str) -> Option<T>) -> Option<Result<T, Ended>> {
    match said.lines().find_map(find) {
        Some(found) => Some(Ok(found)),
        None => said.has_ended().then_some(Err(Ended)),
    }
}

fn arguments(command: &Command) -> String {
    command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
