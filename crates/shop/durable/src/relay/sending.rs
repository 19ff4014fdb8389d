//! An event between the outbox and the broker.

use waypost_telemetry::messaging::{HeaderCarrier, send_span};
use waypost_telemetry::{ErrorType, Outcome, SpanGuard, propagation};

use crate::Error;
use crate::broker::{Ack, KIND_HEADER, Record};
use crate::outbox::{Event, Pending};

/// An event on its way, with the span of sending it.
pub(super) struct Sending {
    pub(super) position: i64,
    pub(super) record: Record,
    pub(super) span: SpanGuard,
}

/// What became of records that were sent.
pub(super) enum Published {
    Acknowledged(Vec<Ack>),
    /// At least one of them will never be taken.
    Refused(Error),
    /// The broker failed while draining.
    GaveUp(Error),
}

impl Sending {
    /// The record of an event, and the span of sending it, which begins.
    pub(super) fn begin(pending: Pending, system: &'static str) -> Sending {
        let Pending { position, event, .. } = pending;
        let span = send_span(system, &event.topic)
            .parent(&event.context())
            .message_id(event.id.clone())
            .key(event.key.clone())
            .body_size(event.payload.len())
            .start()
            .cancelled_on_drop();
        let mut headers = event.headers;
        headers.push((KIND_HEADER.to_owned(), event.kind.into_bytes()));
        propagation::inject(span.context(), &mut HeaderCarrier(&mut headers));
        let Event { topic, key, payload, id, .. } = event;
        Sending { position, record: Record { topic, key, payload, headers, id }, span }
    }
}

/// Ends the spans of events that were not taken.
pub(super) fn end_failed(failed: Vec<Sending>, error: &Error) {
    for sending in failed {
        sending.span.end(Outcome::Error(error.error_type()));
    }
}
