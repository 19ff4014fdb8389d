//! Parking a record that cannot be handled, with everything that is needed to handle it later.

use std::time::SystemTime;

use waypost_telemetry::messaging::send_span;
use waypost_telemetry::{ErrorType, Outcome};

use super::Subscription;
use crate::broker::{Delivery, PublishError, Record};
use crate::clock::millis;

/// The topic where the records of `topic` are parked.
pub fn dead_letter_topic(topic: &str) -> String {
    format!("{topic}.dead-letter")
}

/// Why a record is parked.
pub(super) struct Reason {
    message: String,
    error_type: String,
}

impl Reason {
    pub(super) fn new(failed: &dyn ErrorType) -> Reason {
        Reason { message: with_causes(failed), error_type: failed.error_type().into_owned() }
    }
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

/// Publishes a record to the dead-letter topic, as it was, with headers that tell where it came from and why it is
/// here. Its own trace context stays; the PRODUCER span belongs to the current one.
pub(super) async fn publish(
    subscription: &Subscription,
    delivery: &Delivery,
    reason: &Reason,
) -> Result<(), PublishError> {
    let topic = dead_letter_topic(&subscription.topic);
    let mut record = Record { topic: topic.clone(), ..delivery.record.clone() };
    let origin = [
        ("dead-letter-reason", reason.message.clone()),
        ("dead-letter-error-type", reason.error_type.clone()),
        ("dead-letter-group", subscription.group.clone()),
        ("dead-letter-topic", delivery.topic.to_string()),
        ("dead-letter-partition", delivery.partition.to_string()),
        ("dead-letter-offset", delivery.offset.to_string()),
        ("dead-letter-attempts", delivery.attempt.to_string()),
        ("dead-letter-at", millis(SystemTime::now()).to_string()),
    ];
    record.headers.extend(origin.map(|(name, value)| (name.to_owned(), value.into_bytes())));

    let span = send_span(subscription.broker.system(), &topic).message_id(record.id.clone()).start();
    match subscription.broker.publish_one(record).await {
        Ok(_) => {
            tracing::error!(
                topic = subscription.topic,
                partition = delivery.partition,
                offset = delivery.offset,
                error_type = reason.error_type,
                "a record could not be handled and was parked in {topic}",
            );
            span.end(Outcome::Ok);
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%error, topic, "a record could not be parked; its partition waits");
            span.end(Outcome::Error(error.error_type()));
            Err(error)
        }
    }
}
