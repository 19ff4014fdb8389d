//! A record that failed is set aside, so that its partition goes on: into a retry topic, or among the dead letters.

use std::time::{Duration, SystemTime};

use waypost_telemetry::messaging::send_span;
use waypost_telemetry::{ErrorType, Outcome};

use super::retry::Origin;
use super::{Subscription, dead_letter, retry};
use crate::broker::{Delivery, PublishError};

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// The retry topic of this number, counted from 1, for this long.
    Retry(usize, Duration),
    /// It waits for an operator.
    DeadLetters,
}

/// Why a record is set aside.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) message: String,
    pub(super) error_type: String,
}

/// Bytes of a reason that are kept. Topics bound the size of headers, and a record that they refuse could not be set aside.
const MAX_REASON: usize = 4096;

impl Reason {
    pub(super) fn new(failed: &dyn ErrorType) -> Reason {
        Reason { message: bounded(with_causes(failed)), error_type: failed.error_type().into_owned() }
    }
}

fn bounded(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_REASON));
    message
}

/// An error with what caused it: an operator reads this long after the log line is gone.
fn with_causes(failed: &dyn ErrorType) -> String {
    let mut message = failed.to_string();
    let mut cause = failed.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}

/// Publishes a record to where it goes, as it was, with headers that tell where it came from and why it is there. Its own
/// trace context stays; the PRODUCER span belongs to the current one.
pub(super) async fn publish(
    subscription: &Subscription,
    delivery: &Delivery,
    origin: &Origin,
    destination: Destination,
    reason: &Reason,
) -> Result<(), PublishError> {
    let Subscription { broker, topic, group, .. } = subscription;
    let record = match destination {
        Destination::Retry(number, pause) => {
            let due = SystemTime::now() + pause;
            retry::waiting(&retry::retry_topic(topic, number), group, delivery, origin, due, reason)
        }
        Destination::DeadLetters => dead_letter::parked(topic, group, delivery, origin, reason),
    };
    let into = record.topic.clone();
    let span = send_span(broker.system(), &into).message_id(record.id.clone()).start();
    match broker.publish_one(record).await {
        Ok(_) => {
            tell(destination, delivery, origin, reason, &into);
            span.end(Outcome::Ok);
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%error, topic = into, "a record could not be set aside; its partition waits");
            span.end(Outcome::Error(error.error_type()));
            Err(error)
        }
    }
}

fn tell(destination: Destination, delivery: &Delivery, origin: &Origin, reason: &Reason, into: &str) {
    let Origin { topic, partition, offset } = origin;
    let error_type = &reason.error_type;
    match destination {
        Destination::Retry(_, pause) => tracing::warn!(
            topic,
            partition,
            offset,
            error_type,
            attempts = delivery.attempt,
            "a record could not be handled and waits in {into}, to be tried again in {pause:?}",
        ),
        Destination::DeadLetters => tracing::error!(
            topic,
            partition,
            offset,
            error_type,
            "a record could not be handled and was parked in {into}",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_two_letters() {
        assert_eq!(bounded("short".to_owned()), "short");
        let long = bounded("ä".repeat(MAX_REASON));
        assert_eq!((long.len(), long.chars().all(|letter| letter == 'ä')), (MAX_REASON, true));
        assert_eq!(bounded(format!("a{}", "ä".repeat(MAX_REASON))).len(), MAX_REASON - 1);
    }
}
