//! The outbox in PostgreSQL; see [`crate::outbox`] for its rules.
//!
//! Who leads holds an advisory lock on a session of its own. The server ends that session when it goes with its process, and
//! when nothing was heard of it for the length of the lease: a leader that stands still loses the lead by the server's clock.
//!
//! A commit wakes the relay of its own process directly. Other processes are told by NOTIFY, after the commit and once for
//! all commits that came meanwhile: NOTIFY inside of a transaction makes all commits of the database wait for each other.
//! What is lost of it is found by the relay's own look.

mod dead_letters;
mod session;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::{At, Database, Row, Unit, millis_of, params};
use crate::dead_letters::DeadLetters;
use crate::outbox::{Event, Leadership, Outbox, Parked, Pending, deleted_with, readable};
use crate::{Error, headers};
use session::Sessions;

/// As long as an event is kept at most: what a century ago is, every server can say.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

/// The table, for a service's list of migrations.
pub const SCHEMA: &str = "\
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    topic text NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    payload bytea NOT NULL,
    headers bytea NOT NULL,
    traceparent text,
    tracestate text,
    appended_at timestamptz NOT NULL,
    published_at timestamptz,
    parked_at timestamptz,
    parked_reason text,
    parked_error_type text,
    parked_attempts bigint,
    replayed_at timestamptz,
    replayed_by text,
    replay_reason text
);
CREATE INDEX outbox_waiting ON outbox (position) WHERE published_at IS NULL AND parked_at IS NULL;
CREATE INDEX outbox_parked ON outbox (topic, key) WHERE parked_at IS NOT NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
";

/// Appends an event in a unit. An event whose id is in the outbox already is not appended again.
pub async fn append(unit: &mut Unit, event: &Event) -> Result<(), Error> {
    let now = unit.now().await?;
    unit.execute(
        "INSERT INTO outbox (event_id, topic, key, kind, payload, headers, traceparent, tracestate, appended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (event_id) DO NOTHING",
        params![
            &event.id,
            &event.topic,
            &event.key,
            &event.kind,
            &event.payload,
            headers::encode(&event.headers),
            &event.traceparent,
            &event.tracestate,
            At(now),
        ],
    )
    .await?;
    unit.wake_relay();
    Ok(())
}

/// What a statement that appends beside other things writes into the column `headers`.
pub fn headers_row(event: &Event) -> Vec<u8> {
    headers::encode(&event.headers)
}

/// To be called in a unit that appended by a statement of its own: tells the relay, once the unit is committed.
pub fn appended(unit: &mut Unit) {
    unit.wake_relay();
}

/// The outbox of a schema that has [`SCHEMA`].
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    pub(super) database: Database,
    sessions: Arc<Sessions>,
}

impl PostgresOutbox {
    /// The outbox of this schema. Inside a tokio runtime.
    pub fn new(database: &Database) -> PostgresOutbox {
        let database = database.untraced();
        PostgresOutbox { sessions: Sessions::start(&database), database }
    }
}

impl Outbox for PostgresOutbox {
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>> {
        Box::pin(async move {
            let select = || {
                self.database.read("pending-events", sql_limit(limit), |unit, limit| {
                    Box::pin(select_pending(unit, *limit))
                })
            };
            readable(self, select).await
        })
    }

    fn mark_published(&self, positions: Vec<i64>, keep: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.database.statement(
            "mark-events-published",
            (positions, keep),
            |unit, (positions, keep)| {
                Box::pin(async move {
                    // What is marked now is deleted with a later mark: the statement sees what was there before it.
                    unit.execute(
                        "WITH marked AS (
                             UPDATE outbox SET published_at = waypost_now() WHERE position = ANY($1))
                         DELETE FROM outbox WHERE position = ANY(ARRAY(
                             SELECT position FROM outbox
                             WHERE published_at IS NOT NULL AND published_at <= waypost_now() - $2 * interval '1 millisecond'
                             ORDER BY published_at LIMIT $3 FOR UPDATE SKIP LOCKED))",
                        params![
                            positions,
                            millis_of((*keep).min(LONGEST)),
                            sql_limit(deleted_with(positions.len()))
                        ],
                    )
                    .await
                    .map(drop)
                })
            },
        ))
    }

    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(self.database.write("delete-published-events", (age, limit), |unit, (age, limit)| {
            Box::pin(delete_published(unit, *age, *limit))
        }))
    }

    fn park(&self, position: i64, why: Parked) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            tracing::error!(
                position,
                reason = why.reason,
                error_type = why.error_type,
                attempts = why.attempts,
                "an event cannot be published and was parked in the outbox"
            );
            self.database
                .write("park-event", (position, why), |unit, (position, why)| {
                    Box::pin(async move {
                        let now = unit.now().await?;
                        unit.execute(
                            "UPDATE outbox SET parked_at = $3, parked_reason = $2, parked_error_type = $4,
                                    parked_attempts = $5
                             WHERE position = $1 AND published_at IS NULL",
                            params![position, &why.reason, At(now), &why.error_type, i64::from(why.attempts)],
                        )
                        .await
                        .map(drop)
                    })
                })
                .await
        })
    }

    fn parked(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(self.database.read("parked-events", (), |unit, ()| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM outbox WHERE parked_at IS NOT NULL";
                unit.query_row(count, params![], |row| row.number(0)).await
            })
        }))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(self.clone())
    }

    fn try_lead<'a>(
        &'a self,
        relay: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Leadership>, Error>> {
        Box::pin(self.sessions.try_lead(relay, lease))
    }

    fn step_down<'a>(&'a self, relay: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.sessions.step_down(relay).await;
            Ok(())
        })
    }

    fn wake(&self) -> BoxStream<'static, ()> {
        let own = stream::unfold(self.database.shared.appended.subscribe(), |mut appended| async {
            appended.changed().await.ok()?;
            Some(((), appended))
        });
        let others = stream::unfold(self.sessions.told(), |mut told| async {
            told.changed().await.ok()?;
            Some(((), told))
        });
        let closing = self.database.shared.closing.clone();
        stream::select(own, others).take_until(async move { closing.cancelled().await }).boxed()
    }
}

/// A row that waits; an error is its position and why it cannot be read.
type Waiting = Result<Pending, (i64, String)>;

async fn select_pending(unit: &mut Unit, limit: i64) -> Result<Vec<Waiting>, Error> {
    unit.query_all(
        "SELECT position, appended_at, event_id, topic, key, kind, payload, traceparent, tracestate, headers
         FROM outbox AS waiting
         WHERE published_at IS NULL AND parked_at IS NULL
           AND (key = '' OR NOT EXISTS (
               SELECT 1 FROM outbox AS parked
               WHERE parked.parked_at IS NOT NULL AND parked.topic = waiting.topic AND parked.key = waiting.key
                 AND parked.position < waiting.position))
         ORDER BY position LIMIT $1",
        params![limit],
        |row| {
            let position = row.get(0)?;
            Ok(read_pending(row, position).map_err(|reason| (position, reason)))
        },
    )
    .await
}

/// The event of a row, or why there is none.
fn read_pending(row: &Row, position: i64) -> Result<Pending, String> {
    let columns = || -> Result<(Pending, Vec<u8>), Error> {
        let event = Event {
            id: row.get(2)?,
            topic: row.get(3)?,
            key: row.get(4)?,
            kind: row.get(5)?,
            payload: row.get(6)?,
            traceparent: row.get(7)?,
            tracestate: row.get(8)?,
            headers: Vec::new(),
        };
        Ok((Pending { position, appended_at: row.time(1)?, event }, row.get(9)?))
    };
    let (mut pending, headers) = columns().map_err(|error| error.to_string())?;
    pending.event.headers = headers::decode(&headers).map_err(|error| error.to_string())?;
    Ok(pending)
}

async fn delete_published(unit: &mut Unit, age: Duration, limit: usize) -> Result<usize, Error> {
    let before = unit.ago(age).await?;
    // An array, so that the rows are found by their positions however many published ones there are.
    let deleted = unit
        .execute(
            "DELETE FROM outbox WHERE position = ANY(ARRAY(
                 SELECT position FROM outbox WHERE published_at IS NOT NULL AND published_at <= $1
                 ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
            params![At(before), sql_limit(limit)],
        )
        .await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}

pub(super) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
