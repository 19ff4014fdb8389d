//! Events on their way from the outbox to the broker.

use std::collections::HashMap;

use waypost_telemetry::messaging::{HeaderCarrier, send_span};
use waypost_telemetry::{ErrorType, Outcome, SpanGuard, propagation};

use crate::broker::{Ack, KIND_HEADER, Record};
use crate::outbox::{Event, Pending};

/// An event on its way, with the span of sending it.
pub(super) struct Sending {
    pub(super) position: i64,
    pub(super) record: Record,
    /// How often it was sent.
    pub(super) attempts: u32,
    span: SpanGuard,
}

impl Sending {
    /// The record of an event, and the span of sending it, which begins.
    pub(super) fn begin(pending: Pending, system: &'static str) -> Sending {
        let Pending { position, event, appended_at } = pending;
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
        let record = Record { topic, key, payload, headers, id, timestamp: Some(appended_at) };
        Sending { position, record, attempts: 0, span }
    }

    /// The broker has it.
    pub(super) fn taken(self, ack: Ack) {
        self.span.set("messaging.destination.partition.id", ack.partition.to_string());
        self.span.end(Outcome::Ok);
    }

    /// It was not taken, and is not tried again by this span.
    pub(super) fn failed(self, error: &dyn ErrorType) {
        self.span.end(Outcome::Error(error.error_type()));
    }
}

/// Events in rounds, in which each key of a topic occurs at most once: the next event of a key is in a later round, to be
/// sent when the one before was taken. Events without a key have no order and are all in the first round.
pub(super) fn rounds(pending: Vec<Pending>) -> Vec<Vec<Pending>> {
    let mut next_round: HashMap<(&str, &str), usize> = HashMap::new();
    let places: Vec<usize> = pending
        .iter()
        .map(|Pending { event, .. }| {
            if event.key.is_empty() {
                return 0;
            }
            let next = next_round.entry((&event.topic, &event.key)).or_default();
            *next += 1;
            *next - 1
        })
        .collect();
    let mut rounds: Vec<Vec<Pending>> = Vec::new();
    for (place, pending) in places.into_iter().zip(pending) {
        match rounds.get_mut(place) {
            Some(round) => round.push(pending),
            None => rounds.push(vec![pending]),
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn each_key_occurs_once_per_round_and_in_order() {
        let event = |(position, key): (i64, &&str)| Pending {
            position,
            appended_at: SystemTime::UNIX_EPOCH,
            event: Event::new(position.to_string(), "t", *key, "kind", Vec::new()),
        };
        let pending = (0..).zip(&["a", "", "b", "a", "a", "", "b"]).map(event).collect();
        let rounds = rounds(pending);
        let positions: Vec<Vec<i64>> =
            rounds.iter().map(|round| round.iter().map(|event| event.position).collect()).collect();
        assert_eq!(positions, [vec![0, 1, 2, 5], vec![3, 6], vec![4]]);
    }
}
