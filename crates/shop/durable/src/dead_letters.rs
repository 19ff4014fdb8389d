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
