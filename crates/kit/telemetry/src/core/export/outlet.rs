//! Where frames leave the process: an OTLP receiver, with retries, or standard output.

use std::io::Write as _;

use tokio::time::Instant;

use super::complaint;
use super::console::Console;
use super::file::File;
use super::frame::Frame;
use super::otlp::Otlp;
use crate::base::ledger::DropReason;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The receiver took it, but for `rejected` items.
    Accepted {
        /// Items the receiver named as refused.
        rejected: u64,
    },
    /// It was given up; another time it may be taken.
    Failed,
    /// It will never be taken.
    Refused,
    /// It is larger than a request may be and was not sent: in parts it may be.
    TooLarge,
}

impl Sent {
    /// The `error.type` of the export.
    pub(super) fn error(&self) -> Option<&'static str> {
        match self {
            Self::Accepted { rejected: 0 } => None,
            Self::Accepted { .. } => Some(DropReason::Rejected.as_str()),
            Self::Failed | Self::Refused => Some(DropReason::ExportFailed.as_str()),
            Self::TooLarge => Some(DropReason::TooLarge.as_str()),
        }
    }
}

pub(crate) enum Outlet {
    Otlp(Box<Otlp>),
    /// Writes the text that a request stands for.
    Console(Console),
    File(Box<File>),
}

impl Outlet {
    /// Tries until `give_up`. Says nothing louder than one line a minute when it fails.
    pub(crate) async fn send(&self, frames: &[Frame], items: usize, give_up: Instant) -> Sent {
        match self {
            Self::Otlp(otlp) => otlp.send(frames, items, give_up).await,
            Self::File(file) => file.send(frames),
            Self::Console(console) => {
                let request = frames.iter().flat_map(|frame| &frame.pieces).fold(Vec::new(), |all, piece| {
                    let mut all: Vec<u8> = all;
                    all.extend_from_slice(piece);
                    all
                });
                match std::io::stdout().lock().write_all(console.render(&request).as_bytes()) {
                    Ok(()) => Sent::Accepted { rejected: 0 },
                    Err(error) => {
                        complaint::raise("standard output", &error);
                        Sent::Failed
                    }
                }
            }
        }
    }

    /// Whether the last request was answered well.
    pub(super) fn is_well(&self) -> bool {
        match self {
            Self::Otlp(otlp) => otlp.health().is_well(),
            Self::Console(_) | Self::File(_) => true,
        }
    }

    /// When something may be sent again, if that lies ahead.
    pub(super) fn pause(&self) -> Option<Instant> {
        match self {
            Self::Otlp(otlp) => otlp.health().pause(),
            Self::Console(_) | Self::File(_) => None,
        }
    }

    /// Nobody waits for long any more: the pause ends, and a receiver that is not reached is given up.
    pub(super) fn hurry(&self) {
        if let Self::Otlp(otlp) = self {
            otlp.health().hurry();
        }
    }

    /// Whether the receiver was not reached since [`Self::hurry`].
    pub(super) fn is_given_up(&self) -> bool {
        match self {
            Self::Otlp(otlp) => otlp.health().is_given_up(),
            Self::Console(_) | Self::File(_) => false,
        }
    }

    /// How much is put into one request.
    pub(super) fn max_batch_bytes(&self) -> usize {
        match self {
            Self::Otlp(otlp) => otlp.max_batch_bytes(),
            Self::Console(_) | Self::File(_) => usize::MAX,
        }
    }
}
