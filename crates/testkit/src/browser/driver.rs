//! The driver's process and everything that it starts, as one group that ends with its owner.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use crate::PATIENCE;

/// The driver runs beside a reader of a pipe whose other end is ours. When that end is closed, because the browser is
/// dropped or because the test process is gone however it went, the shell kills its group: the driver, Chromium and
/// Chromium's children.
const GROUP: &str = r#"("$0" --port=0; echo "ended with $?") & cat >/dev/null; kill -KILL 0"#;

/// A running driver.
#[derive(Debug)]
pub(super) struct Driver {
    group: Child,
    address: SocketAddr,
}

impl Driver {
    /// Starts it on a free port of its own choice. Everything that it or the browser writes goes into `folder`.
    pub(super) async fn start(chromedriver: &Path, folder: &Path) -> anyhow::Result<Driver> {
        // It takes a free port of IPv6 and then the same of IPv4, which somebody else may have.
        for _ in 0..5 {
            match Driver::try_start(chromedriver, folder).await {
                Err(error) if error.to_string().contains("port not available") => {}
                outcome => return outcome,
            }
        }
        Driver::try_start(chromedriver, folder).await
    }

    async fn try_start(chromedriver: &Path, folder: &Path) -> anyhow::Result<Driver> {
        let mut group = Command::new("sh")
            .args(["-c", GROUP])
            .arg(chromedriver)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .envs([("LANG", "C.UTF-8"), ("TZ", "UTC")])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", chromedriver.display()))?;
        let lines = lines(&mut group);
        let mut driver = Driver { group, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let port = tokio::time::timeout(PATIENCE, port(lines)).await;
        driver.address.set_port(port.context("chromedriver did not say its port in time")??);
        Ok(driver)
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.group.stdin.take());
        // The shell kills itself with its group, so this does not wait for long.
        let _ = self.group.wait();
    }
}

/// What it says, line by line. Read to the end by a thread, so that the pipe never fills.
fn lines(group: &mut Child) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    if let Some(output) = group.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The receiver is gone once the port is known.
                let _ = sender.send(line);
            }
        });
    }
    lines
}

async fn port(mut lines: mpsc::UnboundedReceiver<String>) -> anyhow::Result<u16> {
    let mut said = Vec::new();
    while let Some(line) = lines.recv().await {
        if let Some(port) = port_in(&line) {
            return Ok(port);
        }
        let ended = line.starts_with("ended with ");
        said.push(line);
        if ended {
            break;
        }
    }
    bail!("chromedriver did not start:\n{}", said.join("\n"))
}

fn port_in(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_that_it_listens_on_and_not_the_one_that_it_was_given() {
        assert_eq!(port_in("Starting ChromeDriver 156.0.8078.79 (a21ce95) on port 0"), None);
        assert_eq!(port_in("ChromeDriver was started successfully on port 33633."), Some(33_633));
    }

    #[tokio::test]
    async fn a_driver_that_does_not_start_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let error = Driver::start(Path::new("/nowhere/chromedriver"), folder.path()).await.unwrap_err();
        assert_eq!(error.to_string(), "chromedriver did not start:\nended with 127");
    }
}
