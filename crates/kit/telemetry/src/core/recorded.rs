//! Which failures of which traces a handle has logged already, so that none is logged twice.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use opentelemetry::trace::{SpanContext, SpanId, TraceId};

/// Whether an error was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Never in this trace.
    First,
    /// On this very span.
    Here,
    /// On another span of the trace.
    Elsewhere,
}

/// Which errors of which traces were logged, and on which span; newest last. Only failures come here, so one lock is
/// enough.
#[derive(Debug, Default)]
pub(crate) struct RecordedErrors(Mutex<VecDeque<(TraceId, u64, SpanId)>>);

impl RecordedErrors {
    const CAPACITY: usize = 1_024;

    /// Remembers an error. Outside any trace every error is new.
    pub(crate) fn see(&self, span: &SpanContext, fingerprint: u64) -> Seen {
        let trace = span.trace_id();
        if trace == TraceId::INVALID {
            return Seen::First;
        }
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recorded.iter().find(|known| (known.0, known.1) == (trace, fingerprint));
        if let Some((_, _, first)) = known {
            return if *first == span.span_id() { Seen::Here } else { Seen::Elsewhere };
        }
        if recorded.len() == Self::CAPACITY {
            recorded.pop_front();
        }
        recorded.push_back((trace, fingerprint, span.span_id()));
        Seen::First
    }
}
