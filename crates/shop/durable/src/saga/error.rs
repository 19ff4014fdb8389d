//! What can go wrong around a saga, as opposed to inside one of its steps.

use std::{borrow::Cow, error::Error as StdError};
use waypost_telemetry::ErrorType;

/// A plan that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Names are what journals and keys are told apart by.
    #[error("two steps or undos of the plan are called {0}")]
    NameTwice(&'static str),
    /// There is one point of no return.
    #[error("the plan has two pivots")]
    TwoPivots,
    /// Nothing is undone from the pivot on.
    #[error("step {0} has an undo, but stands at or after the pivot")]
    UndoAfterPivot(&'static str),
    /// Before the pivot a refusal turns the saga back, so there is nothing to make up for.
    #[error("step {0} has an `otherwise`, but stands at or before the pivot")]
    OtherwiseBeforePivot(&'static str),
}

/// Why a unit was not written to a journal.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The journal has other rows than the runner knows: a cancel request came in, or another runner took over.
    #[error("the journal has changed meanwhile")]
    Conflict,
    /// The saga belongs to another runner now.
    #[error("another runner has taken the saga over")]
    Fenced,
    /// The store could not write, or it is not known whether it did.
    #[error("cannot write the journal")]
    Failed(#[source] Box<dyn StdError + Send + Sync>),
}

/// Why a runner stopped without bringing its saga to an end. Nothing is lost: the saga can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal could not be written or read.
    #[error("saga {saga} cannot go on")]
    Journal {
        /// The id of the saga.
        saga: String,
        /// What the journal said.
        #[source]
        source: AppendError,
    },
    /// The journal speaks of a step that the plan does not have: it was written by another version.
    #[error("the journal of saga {saga} names a step that the plan does not have: {step}")]
    UnknownStep {
        /// The id of the saga.
        saga: String,
        /// The name in the journal.
        step: String,
    },
}

impl ErrorType for AppendError {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            AppendError::Conflict => "saga_conflict",
            AppendError::Fenced => "saga_fenced",
            AppendError::Failed(_) => "saga_journal_failed",
        })
    }

    /// A conflict is the fence at work, not a failure.
    fn is_failure(&self) -> bool {
        matches!(self, AppendError::Failed(_))
    }
}

impl ErrorType for Error {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Error::Journal { source, .. } => source.error_type(),
            Error::UnknownStep { .. } => Cow::Borrowed("saga_unknown_step"),
        }
    }
}
