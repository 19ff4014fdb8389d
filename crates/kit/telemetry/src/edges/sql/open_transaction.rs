//! Whether a transaction was ended by somebody.

use crate::core::handle::Telemetry;
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
                let now = Telemetry::clock_of(context).now();
                context.span().add_event_with_timestamp("waypost.db.transaction.dropped", now, Vec::new());
            });
        }
    }
}
