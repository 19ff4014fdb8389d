//! What a step or an undo is told of its try, and how it says that the try did not succeed.

use crate::Epoch;
use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};
use waypost_telemetry::ErrorType;

/// One try of one step or undo.
#[derive(Debug, Clone)]
pub struct Call {
    saga: Arc<str>,
    name: &'static str,
    attempt: u32,
    epoch: Epoch,
}

impl Call {
    /// The generation of a step's only run. Higher ones are for a step that has to be done anew under another key.
    pub const FIRST_GENERATION: u32 = 1;

    pub(super) fn new(saga: Arc<str>, name: &'static str, attempt: u32, epoch: Epoch) -> Call {
        Call { saga, name, attempt, epoch }
    }

    /// The key to send with the call: `saga:step:generation`. The same for every repetition, also after a crash,
    /// so that the other side can tell a repetition from a new request.
    pub fn key(&self) -> String {
        self.key_of(self.name, Self::FIRST_GENERATION)
    }

    /// The key of another generation, for doing a step of this saga anew (a hold that ran out is taken again).
    pub fn key_of(&self, step: &str, generation: u32) -> String {
        format!("{}:{step}:{generation}", self.saga)
    }

    /// The epoch of the runner that makes the call. Sent with it, so that the other side refuses a runner that was
    /// replaced ([`Failure::Fenced`]).
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// 1 for the first try of this round.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Why a try of a step or an undo did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<R> {
    /// The other side itself said no, and this try did nothing. Not repeated. What it tells of the step depends on the
    /// tries before it: when one of them is open, the step may have been done all the same, so it is undone.
    Refused(R),
    /// The other side said no, and it was made sure that it stays at that: neither the step nor one that follows it has
    /// or will have an effect, but for such as the undos of the steps before it take back. From the pivot on, only this
    /// counts when an earlier try is open.
    RefusedForGood(R),
    /// The try may or may not have had its effect, now or later: repeated with the same key.
    Unknown(R),
    /// The other side answered what its contract does not allow, as one of another version may. The try may have had its
    /// effect, and trying again at once would tell no more: the round ends here.
    Malformed(R),
    /// The other side has seen a runner of a later epoch: this one was replaced, and stops without another word. The try
    /// had no effect and will have none.
    Fenced(R),
    /// The try did not leave this process. It is made again after a while and not counted.
    NotSent {
        /// Why.
        reason: R,
        /// How long to wait at least.
        retry_in: Duration,
    },
}

impl<R> Failure<R> {
    /// The reason, whichever kind it is.
    pub fn reason(&self) -> &R {
        match self {
            Failure::Refused(reason)
            | Failure::RefusedForGood(reason)
            | Failure::Unknown(reason)
            | Failure::Malformed(reason)
            | Failure::Fenced(reason)
            | Failure::NotSent { reason, .. } => reason,
        }
    }

    /// The reason alone.
    pub fn into_reason(self) -> R {
        match self {
            Failure::Refused(reason)
            | Failure::RefusedForGood(reason)
            | Failure::Unknown(reason)
            | Failure::Malformed(reason)
            | Failure::Fenced(reason)
            | Failure::NotSent { reason, .. } => reason,
        }
    }
}

impl<R: fmt::Display> fmt::Display for Failure<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

/// Transparent: what is below the reason is below the failure.
impl<R: StdError> StdError for Failure<R> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.reason().source()
    }
}

impl<R: ErrorType> ErrorType for Failure<R> {
    fn inner(&self) -> Option<&dyn ErrorType> {
        Some(self.reason())
    }
}
