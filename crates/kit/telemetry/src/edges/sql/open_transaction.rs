//! Whether a transaction was ended by somebody.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

/// A transaction that nobody has ended yet. Dropped, it says so on the span that is current: the event
/// `waypost.db.transaction.dropped`.
pub(super) struct OpenTransaction {
    is_open: bool,
}

impl OpenTransaction {
    pub(super) fn begun() -> Self {
        Self { is_open: true }
    }

    /// It is committed or rolled back by somebody who says so.
    pub(super) fn end(mut self) {
        self.is_open = false;
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        if self.is_open {
            Context::map_current(|context| {
                context.span().add_event("waypost.db.transaction.dropped", Vec::new());
            });
        }
    }
}
