//! The embedded store: SQLite behind one writer thread.

use super::{Answer, Recorded, Store};
use crate::{
    Error,
    domain::{Channel, Notification},
};
use rusqlite::params;
use std::time::Duration;
use waypost_api::{EventId, OrderId, Timestamp};
use waypost_durable::{
    BoxFuture, Companion, Database, DatabaseOptions, Files, Migration, Sharing, SqliteMigrator, Unit, inbox,
};
use waypost_telemetry::Telemetry;

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_notifications", include_str!("../../migrations/sqlite/0001_notifications.sql")),
    Migration::new("0002_inbox", inbox::SCHEMA),
    Migration::new(
        "0003_notification_age",
        include_str!("../../migrations/sqlite/0003_notification_age.sql"),
    ),
];

/// The name of the database: of its file and in spans.
const DATABASE: &str = "notification";

/// Events or notifications that are forgotten in one transaction.
const PURGE_BATCH: u32 = 500;

/// Notifications in one SQLite database.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    /// The same database without spans, for polling in the background.
    untraced: Database,
}

impl SqliteStore {
    /// Opens the database and migrates it. Blocks the thread meanwhile.
    pub fn open(files: &Files, telemetry: &Telemetry) -> Result<SqliteStore, Error> {
        let database =
            Database::open(DatabaseOptions::new(files.database(DATABASE), DATABASE, telemetry), MIGRATIONS)?;
        Ok(SqliteStore { untraced: database.untraced(), database })
    }

    /// What brings the database to its schema without opening the store.
    pub(super) fn migrator(files: &Files) -> SqliteMigrator {
        SqliteMigrator::new(files.database(DATABASE), DATABASE, Sharing::Exclusive, MIGRATIONS)
    }
}

impl Store for SqliteStore {
    fn record(
        &self,
        consumer: String,
        event: EventId,
        notifications: Vec<Notification>,
        then: Option<Companion<()>>,
    ) -> Answer<'_, Vec<Recorded>> {
        let then = then.filter(|then| then.fits(&self.database));
        let record = move |unit: &mut Unit<'_>| {
            let recorded = record(unit, &consumer, &event, notifications)?;
            if let Some(then) = then {
                then.run(unit, ())?;
            }
            Ok(recorded)
        };
        Box::pin(self.database.write("record", record))
    }

    fn of_order(&self, order: OrderId) -> Answer<'_, Vec<Notification>> {
        Box::pin(self.untraced.read("of_order", move |unit| of_order(unit, &order)))
    }

    fn total(&self) -> Answer<'_, u64> {
        Box::pin(self.untraced.scan("total", |unit| {
            let count: i64 = unit.query_row("SELECT count(*) FROM notifications", (), |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or_default())
        }))
    }

    fn purge_inbox(&self, age: Duration) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("purge_inbox", move |unit| Ok(inbox::purge(unit, age, PURGE_BATCH)?)))
    }

    fn delete_sent(&self, age: Duration) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("delete_sent", move |unit| {
            let before = Timestamp::from(unit.ago(age)).unix_millis();
            Ok(unit.execute(
                "DELETE FROM notifications WHERE (order_id, kind, channel) IN (\
                   SELECT order_id, kind, channel FROM notifications WHERE sent_at < ?1 ORDER BY sent_at LIMIT ?2)",
                params![before, PURGE_BATCH],
            )?)
        }))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.untraced.read("ping", |unit| Ok(unit.query_row("SELECT 1", (), |_| Ok(()))?)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

fn record(
    unit: &mut Unit<'_>,
    consumer: &str,
    event: &EventId,
    notifications: Vec<Notification>,
) -> Result<Vec<Recorded>, Error> {
    if !inbox::first_time(unit, consumer, event.as_str())? {
        return Ok(Vec::new());
    }
    let mut recorded = Vec::new();
    for Notification { order, kind, channel, user, subject, event, sent_at } in notifications {
        let inserted = unit.execute(
            "INSERT INTO notifications (order_id, kind, channel, user_id, subject, event_id, sent_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                order.as_str(),
                kind.as_str(),
                channel.as_str(),
                user.as_str(),
                subject,
                event.as_str(),
                sent_at.unix_millis(),
            ],
        )?;
        if inserted > 0 {
            recorded.push(Recorded { channel, subject });
        }
    }
    Ok(recorded)
}

fn of_order(unit: &mut Unit<'_>, order: &OrderId) -> Result<Vec<Notification>, Error> {
    let rows = unit.query_all(
        "SELECT kind, channel, user_id, subject, event_id, sent_at FROM notifications WHERE order_id = ?1 \
         ORDER BY kind, channel",
        [order.as_str()],
        |row| {
            let texts: [String; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((texts, row.get::<_, i64>(5)?))
        },
    )?;
    let read = |(texts, sent_at): ([String; 5], i64)| {
        let [kind, channel, user, subject, event] = texts;
        Ok(Notification {
            order: order.clone(),
            kind: kind.parse().map_err(|_| malformed("notifications.kind"))?,
            channel: channel.parse::<Channel>().map_err(|_| malformed("notifications.channel"))?,
            user: user.parse().map_err(|_| malformed("notifications.user_id"))?,
            subject,
            event: event.parse().map_err(|_| malformed("notifications.event_id"))?,
            sent_at: Timestamp::from_unix_millis(sent_at).map_err(|_| malformed("notifications.sent_at"))?,
        })
    };
    rows.into_iter().map(read).collect()
}

fn malformed(what: &'static str) -> Error {
    Error::Store(waypost_durable::Error::Malformed { what })
}
