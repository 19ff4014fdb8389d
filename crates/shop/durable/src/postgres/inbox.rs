//! The inbox in PostgreSQL; see [`crate::inbox`] for its rule.

use std::time::Duration;

use super::{At, Unit, params};
use crate::Error;

/// The table, for a service's list of migrations.
pub const SCHEMA: &str = "\
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_by_age ON inbox (received_at);
";

/// As [`crate::inbox::first_time`]. Who inserts the row waits for one that inserts it at the same time.
pub async fn first_time(unit: &mut Unit, consumer: &str, event_id: &str) -> Result<bool, Error> {
    let now = unit.now().await?;
    let inserted = unit
        .execute(
            "INSERT INTO inbox (consumer, event_id, received_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            params![consumer, event_id, At(now)],
        )
        .await?;
    Ok(inserted > 0)
}

/// As [`crate::inbox::purge`].
pub async fn purge(unit: &mut Unit, age: Duration, limit: u32) -> Result<u64, Error> {
    let before = unit.ago(age).await?;
    unit.execute(
        // By their places, as they are locked: however many there are, no others are read.
        "DELETE FROM inbox WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM inbox
             WHERE received_at <= $1 ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        params![At(before), i64::from(limit)],
    )
    .await
}
