//! What could not be delivered and waits for an operator: to be looked at, and published again once its cause is gone.
//!
//! For whoever runs the system. [`DeadLetters`] is one source of them; the embedded broker is one (the records that a
//! consume loop parked, see [`crate::consume`]), and an outbox with events that the broker refuses for good is another.
//! A letter is known by a text that its source gives it, such as `order-events/2/17` or `outbox:order:4`.
//!
//! Invariants: a replay publishes the record to its own topic with its own id, or puts it back into its outbox, and marks
//! the letter in the same unit, so it happens once; a letter that is marked waits no more. Consumers tell a repetition by the record's id
//! ([`crate::inbox`]), so a replay is harmless for those that had it.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;

use crate::Error;
use crate::broker::Record;
use crate::consume::dead_letter_topic;

/// What the headers of a parked record begin with that tell where it came from and why it is there.
pub const HEADER_PREFIX: &str = "dead-letter-";

/// Something that could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What it is called in lists and commands.
    pub reference: String,
    /// The record as it is published again: its own topic, key, id and headers.
    pub record: Record,
    /// Who could not handle it: a consumer group, or an outbox.
    pub group: String,
    /// Where it stood in its topic, when it had been published.
    pub place: Option<(u32, u64)>,
    /// Why, in words.
    pub reason: String,
    /// Why, as an error type. Empty when a version parked it that did not say.
    pub error_type: String,
    /// How often it was tried. 0 when it could not be, or when a version parked it that did not count.
    pub attempts: u32,
    /// When it was parked.
    pub since: SystemTime,
    /// Set once it was published again.
    pub replay: Option<Replay>,
}

impl DeadLetter {
    /// A record of a dead-letter topic as a letter, from the headers that the consume loop gave it. `partition` and `offset`
    /// tell where it is in that topic.
    pub fn parked(
        mut record: Record,
        partition: u32,
        offset: u64,
        since: SystemTime,
        replay: Option<Replay>,
    ) -> DeadLetter {
        let header = |name: &str| record.header(&format!("{HEADER_PREFIX}{name}")).map(str::to_owned);
        let number = |name: &str| header(name).and_then(|text| text.parse::<u64>().ok());
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let parked_in = record.topic.strip_suffix(&dead_letter_topic("")).unwrap_or(&record.topic).to_owned();
        let topic = header("topic").unwrap_or_else(|| parked_in.clone());
        let letter = DeadLetter {
            reference: format!("{parked_in}/{partition}/{offset}"),
            group: header("group").unwrap_or_default(),
            place: number("partition").map(narrow).zip(number("offset")),
            reason: header("reason").unwrap_or_default(),
            error_type: header("error-type").unwrap_or_default(),
            attempts: number("attempts").map_or(0, narrow),
            since,
            replay,
            record: Record::default(),
        };
        record.headers.retain(|(name, _)| !name.starts_with(HEADER_PREFIX));
        record.topic = topic;
        DeadLetter { record, ..letter }
    }
}

/// Where the record of a reference is: its dead-letter topic, partition and offset. `None`: it is no reference of a
/// parked record.
pub fn place_of(reference: &str) -> Option<(String, u32, u64)> {
    let mut parts = reference.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next()?, parts.next()?, parts.next()?);
    Some((dead_letter_topic(topic), partition.parse().ok()?, offset.parse().ok()?))
}

/// When, by whom and why a letter was published again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// When.
    pub at: SystemTime,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What became of a wish to publish a letter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It is published and waits no more.
    Now,
    /// That had been done before; nothing was published.
    Before,
    /// There is no such letter here.
    Unknown,
}

/// A source of dead letters. Shared as `Arc<dyn DeadLetters>`.
pub trait DeadLetters: Send + Sync + 'static {
    /// Those that wait, in a fixed order, those after the letter of this reference, at most `max`.
    fn waiting<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>>;

    /// How many wait.
    fn count(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// One, whether it waits or not; `None` when this source has no such letter.
    fn find<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<DeadLetter>, Error>>;

    /// Publishes one again and marks it, in one unit.
    ///
    /// Cancel safety: once polled it may be carried out whole although the future is dropped.
    fn replay<'a>(
        &'a self,
        reference: &'a str,
        by: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Replayed, Error>>;
}

/// Several sources as one, in their order. References of different sources must not be alike.
#[derive(Clone, Default)]
#[expect(missing_debug_implementations, reason = "a source has none")]
pub struct Joined(pub Vec<Arc<dyn DeadLetters>>);

impl DeadLetters for Joined {
    fn waiting<'a>(
        &'a self,
        after: Option<&'a str>,
        max: usize,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        Box::pin(async move {
            let mut letters = Vec::new();
            let mut after = after;
            for source in &self.0 {
                if let Some(reference) = after
                    && source.find(reference).await?.is_none()
                {
                    continue;
                }
                letters.extend(source.waiting(after.take(), max - letters.len()).await?);
                if letters.len() >= max {
                    break;
                }
            }
            Ok(letters)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut count = 0;
            for source in &self.0 {
                count += source.count().await?;
            }
            Ok(count)
        })
    }

    fn find<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Option<DeadLetter>, Error>> {
        Box::pin(async move {
            for source in &self.0 {
                if let Some(letter) = source.find(reference).await? {
                    return Ok(Some(letter));
                }
            }
            Ok(None)
        })
    }

    fn replay<'a>(
        &'a self,
        reference: &'a str,
        by: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Replayed, Error>> {
        Box::pin(async move {
            for source in &self.0 {
                let replayed = source.replay(reference, by, reason).await?;
                if replayed != Replayed::Unknown {
                    return Ok(replayed);
                }
            }
            Ok(Replayed::Unknown)
        })
    }
}
