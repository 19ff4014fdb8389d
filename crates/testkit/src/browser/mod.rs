//! A headless Chromium for tests of pages, driven as a person drives it: addresses, clicks, keys, what is on the screen.
//!
//! It speaks W3C WebDriver (plain JSON over HTTP) to `chromedriver`, and the DevTools commands that `chromedriver` passes
//! on. Each [`Browser`] has its own driver, its own empty profile and its own window; dropped, all of it is gone.
//!
//! Nothing here waits for a while and hopes: [`Browser::wait_until`] waits for a level.
//!
//! Left out: frames, several tabs, dialogs; no page of ours has them.

mod driver;
pub mod key;
mod page;
mod program;
mod session;

pub use page::{ConsoleEntry, Scheme, Window};
pub use program::{BrowserPrograms, left_out};

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use driver::Driver;
use session::Session;

/// Chromium's arguments. Tests run as root in containers, where its sandbox cannot; and nothing may go to the network but
/// what the page under test asks for.
const ARGUMENTS: [&str; 14] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-crash-reporter",
    "--disable-breakpad",
    "--hide-scrollbars",
];

/// A browser with one window. Dropped, it and everything that it started is killed, and its profile is removed.
#[derive(Debug)]
pub struct Browser {
    session: Session,
    // In this order: the profile can only be removed when nobody writes to it any more.
    _driver: Driver,
    profile: Profile,
}

impl Browser {
    /// The programs that a browser needs, when this machine has them.
    pub fn find() -> Option<BrowserPrograms> {
        BrowserPrograms::find()
    }

    /// Starts one with a window of [`Window::DESKTOP`].
    ///
    /// # Errors
    /// When a program does not start or does not answer in time.
    pub async fn start(programs: &BrowserPrograms) -> anyhow::Result<Browser> {
        let profile = Profile::new()?;
        let driver = Driver::start(&programs.chromedriver, profile.folder()).await?;
        let user_data = format!("--user-data-dir={}", profile.folder().join("profile").display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([user_data.as_str()]).collect();
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": programs.chromium,
                "args": arguments,
                "prefs": {"download.default_directory": profile.downloads()},
            },
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"implicit": 0, "pageLoad": 60_000, "script": 60_000},
        }}});
        let session = Session::open(driver.address(), &capabilities).await.context("starting Chromium")?;
        let browser = Browser { session, _driver: driver, profile };
        browser.resize(Window::DESKTOP).await?;
        Ok(browser)
    }

    /// Starts one, or says on standard error that `what` is left out because there is none.
    ///
    /// # Errors
    /// As [`Browser::start`].
    pub async fn start_or_leave_out(what: &str) -> anyhow::Result<Option<Browser>> {
        let Some(programs) = Browser::find() else {
            left_out(what, "no chromium and chromedriver; `cargo xtask test` says how to have them");
            return Ok(None);
        };
        Browser::start(&programs).await.map(Some)
    }

    /// The folder that downloads go to. It is there from the first one on.
    pub fn downloads(&self) -> PathBuf {
        self.profile.downloads()
    }

    /// Sends a DevTools command, such as `Accessibility.getFullAXTree`.
    ///
    /// # Errors
    /// When the browser refuses it.
    pub async fn devtools(&self, command: &str, parameters: Value) -> anyhow::Result<Value> {
        self.session.post("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }
}

/// A private folder for everything that the browser writes.
#[derive(Debug)]
struct Profile(TempDir);

impl Profile {
    fn new() -> anyhow::Result<Profile> {
        Ok(Profile(tempfile::Builder::new().prefix("browser-").tempdir()?))
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn downloads(&self) -> PathBuf {
        self.folder().join("downloads")
    }
}

/// Processes that were killed a moment ago may still be writing, so the folder is removed until it is gone.
impl Drop for Profile {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir_all(self.folder()).is_ok() || !self.folder().exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::until;

    /// Processes that have a path in their command line.
    fn processes_with(path: &Path) -> usize {
        let path = path.to_str().unwrap();
        let lines = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = lines.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(path)).count()
    }

    #[tokio::test]
    async fn a_dropped_browser_leaves_no_process_and_no_file() {
        let Some(browser) = Browser::start_or_leave_out("the end of a browser").await.unwrap() else {
            return;
        };
        let folder = browser.profile.folder().to_owned();
        assert!(folder.join("profile").is_dir());
        assert!(processes_with(&folder) > 1, "Chromium and its children");
        drop(browser);
        assert!(!folder.exists());
        until("the end of every process", async || processes_with(&folder) == 0).await;
    }
}
