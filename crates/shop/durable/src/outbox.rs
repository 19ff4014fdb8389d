//! The outbox: events that a unit writes beside its own state, so that an event exists exactly when its cause does.
//!
//! For stores ([`append`]) and the relay ([`Outbox`]). A row carries the trace context of the request that caused it;
//! the relay's span becomes its child. Rows are read in the order of their commits, `WHERE published_at IS NULL`: a
//! cursor over ids would skip what commits late.
//!
//! Several processes may relay one outbox; only the one that leads publishes ([`Outbox::try_lead`]).
//!
//! The rules are pure and the same for every dialect: [`deleted_with`] says how much is deleted with a mark, an event whose id is
//! there already is not appended again. A unit of another database does what [`append`] does: the position is given by the
//! database and only has to rise within one topic and key, because rows are marked one by one.
//!
//! Left out: publishing. No request handler does it; see [`crate::relay`].

mod dead_letters;
mod leadership;
mod sqlite;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::{ErrorType, propagation};

use crate::broker::Headers;
use crate::dead_letters::DeadLetters;
use crate::transfer::{Column, Kind, Table};
use crate::{Companion, Error};
pub use leadership::Leadership;
pub use sqlite::{SqliteOutbox, append};

/// The table, for a service's list of migrations.
pub const SCHEMA: &str = "\
CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload BLOB NOT NULL,
    headers BLOB NOT NULL,
    traceparent TEXT,
    tracestate TEXT,
    appended_at INTEGER NOT NULL,
    published_at INTEGER
);
CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL;
";

/// The second step of the table: events that cannot be published are parked, published ones are found by their age.
pub const PARKING: &str = "\
ALTER TABLE outbox ADD COLUMN parked_at INTEGER;
ALTER TABLE outbox ADD COLUMN parked_reason TEXT;
DROP INDEX outbox_unpublished;
CREATE INDEX outbox_waiting ON outbox (position) WHERE published_at IS NULL AND parked_at IS NULL;
CREATE INDEX outbox_parked ON outbox (topic, key) WHERE parked_at IS NOT NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
";

/// The third step of the table: who had a parked event published after all, and why.
pub const REPLAYS: &str = "\
ALTER TABLE outbox ADD COLUMN replayed_at INTEGER;
ALTER TABLE outbox ADD COLUMN replayed_by TEXT;
ALTER TABLE outbox ADD COLUMN replay_reason TEXT;
";

/// The fourth step of the table: what a parked event failed with, and how often it was sent.
pub const PARKED_WITH: &str = "\
ALTER TABLE outbox ADD COLUMN parked_error_type TEXT;
ALTER TABLE outbox ADD COLUMN parked_attempts INTEGER;
";

/// The table, for a service's list of what is moved to another database.
pub const TABLE: Table = Table::new(
    "outbox",
    1,
    &[
        Column("position", Kind::Position),
        Column("event_id", Kind::Text),
        Column("topic", Kind::Text),
        Column("key", Kind::Text),
        Column("kind", Kind::Text),
        Column("payload", Kind::Bytes),
        Column("headers", Kind::Bytes),
        Column("traceparent", Kind::Text),
        Column("tracestate", Kind::Text),
        Column("appended_at", Kind::Time),
        Column("published_at", Kind::Time),
        Column("parked_at", Kind::Time),
        Column("parked_reason", Kind::Text),
        Column("parked_error_type", Kind::Text),
        Column("parked_attempts", Kind::Number),
        Column("replayed_at", Kind::Time),
        Column("replayed_by", Kind::Text),
        Column("replay_reason", Kind::Text),
    ],
);

/// A parked event's columns, in the order in which the letters of both databases are read.
macro_rules! select_letters {
    ($rest:literal) => {
        concat!(
            "SELECT position, event_id, topic, key, kind, payload, headers, appended_at, parked_at, parked_reason,
                    replayed_at, replayed_by, replay_reason, parked_error_type, parked_attempts
             FROM outbox ",
            $rest
        )
    };
}
pub(crate) use select_letters;

/// An event to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id, by which consumers tell a repetition.
    pub id: String,
    /// The topic it goes to.
    pub topic: String,
    /// Events with the same key keep their order.
    pub key: String,
    /// What happened, such as `order.completed`.
    pub kind: String,
    /// The content.
    pub payload: Vec<u8>,
    /// W3C trace context of what caused it.
    pub traceparent: Option<String>,
    /// The vendor part of the trace context.
    pub tracestate: Option<String>,
    /// Further headers of the record.
    pub headers: Headers,
}

impl Event {
    /// An event without trace context and headers.
    pub fn new(
        id: impl Into<String>,
        topic: impl Into<String>,
        key: impl Into<String>,
        kind: impl Into<String>,
        payload: Vec<u8>,
    ) -> Event {
        Event {
            id: id.into(),
            topic: topic.into(),
            key: key.into(),
            kind: kind.into(),
            payload,
            ..Event::default()
        }
    }

    /// Notes the trace context that caused it. To be called where that context is current, which the inside of a unit
    /// is not.
    #[must_use]
    pub fn caused_by(mut self, context: &Context) -> Event {
        self.traceparent = propagation::traceparent(context);
        self.tracestate = propagation::tracestate(context);
        self
    }

    /// The stored trace context; an empty one when there is none.
    pub fn context(&self) -> Context {
        propagation::context_from(self.traceparent.as_deref(), self.tracestate.as_deref())
    }
}

/// An event that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its place in the order of commits.
    pub position: i64,
    /// When it was appended.
    pub appended_at: SystemTime,
    /// The event.
    pub event: Event,
}

/// Why an event is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// In words.
    pub reason: String,
    /// As an error type.
    pub error_type: String,
    /// How often it was sent; 0 when it cannot be, because it cannot be read.
    pub attempts: u32,
}

impl Parked {
    /// An event that the broker refuses for good, after so many tries.
    pub fn refused(error: &dyn ErrorType, attempts: u32) -> Parked {
        Parked { reason: error.to_string(), error_type: error.error_type().into_owned(), attempts }
    }

    /// An event that cannot be read back.
    pub fn unreadable(reason: String) -> Parked {
        Parked { reason, error_type: "unreadable_event".to_owned(), attempts: 0 }
    }
}

/// What a relay needs of an outbox.
///
/// An event that can never be published is parked: it stays, with the reason, and neither it nor a later event of the same
/// topic and key is pending until somebody has seen to it, so that the order of a key holds. All others go on.
pub trait Outbox: Send + Sync + 'static {
    /// The oldest events that wait to be published, in order. One that cannot be read back is parked.
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>>;

    /// Notes that these are published, and deletes some that were published longer than `keep` ago: more than it marks, so
    /// that an outbox under constant load does not grow.
    fn mark_published(&self, positions: Vec<i64>, keep: Duration) -> BoxFuture<'_, Result<(), Error>>;

    /// The same as a part of the unit that publishes these, for a broker in the file of this outbox. It is told which of them the
    /// broker takes, by their places in `positions`. `None`: this outbox is in no file.
    fn marking(&self, positions: Vec<i64>, keep: Duration) -> Option<Companion<Vec<usize>>> {
        let _ = (positions, keep);
        None
    }

    /// Deletes up to `limit` events that were published longer than `age` ago, and tells how many there were.
    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>>;

    /// Parks an event.
    fn park(&self, position: i64, why: Parked) -> BoxFuture<'_, Result<(), Error>>;

    /// How many events are parked.
    fn parked(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// The parked events, for operators.
    fn dead_letters(&self) -> Arc<dyn DeadLetters>;

    /// Takes the lead for a relay, or renews it, for `lease` from now by the database's clock. `None`: another relay has
    /// it. All relays of one outbox use the same `lease`.
    ///
    /// It keeps relays from publishing every event once each. The order of keys does not rest on it: a relay that leads
    /// no more and does not know it yet may repeat events, and no event is published before the one before it of its
    /// key, whoever publishes.
    fn try_lead<'a>(
        &'a self,
        relay: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Leadership>, Error>>;

    /// Gives a relay's lead up, so that another one can take it at once. Changes nothing when it has none.
    fn step_down<'a>(&'a self, relay: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Yields after something was appended since the call; once for several appends, and perhaps without any. What other
    /// processes append may go unnoticed, so a relay also looks by itself. Ends when the outbox is closed.
    fn wake(&self) -> BoxStream<'static, ()>;
}

/// How many published events that are old enough are deleted when so many are marked: more than come in, so that an outbox
/// under any load gets smaller.
pub fn deleted_with(marked: usize) -> usize {
    marked * 2 + 16
}

/// What waits for an outbox, as its rows are read; those that cannot be read are parked and looked past.
pub(crate) async fn readable<F>(outbox: &dyn Outbox, select: impl Fn() -> F) -> Result<Vec<Pending>, Error>
where
    F: Future<Output = Result<Vec<Result<Pending, (i64, String)>>, Error>>,
{
    loop {
        let rows = select().await?;
        let damaged: Vec<(i64, String)> = rows.iter().filter_map(|row| row.as_ref().err().cloned()).collect();
        if damaged.is_empty() {
            return Ok(rows.into_iter().flatten().collect());
        }
        // Once they are parked, what they hold back is known as well.
        for (position, reason) in damaged {
            outbox.park(position, Parked::unreadable(reason)).await?;
        }
    }
}

/// What a parked event is called, which is no place in a topic: `outbox:name-of-the-database:position`.
pub(crate) fn letter_reference(name: &str, position: i64) -> String {
    format!("outbox:{name}:{position}")
}

/// The position of such a reference, if it is one of this database.
pub(crate) fn position_of(reference: &str, name: &str) -> Option<i64> {
    let (of, position) = reference.strip_prefix("outbox:")?.rsplit_once(':')?;
    position.parse().ok().filter(|_| of == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_deleted_than_comes_in() {
        assert!((0..1000).all(|marked| deleted_with(marked) > marked));
    }
}
