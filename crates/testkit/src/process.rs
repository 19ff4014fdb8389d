//! A child process whose lines can be waited for.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::PATIENCE;

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything it wrote to standard output and standard error, in the order of arrival.
    pub output: String,
}

#[derive(Clone, Debug)]
struct Lines {
    all: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Process {
    /// Starts a program. `arguments` and `environment` are all it gets beside the path of programs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        binary: &Path,
        arguments: &[String],
        environment: &[(String, String)],
        folder: &Path,
    ) -> anyhow::Result<Process> {
        let mut child = Command::new(binary)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let lines = Lines { all: Arc::default(), count: Arc::new(watch::Sender::new(0)) };
        lines.read(child.stdout.take());
        lines.read(child.stderr.take());
        Ok(Process { child, lines })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Waits for a line that `find` makes something of.
    ///
    /// # Errors
    /// When the program ends, or too much time passes, before such a line comes. The error holds what it said.
    pub async fn line<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let mut news = self.lines.count.subscribe();
        let lines = self.lines.clone();
        let waiting = async {
            loop {
                if let Some(found) = lines.lock().iter().find_map(|line| find(line)) {
                    return found;
                }
                if news.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            found = waiting => Ok(found),
            status = self.child.wait() => bail!("ended ({}) before {what}:\n{}", status?, self.output()),
            () = tokio::time::sleep(PATIENCE) => bail!("no {what} in time:\n{}", self.output()),
        }
    }

    /// What it has said so far.
    pub fn output(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// Sends a signal by name, such as `INT` or `STOP`.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().await?;
        if !status.success() {
            bail!("cannot send {name} to {}", self.id());
        }
        Ok(())
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn kill(mut self) -> anyhow::Result<Stopped> {
        self.child.start_kill()?;
        self.ended().await
    }

    /// Asks it to stop, as Ctrl-C does, and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn interrupt(self) -> anyhow::Result<Stopped> {
        self.signal("INT").await?;
        self.ended().await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(mut self) -> anyhow::Result<Stopped> {
        let waited = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = waited else { bail!("it did not end in time:\n{}", self.output()) };
        // The last lines may still be on their way through the pipe; its readers end when the pipe does.
        let closed = tokio::time::timeout(PATIENCE, self.lines.all_read()).await;
        if closed.is_err() {
            bail!("its output did not end:\n{}", self.output());
        }
        Ok(Stopped { status: status?, output: self.output() })
    }
}

impl Lines {
    fn read(&self, source: Option<impl AsyncRead + Unpin + Send + 'static>) {
        let Some(source) = source else { return };
        let lines = self.clone();
        waypost_telemetry::spawn(async move {
            let mut reader = BufReader::new(source).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lock().push(line);
                lines.count.send_modify(|count| *count += 1);
            }
        });
    }

    /// Waits until no reader is left: each holds one clone of the list.
    async fn all_read(&self) {
        while Arc::strong_count(&self.all) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
