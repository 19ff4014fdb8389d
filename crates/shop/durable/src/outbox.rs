//! The outbox: events that a unit writes beside its own state, so that an event exists exactly when its cause does.
//!
//! For stores ([`append`]) and the relay ([`Outbox`]). A row carries the trace context of the request that caused it;
//! the relay's span becomes its child. Rows are read in the order of their commits, `WHERE published_at IS NULL`: a
//! cursor over ids would skip what commits late.
//!
//! Left out: publishing. No request handler does it; see [`crate::relay`].

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use rusqlite::{Row, params};
use tokio::sync::watch;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::propagation;

use crate::broker::Headers;
use crate::clock::{from_millis, saturating_millis};
use crate::{Database, Error, Unit, headers};

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

/// What a relay needs of an outbox.
pub trait Outbox: Send + Sync + 'static {
    /// The oldest unpublished events, in order.
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>>;

    /// Notes that these are published.
    fn mark_published(&self, positions: Vec<i64>) -> BoxFuture<'_, Result<(), Error>>;

    /// Deletes up to `limit` events that were published longer than `age` ago, and tells how many there were.
    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>>;

    /// Changes whenever something was appended in this process.
    fn appended(&self) -> watch::Receiver<u64>;
}

/// Appends an event in a unit. An event whose id is in the outbox already is not appended again.
pub fn append(unit: &mut Unit<'_>, event: &Event) -> Result<(), Error> {
    unit.execute(
        "INSERT INTO outbox (event_id, topic, key, kind, payload, headers, traceparent, tracestate, appended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, CAST(unixepoch('subsec') * 1000 AS INTEGER))
         ON CONFLICT (event_id) DO NOTHING",
        params![
            event.id,
            event.topic,
            event.key,
            event.kind,
            event.payload,
            headers::encode(&event.headers),
            event.traceparent,
            event.tracestate,
        ],
    )?;
    let appended = unit.appended();
    unit.after_commit(move || appended.send_modify(|version| *version = version.wrapping_add(1)));
    Ok(())
}

/// The outbox of a SQLite database that has [`SCHEMA`].
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    database: Database,
}

impl SqliteOutbox {
    /// The outbox of this database.
    pub fn new(database: &Database) -> SqliteOutbox {
        SqliteOutbox { database: database.untraced() }
    }
}

impl Outbox for SqliteOutbox {
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>> {
        Box::pin(async move {
            let rows = self.database.read("pending-events", move |unit| {
                unit.query_all(
                    "SELECT position, appended_at, event_id, topic, key, kind, payload, traceparent, tracestate, headers
                     FROM outbox WHERE published_at IS NULL ORDER BY position LIMIT ?1",
                    params![sql_limit(limit)],
                    |row| Ok((pending_without_headers(row)?, row.get::<_, Vec<u8>>(9)?)),
                )
            });
            let with_headers = |(mut pending, bytes): (Pending, Vec<u8>)| {
                pending.event.headers = headers::decode(&bytes)?;
                Ok(pending)
            };
            rows.await?.into_iter().map(with_headers).collect()
        })
    }

    fn mark_published(&self, positions: Vec<i64>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.database.write("mark-events-published", move |unit| {
            for position in positions {
                unit.execute(
                    "UPDATE outbox SET published_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE position = ?1",
                    params![position],
                )?;
            }
            Ok(())
        }))
    }

    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(self.database.write("delete-published-events", move |unit| {
            // Published events are the oldest, so this looks at few rows although no index leads to them.
            unit.execute(
                "DELETE FROM outbox WHERE position IN (
                     SELECT position FROM outbox
                     WHERE published_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?1
                     ORDER BY position LIMIT ?2)",
                params![saturating_millis(age), sql_limit(limit)],
            )
        }))
    }

    fn appended(&self) -> watch::Receiver<u64> {
        self.database.appended()
    }
}

fn pending_without_headers(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending {
        position: row.get(0)?,
        appended_at: from_millis(row.get(1)?),
        event: Event {
            id: row.get(2)?,
            topic: row.get(3)?,
            key: row.get(4)?,
            kind: row.get(5)?,
            payload: row.get(6)?,
            traceparent: row.get(7)?,
            tracestate: row.get(8)?,
            headers: Vec::new(),
        },
    })
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
