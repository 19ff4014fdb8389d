//! Which failures of which traces a handle has logged already, so that none is logged twice.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use opentelemetry::trace::TraceId;

/// Which errors of which traces were logged, newest last. Only failures come here, so one lock is enough.
#[derive(Debug, Default)]
pub(crate) struct RecordedErrors(Mutex<VecDeque<(TraceId, u64)>>);

impl RecordedErrors {
    const CAPACITY: usize = 1_024;

    /// Remembers an error; `false` if it was known. Outside any trace every error is new.
    pub(crate) fn first_time(&self, trace: TraceId, fingerprint: u64) -> bool {
        if trace == TraceId::INVALID {
            return true;
        }
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.contains(&(trace, fingerprint)) {
            return false;
        }
        if recorded.len() == Self::CAPACITY {
            recorded.pop_front();
        }
        recorded.push_back((trace, fingerprint));
        true
    }
}
