//! Where a batch leaves the process: an OTLP receiver, with retries, or standard output.

use std::io::Write as _;

use tokio::time::Instant;

use super::complaint;
use super::otlp::Otlp;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The receiver took it, but for `rejected` items.
    Accepted {
        /// Items the receiver named as refused.
        rejected: u64,
    },
    /// It was given up.
    Failed,
}

pub(crate) enum Outlet<T: 'static> {
    Otlp(Box<Otlp<T>>),
    /// Writes one item as a line.
    Console(fn(&T) -> String),
}

impl<T: Send + 'static> Outlet<T> {
    /// Tries until `give_up`. Says nothing louder than one line a minute when it fails.
    pub(crate) async fn send(&mut self, batch: Vec<T>, give_up: Instant) -> Sent {
        match self {
            Self::Otlp(otlp) => otlp.send(batch, give_up).await,
            Self::Console(line) => {
                let lines: String = batch.iter().map(|item| line(item) + "\n").collect();
                match std::io::stdout().lock().write_all(lines.as_bytes()) {
                    Ok(()) => Sent::Accepted { rejected: 0 },
                    Err(error) => {
                        complaint::raise("standard output", &error);
                        Sent::Failed
                    }
                }
            }
        }
    }
}
