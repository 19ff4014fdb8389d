//! What an operator sees and does: the commands against a running process.

mod dead_letters;
mod orders;
mod payments;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{PATIENCE, Stopped, ended, waypost};

/// Runs a command of an operator against the process with this admin address.
pub fn operate(folder: &Path, admin: &str, arguments: &[&str]) -> Stopped {
    ended(waypost(folder).args(arguments).args(["--admin", admin]).env("USER", "ann"))
}

/// Its answer as JSON.
pub fn answer(folder: &Path, admin: &str, arguments: &[&str]) -> Value {
    let ended = operate(folder, admin, &[arguments, &["--json"]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

/// Waits until `probe` gives a value.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every line fits into a terminal of 80 columns.
pub fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

/// The text without its line breaks.
pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
