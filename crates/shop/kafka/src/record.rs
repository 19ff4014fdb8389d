//! A record as Kafka has it, and back.
//!
//! Key, value, headers and timestamp are what clients of other languages expect; the event's id is a header. A record
//! that somebody else wrote without one is known by its place, so that a repetition is told there as well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use waypost_durable::broker::{Delivery, Headers, OffsetCommit, Record};
use waypost_durable::clock::from_millis;

/// Header that tells the event's id.
pub const ID_HEADER: &str = "event-id";

/// The headers of a record, its id first.
pub(crate) fn headers(record: &Record) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + 1);
    if !record.id.is_empty() {
        headers = headers.insert(Header { key: ID_HEADER, value: Some(record.id.as_bytes()) });
    }
    for (name, value) in &record.headers {
        headers = headers.insert(Header { key: name, value: Some(value.as_slice()) });
    }
    headers
}

/// What was read from a topic, under the name that the topic has here.
pub(crate) fn delivery(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Delivery {
    let partition = u32::try_from(message.partition()).unwrap_or_default();
    let offset = u64::try_from(message.offset()).unwrap_or_default();
    let mut headers: Headers = message.headers().map_or_else(Vec::new, |headers| {
        // rdkafka panics on a name that is not UTF-8. Whoever wrote that, the record is read without it.
        let read = |place| catch_unwind(AssertUnwindSafe(|| owned(&headers.get(place)))).ok();
        (0..headers.count()).filter_map(read).collect()
    });
    let id = headers.iter().position(|(name, _)| name == ID_HEADER).map(|place| headers.remove(place).1);
    let id = id
        .and_then(|id| String::from_utf8(id).ok())
        .unwrap_or_else(|| format!("{topic}/{partition}/{offset}"));
    let record = Record {
        topic: topic.to_string(),
        key: message.key().map_or_else(String::new, |key| String::from_utf8_lossy(key).into_owned()),
        payload: message.payload().map_or_else(Vec::new, <[u8]>::to_vec),
        headers,
        id,
        timestamp: Some(message.timestamp().to_millis().map_or(SystemTime::UNIX_EPOCH, from_millis)),
    };
    Delivery {
        topic: Arc::clone(topic),
        partition,
        offset,
        record,
        attempt: 1,
        offsets: OffsetCommit::default(),
    }
}

fn owned(header: &Header<'_, &[u8]>) -> (String, Vec<u8>) {
    (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
}
