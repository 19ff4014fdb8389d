//! The child process of every test: started, read line by line, ended by a signal, killed when dropped.
//!
//! For the tests and measurements of all crates, so it stands on nothing of ours. It is the same for tests that await and
//! for tests that block: threads read what the child says, so nothing stands still while nobody waits for it.
//!
//! ```
//! use std::process::Command;
//! use waypost_test_process::Process;
//!
//! # fn main() -> anyhow::Result<()> {
//! let mut child = Process::start(Command::new("sh").args(["-c", "echo listening on 8080; read stop"]))?;
//! let port = child.wait_for_line("the port", |line| line.strip_prefix("listening on ").map(str::to_owned))?;
//! assert_eq!(port, "8080");
//! let stopped = child.kill_and_wait()?;
//! assert_eq!(stopped.out, "listening on 8080\n");
//! # Ok(())
//! # }
//! ```
//!
//! Left out: how a program is configured; the testkit knows that of `waypost`.

mod output;
mod process;

pub use process::{Process, Stopped};

use std::time::Duration;

/// How long a test waits for something that should happen at once. Long, because a loaded machine is slow; it is never
/// waited out by a test that passes.
pub const PATIENCE: Duration = Duration::from_mins(1);
