//! A record that is parked, with everything that is needed to handle it later.

use std::time::SystemTime;

use super::aside::Reason;
use super::retry::Origin;
use crate::broker::{Delivery, Record};
use crate::clock::millis;

/// The topic where the records of `topic` are parked.
pub fn dead_letter_topic(topic: &str) -> String {
    format!("{topic}.dead-letter")
}

/// The record as it goes into the dead-letter topic of `topic`.
pub(super) fn parked(
    topic: &str,
    group: &str,
    delivery: &Delivery,
    origin: &Origin,
    reason: &Reason,
) -> Record {
    let mut record = Record { topic: dead_letter_topic(topic), ..delivery.record.clone() };
    let headers = [
        ("dead-letter-reason", reason.message.clone()),
        ("dead-letter-error-type", reason.error_type.clone()),
        ("dead-letter-group", group.to_owned()),
        ("dead-letter-topic", origin.topic.clone()),
        ("dead-letter-partition", origin.partition.to_string()),
        ("dead-letter-offset", origin.offset.to_string()),
        ("dead-letter-attempts", delivery.attempt.to_string()),
        ("dead-letter-at", millis(SystemTime::now()).to_string()),
    ];
    record.headers.extend(headers.map(|(name, value)| (name.to_owned(), value.into_bytes())));
    record
}
