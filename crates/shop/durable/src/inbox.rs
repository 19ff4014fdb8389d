//! The inbox: which events a consumer has had, so that a redelivered one has no second effect.
//!
//! For consumers. Asked in the unit that makes the effect: both commit or neither does.
//!
//! The rule, for every dialect: who inserts the row sees the event for the first time. A second consumer that inserts it at
//! the same time has to wait for the first one's commit, which a unique constraint does on every database.

use std::time::Duration;

use rusqlite::params;

use crate::clock::millis;
use crate::transfer::{Column, Kind, Table};
use crate::{Error, Unit};

/// The table, for a service's list of migrations.
pub const SCHEMA: &str = "\
CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    event_id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, event_id)
) WITHOUT ROWID;
CREATE INDEX inbox_by_age ON inbox (received_at);
";

/// The table, for a service's list of what is moved to another database.
pub const TABLE: Table = Table::new(
    "inbox",
    2,
    &[Column("consumer", Kind::Text), Column("event_id", Kind::Text), Column("received_at", Kind::Time)],
);

/// Whether this consumer sees this event for the first time. True exactly once for each pair that is committed.
pub fn first_time(unit: &mut Unit<'_>, consumer: &str, event_id: &str) -> Result<bool, Error> {
    let now = millis(unit.now());
    let inserted = unit.execute(
        "INSERT INTO inbox (consumer, event_id, received_at)
         VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![consumer, event_id, now],
    )?;
    Ok(inserted > 0)
}

/// Deletes up to `limit` entries older than `age`, which must be longer than the broker can redeliver an event, and
/// tells how many there were.
pub fn purge(unit: &mut Unit<'_>, age: Duration, limit: u32) -> Result<usize, Error> {
    let before = millis(unit.ago(age));
    unit.execute(
        "DELETE FROM inbox WHERE (consumer, event_id) IN (
             SELECT consumer, event_id FROM inbox
             WHERE received_at <= ?1 ORDER BY received_at LIMIT ?2)",
        params![before, limit],
    )
}
