//! Retry topics: where a record goes whose tries in place failed, to be tried again after a pause.
//!
//! For topics whose records need not be handled in the order of their key when one of them fails. There is a topic for each
//! pause, `{topic}.retry.1` and so on, so that in each of them records are due in about the order in which they stand. A
//! record in one has its own key, id, timestamp and headers; behind its headers stand those of [`HEADERS`].
//!
//! Invariant: what is left when these headers are taken off again is the record as it was.
//!
//! Left out: the order of keys. Which keys wait would have to be known to every member of the group before it handles a
//! record, after each hand-over.

use std::iter::zip;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::aside::Reason;
use crate::broker::{Delivery, Headers, Record};
use crate::clock::{from_millis, millis};

/// What the headers of a record in a retry topic tell, in the order in which they end its headers: for which group it waits,
/// its topic, its place there, how often it was tried, when it is due (milliseconds since 1970), and why it failed last.
pub const HEADERS: [&str; 8] = [
    "retry-group",
    "retry-topic",
    "retry-partition",
    "retry-offset",
    "retry-attempts",
    "retry-due",
    "retry-reason",
    "retry-error-type",
];

/// The topic of a pause, counted from 1, for the records of `topic`.
pub fn retry_topic(topic: &str, number: usize) -> String {
    format!("{topic}.retry.{number}")
}

/// The consumer group that reads that topic, for `group`.
pub fn retry_group(group: &str, number: usize) -> String {
    format!("{group}.retry.{number}")
}

/// Which retry topics a record goes through before it counts as a dead letter. Default: none, it is tried in place only.
/// Cheap to clone.
///
/// ```
/// use std::time::Duration;
///
/// use waypost_durable::consume::RetryTopics;
///
/// let retries = RetryTopics::after([Duration::from_secs(10), Duration::from_secs(60)]);
/// assert_eq!(retries.names("order-events"), ["order-events.retry.1", "order-events.retry.2"]);
/// assert_eq!(retries.total(), Duration::from_secs(70));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryTopics {
    pauses: Arc<[Duration]>,
}

impl RetryTopics {
    /// One topic for each pause, in this order.
    pub fn after(pauses: impl IntoIterator<Item = Duration>) -> Self {
        Self { pauses: pauses.into_iter().collect() }
    }

    /// Their names, for the records of `topic`.
    pub fn names(&self, topic: &str) -> Vec<String> {
        (1..=self.count()).map(|number| retry_topic(topic, number)).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pauses.len()
    }

    /// All pauses together.
    pub fn total(&self) -> Duration {
        self.pauses.iter().sum()
    }

    /// The pause of a topic, counted from 1.
    pub(super) fn pause(&self, number: usize) -> Option<Duration> {
        self.pauses.get(number.checked_sub(1)?).copied()
    }
}

/// Where a record stood first.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) offset: u64,
}

impl Origin {
    /// Where it stands now.
    pub(super) fn of(delivery: &Delivery) -> Self {
        Self { topic: delivery.topic.to_string(), partition: delivery.partition, offset: delivery.offset }
    }
}

/// The record as it goes into a retry topic.
pub(super) fn waiting(
    topic: &str,
    group: &str,
    delivery: &Delivery,
    origin: &Origin,
    due: SystemTime,
    reason: &Reason,
) -> Record {
    let mut record = Record { topic: topic.to_owned(), ..delivery.record.clone() };
    let values = [
        group.to_owned(),
        origin.topic.clone(),
        origin.partition.to_string(),
        origin.offset.to_string(),
        delivery.attempt.to_string(),
        millis(due).to_string(),
        reason.message.clone(),
        reason.error_type.clone(),
    ];
    record.headers.extend(zip(HEADERS, values).map(|(name, value)| (name.to_owned(), value.into_bytes())));
    record
}

/// What came out of a retry topic.
#[derive(Debug)]
pub(super) struct Returned {
    /// The record as it was, at the place where it is now, with its tries counted on.
    pub(super) delivery: Delivery,
    pub(super) origin: Origin,
    /// When it may be tried again.
    pub(super) due: SystemTime,
}

/// Takes the headers off. `None`: it waits for another group.
///
/// What somebody else has put into the topic, without these headers, is due at once, and its place is the one where it is.
pub(super) fn returned(mut delivery: Delivery, group: &str) -> Option<Returned> {
    let Some(told) = take_headers(&mut delivery.record.headers) else {
        let origin = Origin::of(&delivery);
        return Some(Returned { delivery, origin, due: SystemTime::UNIX_EPOCH });
    };
    let [waits_for, topic, partition, offset, attempts, due, _, _] = told;
    if waits_for != group {
        return None;
    }
    let origin = Origin {
        partition: partition.parse().unwrap_or_default(),
        offset: offset.parse().unwrap_or_default(),
        topic,
    };
    delivery.record.topic.clone_from(&origin.topic);
    delivery.attempt = attempts.parse::<u32>().unwrap_or_default().saturating_add(1);
    let due = due.parse().map_or(SystemTime::UNIX_EPOCH, from_millis);
    Some(Returned { delivery, origin, due })
}

/// The values of our headers, which end a record's headers; they are taken off.
fn take_headers(headers: &mut Headers) -> Option<[String; 8]> {
    let begin = headers.len().checked_sub(HEADERS.len())?;
    let are_ours = zip(headers.get(begin..)?, HEADERS).all(|((name, _), ours)| name == ours);
    if !are_ours {
        return None;
    }
    let values = headers.split_off(begin).into_iter();
    let values: Vec<String> = values.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()).collect();
    values.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::OffsetCommit;

    fn failed(headers: Headers) -> Delivery {
        let record = Record {
            topic: "t".to_owned(),
            key: "key".to_owned(),
            headers,
            id: "event-1".to_owned(),
            ..Record::default()
        };
        let offsets = OffsetCommit::default();
        Delivery { topic: Arc::from("t"), partition: 3, offset: 17, record, attempt: 5, offsets }
    }

    fn reason() -> Reason {
        Reason { message: "no".to_owned(), error_type: "no".to_owned() }
    }

    #[test]
    fn a_record_comes_back_as_it_was_whatever_its_headers_are_called() {
        let headers = vec![
            ("traceparent".to_owned(), b"00-1-2-01".to_vec()),
            ("retry-attempts".to_owned(), b"900".to_vec()),
            ("retry-group".to_owned(), b"others".to_vec()),
        ];
        let delivery = failed(headers);
        let due = from_millis(1_790_000_000_123);
        let record = waiting("t.retry.1", "group", &delivery, &Origin::of(&delivery), due, &reason());
        let offsets = OffsetCommit::default();
        let moved =
            Delivery { topic: Arc::from("t.retry.1"), partition: 0, offset: 4, record, attempt: 1, offsets };
        let back = returned(moved, "group").unwrap();
        assert_eq!(back.delivery.record, delivery.record);
        assert_eq!((back.delivery.attempt, back.delivery.offset, back.due), (6, 4, due));
        assert_eq!((back.origin.topic.as_str(), back.origin.partition, back.origin.offset), ("t", 3, 17));
    }

    #[test]
    fn what_waits_for_another_group_is_not_ours() {
        let delivery = failed(Vec::new());
        let record = waiting(
            "t.retry.1",
            "other",
            &delivery,
            &Origin::of(&delivery),
            SystemTime::UNIX_EPOCH,
            &reason(),
        );
        assert!(returned(Delivery { record, ..delivery }, "group").is_none());
    }

    #[test]
    fn what_somebody_else_wrote_is_due_at_once() {
        let back = returned(failed(vec![("a".to_owned(), Vec::new())]), "group").unwrap();
        assert_eq!((back.due, back.origin.offset), (SystemTime::UNIX_EPOCH, 17));
        assert_eq!(back.delivery.record.headers.len(), 1);
    }
}
