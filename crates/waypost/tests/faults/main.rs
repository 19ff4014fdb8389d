//! The shop while something between its roles, or one of them, fails: whatever happens, once it is over the books are
//! right and nobody was told anything that is not so.
//!
//! Each role runs in a process of its own with a lossy proxy on every way. What goes wrong is decided by seeds: a test
//! that fails names those of the orders that are not right, and `SEED=<n>` runs one of them alone. `SEEDS=<n>` runs
//! more of them than CI does.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "what tests call is a test too")]

mod backup;
mod clock;
mod course;
mod fence;
#[cfg(feature = "kafka")]
mod fronts;
mod kills;
mod lossy;
mod lost;
mod moved;
mod pauses;
#[cfg(feature = "kafka")]
mod rebalance;
#[cfg(feature = "kafka")]
mod replicas;
mod scripts;
mod server;
mod shop;
mod verdict;

use tokio::sync::{Mutex, MutexGuard};

/// Seven processes each: two of these tests at once would only measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());

pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

/// A number from the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
