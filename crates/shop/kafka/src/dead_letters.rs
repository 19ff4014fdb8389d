//! Dead letters in Kafka, as an operator sees them.
//!
//! Nothing of a topic can be changed or marked, so what was published again is noted in a topic of its own,
//! [`REPLAYS_TOPIC`]: compacted, one partition, the letter's reference as key. Letters are read from their topics by
//! partition and offset each time they are asked for; the note of a letter hides it.
//!
//! Invariant: the record and its note are published in one transaction, by a producer of whom Kafka lets only the newest
//! through, which reads the notes after the older ones were shut out. So a letter is published again once, whoever asks at
//! the same time.
//!
//! Left out: an index. A list costs reading the letters that it shows and those before them that were published again.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use rdkafka::TopicPartitionList;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::Offset;
use serde::{Deserialize, Serialize};
use waypost_durable::Error;
use waypost_durable::broker::{Delivery, PublishError, Record};
use waypost_durable::clock::{from_millis, millis};
use waypost_durable::consume::dead_letter_topic;
use waypost_durable::dead_letters::{DeadLetter, DeadLetters, HEADER_PREFIX, Replay, Replayed, place_of};

use crate::broker::{Inner, Kafka};
use crate::producer::{Producer, Sent};
use crate::record;
use crate::topics::{Wanted, create};
use crate::trouble::{Events, missing_topic, unavailable};

/// Where it is noted which dead letters were published again. Its name in Kafka begins with the prefix.
pub const REPLAYS_TOPIC: &str = "dead-letter-replays";

/// How often a replay begins anew when another process replays at the same time.
const ATTEMPTS: u32 = 5;

/// Notes by the references of their letters.
pub(crate) type Notes = HashMap<String, Note>;

/// What is noted of a letter that was published again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    at_ms: i64,
    by: String,
    reason: String,
}

/// A partition of a dead-letter topic and what there is of it.
#[derive(Clone, Debug)]
struct Range {
    /// The topic, by the name that it has here.
    topic: String,
    partition: u32,
    /// The first offset that there is.
    low: u64,
    /// One more than the last.
    high: u64,
}

impl DeadLetters for Kafka {
    fn waiting<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        let after = after.map(str::to_owned);
        Box::pin(
            async move { self.inner.blocking(move |inner| waiting(inner, after.as_deref(), max)).await? },
        )
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { self.inner.blocking(count).await? })
    }

    fn find<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<DeadLetter>, Error>> {
        let reference = reference.to_owned();
        Box::pin(async move { self.inner.blocking(move |inner| find(inner, &reference)).await? })
    }

    fn replay<'a>(
        &'a self,
        reference: &'a str,
        by: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Replayed, Error>> {
        Box::pin(async move {
            let asked = reference.to_owned();
            let found = self.inner.blocking(move |inner| find(inner, &asked)).await??;
            let Some(letter) = found else { return Ok(Replayed::Unknown) };
            if letter.replay.is_some() {
                return Ok(Replayed::Before);
            }
            ensure_notes(&self.inner).await?;
            let note =
                Note { at_ms: millis(SystemTime::now()), by: by.to_owned(), reason: reason.to_owned() };
            let _one_at_a_time = self.inner.replays.lock().await;
            self.inner.blocking(move |inner| replay(inner, &letter, &note)).await?
        })
    }
}

fn waiting(inner: &Inner, after: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, Error> {
    let after = match after.map(place_of) {
        // What is no reference has nothing behind it.
        Some(None) => return Ok(Vec::new()),
        Some(Some(place)) => Some(place),
        None => None,
    };
    let notes = notes(inner)?;
    let mut letters = Vec::new();
    for range in ranges(inner)? {
        let mut from = range.low;
        if let Some((topic, partition, offset)) = &after {
            match (&range.topic, range.partition).cmp(&(topic, *partition)) {
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => from = from.max(offset + 1),
                std::cmp::Ordering::Greater => {}
            }
        }
        read(inner, &range.topic, range.partition, from, range.high, |delivery| {
            let letter = letter(delivery, &notes);
            if letter.replay.is_none() {
                letters.push(letter);
            }
            letters.len() < max
        })?;
        if letters.len() >= max {
            break;
        }
    }
    Ok(letters)
}

fn count(inner: &Inner) -> Result<u64, Error> {
    let ranges = ranges(inner)?;
    let all: u64 = ranges.iter().map(|range| range.high - range.low).sum();
    if all == 0 {
        return Ok(0);
    }
    let is_there = |reference: &&String| {
        place_of(reference).is_some_and(|(topic, partition, offset)| {
            let is_in = |range: &Range| {
                range.topic == topic
                    && range.partition == partition
                    && (range.low..range.high).contains(&offset)
            };
            ranges.iter().any(is_in)
        })
    };
    let replayed = notes(inner)?.keys().filter(is_there).count();
    Ok(all.saturating_sub(u64::try_from(replayed).unwrap_or(u64::MAX)))
}

fn find(inner: &Inner, reference: &str) -> Result<Option<DeadLetter>, Error> {
    let Some((topic, partition, offset)) = place_of(reference) else { return Ok(None) };
    let is_its = |range: &&Range| {
        range.topic == topic && range.partition == partition && (range.low..range.high).contains(&offset)
    };
    let ranges = ranges(inner)?;
    if !ranges.iter().any(|range| is_its(&range)) {
        return Ok(None);
    }
    let mut found = None;
    read(inner, &topic, partition, offset, offset + 1, |delivery| {
        found = Some(delivery);
        false
    })?;
    let notes = notes(inner)?;
    // Compacted or expired between the two looks: the next record would be another letter.
    Ok(found.filter(|delivery| delivery.offset == offset).map(|delivery| letter(delivery, &notes)))
}

fn letter(delivery: Delivery, notes: &Notes) -> DeadLetter {
    let Delivery { partition, offset, record, .. } = delivery;
    let at = record.header(&format!("{HEADER_PREFIX}at")).and_then(|at| at.parse().ok()).map(from_millis);
    let since = at.or(record.timestamp).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut letter = DeadLetter::parked(record, partition, offset, since, None);
    letter.replay = notes.get(&letter.reference).map(|note| Replay {
        at: from_millis(note.at_ms),
        by: note.by.clone(),
        reason: note.reason.clone(),
    });
    letter
}

/// Every partition of the dead-letter topics that were asked for, in order. Blocks.
fn ranges(inner: &Inner) -> Result<Vec<Range>, Error> {
    inner.open()?;
    let suffix = dead_letter_topic("");
    let topics: Vec<String> =
        inner.topics().iter().filter(|topic| topic.ends_with(&suffix)).cloned().collect();
    let mut ranges = Vec::new();
    for topic in topics {
        let name = inner.name(&topic);
        let partitions = inner.partitions(&name)?.ok_or_else(|| unavailable(missing_topic(&name)))?;
        for partition in 0..partitions {
            let number = i32::try_from(partition).unwrap_or_default();
            let (low, high) = watermarks(inner, &name, number)?;
            let offset = |offset: i64| u64::try_from(offset).unwrap_or_default();
            ranges.push(Range { topic: topic.clone(), partition, low: offset(low), high: offset(high) });
        }
    }
    Ok(ranges)
}

/// The first offset of a partition, and one more than the last. Blocks.
fn watermarks(inner: &Inner, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
    const PORTION: Duration = Duration::from_secs(1);
    let give_up = Instant::now() + inner.options.request_timeout;
    let fails = |error: &KafkaError| inner.trouble.error("asking for dead letters", error);
    let mut marks = inner.observer.fetch_watermarks(topic, partition, PORTION);
    while let Err(error) = &marks {
        if Instant::now() >= give_up {
            return Err(fails(error));
        }
        // What the observer remembers of a topic that was just made may lack its leaders, and librdkafka (2.12) does not
        // ask again. A client that has no past does.
        let events = Events { trouble: Arc::clone(&inner.trouble) };
        let fresh: BaseConsumer<Events> =
            BaseConsumer::from_config_and_context(&inner.options.reader(), events)
                .map_err(|error| fails(&error))?;
        marks = fresh.fetch_watermarks(topic, partition, PORTION);
        // Takes notice of what happened to the connections.
        while fresh.poll(Duration::from_millis(1)).is_some() {}
    }
    marks.map_err(|error| fails(&error))
}

/// What was noted of letters that were published again, by their references. Blocks.
fn notes(inner: &Inner) -> Result<Arc<Notes>, Error> {
    let name = inner.name(REPLAYS_TOPIC);
    if inner.partitions(&name)?.is_none() {
        return Ok(Arc::default());
    }
    let (_, end) = watermarks(inner, &name, 0)?;
    let read_before = || inner.notes.lock().unwrap_or_else(PoisonError::into_inner);
    // Nothing was noted since they were read.
    if let Some((end_then, notes)) = &*read_before()
        && *end_then == end
    {
        return Ok(Arc::clone(notes));
    }
    let mut notes = Notes::new();
    read(inner, REPLAYS_TOPIC, 0, 0, u64::MAX, |delivery| {
        match serde_json::from_slice(&delivery.record.payload) {
            Ok(note) => {
                notes.insert(delivery.record.key, note);
            }
            Err(error) => {
                tracing::warn!(%error, letter = delivery.record.key, "a note of a replay is damaged");
            }
        }
        true
    })?;
    let notes = Arc::new(notes);
    *read_before() = Some((end, Arc::clone(&notes)));
    Ok(notes)
}

/// Reads a partition from an offset, up to another or to its end, for as long as `each` wants more. Blocks.
fn read(
    inner: &Inner,
    topic: &str,
    partition: u32,
    from: u64,
    to: u64,
    mut each: impl FnMut(Delivery) -> bool,
) -> Result<(), Error> {
    if from >= to {
        return Ok(());
    }
    let fails = |error: &KafkaError| inner.trouble.error("reading dead letters", error);
    let events = Events { trouble: Arc::clone(&inner.trouble) };
    // It never joins that group; librdkafka gives partitions only to those that name one.
    let config = inner.options.scanner(&inner.name("dead-letters"));
    let consumer = BaseConsumer::from_config_and_context(&config, events).map_err(|error| fails(&error))?;
    let name = inner.name(topic);
    let mut list = TopicPartitionList::new();
    let (Ok(number), Ok(start)) = (i32::try_from(partition), i64::try_from(from)) else { return Ok(()) };
    list.add_partition_offset(&name, number, Offset::Offset(start)).map_err(|error| fails(&error))?;
    consumer.assign(&list).map_err(|error| fails(&error))?;

    let topic: Arc<str> = Arc::from(topic);
    let mut give_up = Instant::now() + inner.options.request_timeout;
    while Instant::now() < give_up {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                give_up = Instant::now() + inner.options.request_timeout;
                let delivery = record::delivery(&message, &topic);
                let is_last = delivery.offset + 1 >= to;
                if delivery.offset >= to || !each(delivery) || is_last {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => match error.rdkafka_error_code() {
                // It is told to the context with its reason, and tried again.
                Some(
                    Code::BrokerTransportFailure | Code::AllBrokersDown | Code::GroupAuthorizationFailed,
                ) => {}
                _ => return Err(fails(&error)),
            },
            None => {}
        }
    }
    Err(unavailable(format!("dead letters were not read in time: {}", inner.trouble.unreachable())))
}

/// Makes the topic of the notes.
async fn ensure_notes(inner: &Arc<Inner>) -> Result<(), Error> {
    let name = inner.name(REPLAYS_TOPIC);
    if !inner.options.create_topics {
        let asked = name.clone();
        let partitions = inner.blocking(move |inner| inner.partitions(&asked)).await??;
        return partitions.map(drop).ok_or_else(|| unavailable(missing_topic(&name)));
    }
    let settings = vec![("cleanup.policy", "compact".to_owned())];
    create(inner, &[Wanted { name, partitions: 1, settings }]).await.map(drop)
}

/// Publishes a letter and its note in one transaction. Blocks.
fn replay(inner: &Inner, letter: &DeadLetter, note: &Note) -> Result<Replayed, Error> {
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        match try_replay(inner, letter, note) {
            Ok(replayed) => return Ok(replayed),
            Err(Failed::ShutOut) => {}
            Err(Failed::Other(error)) => {
                failure = Some(error);
                break;
            }
        }
    }
    Err(failure
        .unwrap_or_else(|| unavailable("others replay dead letters at the same time; ask again".to_owned())))
}

/// Why a transaction did not happen.
enum Failed {
    /// Another process began one.
    ShutOut,
    Other(Error),
}

fn failed(inner: &Inner, error: &KafkaError) -> Failed {
    match error.rdkafka_error_code() {
        Some(
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::ConcurrentTransactions,
        ) => Failed::ShutOut,
        _ => Failed::Other(inner.trouble.error("replaying a dead letter", error)),
    }
}

fn try_replay(inner: &Inner, letter: &DeadLetter, note: &Note) -> Result<Replayed, Failed> {
    let fails = |error: &KafkaError| failed(inner, error);
    let timeout = inner.options.request_timeout * 2;
    let config = inner.options.transactional(&inner.name(REPLAYS_TOPIC));
    let producer = inner.new_producer(&config).map_err(|error| fails(&error))?;
    // From here on every older one is shut out, and what it had begun is undone or done.
    producer.native().init_transactions(timeout).map_err(|error| fails(&error))?;
    match transact(inner, &producer, letter, note) {
        // Whatever it failed with: it could only fail.
        Err(Failed::Other(_)) if producer.is_fenced() => Err(Failed::ShutOut),
        result => result,
    }
}

/// Publishes them by a producer that was let in. Blocks.
fn transact(
    inner: &Inner,
    producer: &Producer,
    letter: &DeadLetter,
    note: &Note,
) -> Result<Replayed, Failed> {
    let fails = |error: &KafkaError| failed(inner, error);
    let timeout = inner.options.request_timeout * 2;
    if notes(inner).map_err(Failed::Other)?.contains_key(&letter.reference) {
        return Ok(Replayed::Before);
    }
    let payload =
        serde_json::to_vec(note).map_err(|_| Failed::Other(Error::Malformed { what: "note of a replay" }))?;
    let noted = Record { key: letter.reference.clone(), payload, ..Record::default() };
    producer.native().begin_transaction().map_err(|error| fails(&error))?;
    let publish = |topic: &str, record: &Record| match producer.send(&inner.name(topic), record) {
        Sent::Away(answer) => Ok(answer),
        Sent::NoTopic => Err(Failed::Other(unavailable(missing_topic(&inner.name(topic))))),
        Sent::Failed(error) => Err(Failed::Other(inner_error(error))),
    };
    let sent = [publish(&letter.record.topic, &letter.record), publish(REPLAYS_TOPIC, &noted)];
    let mut answers = Vec::new();
    for sent in sent {
        match sent {
            Ok(answer) => answers.push(answer),
            Err(failed) => {
                producer.native().abort_transaction(timeout).ok();
                return Err(failed);
            }
        }
    }
    if let Err(error) = producer.native().commit_transaction(timeout) {
        producer.native().abort_transaction(timeout).ok();
        let failed = fails(&error);
        if matches!(failed, Failed::ShutOut) {
            return Err(failed);
        }
        // The record's own answer says more than that the transaction failed.
        for mut answer in answers {
            if let Ok(Err(error)) = answer.try_recv() {
                return Err(Failed::Other(inner_error(error)));
            }
        }
        return Err(failed);
    }
    Ok(Replayed::Now)
}

fn inner_error(error: PublishError) -> Error {
    match error {
        PublishError::Retryable(error) | PublishError::Refused(error) => error,
    }
}
