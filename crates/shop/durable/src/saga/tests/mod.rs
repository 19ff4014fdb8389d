//! The proof of the saga's invariants: [`exhaustive`] for the decision, [`running`] and [`refusals`] for the runner.

mod exhaustive;
mod refusals;
mod running;

use super::*;
use std::borrow::Cow;
use waypost_telemetry::ErrorType;

/// Why a step of a test did not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{0}")]
pub(super) struct Reason(pub(super) String);

impl ErrorType for Reason {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Owned(self.0.clone())
    }
}

pub(super) fn because(reason: &str) -> Reason {
    Reason(reason.to_owned())
}

/// Where the saga of this shape stands after these facts.
pub(super) fn phase<O, R>(shape: &Shape, entries: &[Entry<O, R>]) -> Phase {
    shape.view(entries, &[]).phase()
}
