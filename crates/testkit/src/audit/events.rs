//! Events on their way through one file: what has to hold there at any moment, also right after a crash.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::Connection;

use super::Finding;

/// Each rule with how many events break it.
const RULES: &[(&str, &str, &str)] = &[
    (
        "I16",
        "published more than once",
        "SELECT count(*) - count(DISTINCT event_id) FROM broker_records
         JOIN broker_partitions ON id = position >> 40 WHERE topic = 'order-events'",
    ),
    (
        "I16",
        "published and not marked, or marked and not published",
        "SELECT count(*) FROM outbox
         WHERE (published_at IS NOT NULL) <> EXISTS (
             SELECT 1 FROM broker_records WHERE broker_records.event_id = outbox.event_id)",
    ),
    (
        "I17",
        "behind the committed offset without its effect, or before it and with its effect",
        "SELECT count(*) FROM broker_records
         JOIN broker_partitions ON broker_partitions.id = position >> 40
         JOIN broker_progress ON broker_progress.partition_id = broker_partitions.id
         WHERE broker_partitions.topic = 'order-events'
           AND (position & ((1 << 40) - 1) < broker_progress.next_offset) <> EXISTS (
             SELECT 1 FROM inbox
             WHERE inbox.event_id = broker_records.event_id AND inbox.consumer = consumer_group)",
    ),
];

/// Events whose row in the outbox, record in the broker, effect and offset do not say the same, in a folder whose shop has always
/// had one file. Nobody has it open; it is looked at in a copy, so that the next start finds what the last one left.
///
/// # Errors
/// When the file cannot be read.
pub fn events_out_of_step(data: &Path) -> anyhow::Result<Vec<Finding>> {
    let copy = tempfile::tempdir()?;
    for name in ["waypost.db", "waypost.db-wal"] {
        let from = data.join(name);
        if from.exists() {
            std::fs::copy(&from, copy.path().join(name)).with_context(|| format!("copying {name}"))?;
        }
    }
    let database = Connection::open(copy.path().join("waypost.db"))?;
    let mut findings = Vec::new();
    for &(guarantee, what, count) in RULES {
        let count: i64 = database.query_row(count, [], |row| row.get(0)).context(what)?;
        if count > 0 {
            findings.push(Finding { guarantee, order: None, what: format!("{count} events are {what}") });
        }
    }
    Ok(findings)
}
