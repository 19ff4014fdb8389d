//! Processes of this program: started with a hidden command, asked line by line, ended with their input.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;

/// Variables of a process, beside those of this one that are not for telemetry.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// A running process. Dropped, it is ended.
pub(crate) struct Process {
    child: Child,
    /// `None` once it is told to end.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    command: String,
}

impl Process {
    pub(crate) fn start(arguments: &[&str], environment: &Environment) -> anyhow::Result<Self> {
        Self::begin(Command::new(std::env::current_exe()?), arguments, environment)
    }

    /// As [`start`](Self::start), under another program that runs it.
    pub(crate) fn start_under(
        program: &str,
        options: &[&str],
        arguments: &[&str],
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(options).arg(std::env::current_exe()?);
        Self::begin(command, arguments, environment)
    }

    fn begin(mut command: Command, arguments: &[&str], environment: &Environment) -> anyhow::Result<Self> {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("OTEL_") || name == "RUST_LOG") {
                command.env_remove(name);
            }
        }
        command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = Some(child.stdin.take().context("no input")?);
        let output = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { child, input, output, command: arguments.join(" ") })
    }

    /// The next line it writes.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        match self.output.next() {
            Some(line) => Ok(line?),
            None => bail!("`{}` ended before it answered", self.command),
        }
    }

    /// The next line, as JSON.
    pub(crate) fn read<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("`{}` wrote: {line}", self.command))
    }

    /// Sends a line and reads the answer.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, question: &str) -> anyhow::Result<T> {
        writeln!(self.input.as_mut().context("it is told to end")?, "{question}")?;
        self.read()
    }

    /// Closes its input and waits for its end, which must be a success.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.command);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers the lines of the process that started this one, on a thread; the process ends when the lines do.
pub(crate) fn answer_lines(mut answer: impl FnMut(&str) -> anyhow::Result<String> + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match answer(&line) {
                Ok(text) => println!("{text}"),
                // Whoever asked reads this in place of the answer and reports it.
                Err(error) => println!("{error:#}"),
            }
        }
        std::process::exit(0);
    });
}
