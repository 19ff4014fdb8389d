//! The store on PostgreSQL. Events of several orders that come together are one statement (`groups`).

mod groups;

use super::{Answer, Recorded, Store};
use crate::{
    Error,
    domain::{Channel, Notification},
};
use groups::Recording;
use std::time::Duration;
use waypost_api::{EventId, OrderId};
use waypost_durable::{
    BoxFuture, Companion, Migration,
    postgres::{
        At, Database, PostgresMigrator, Row, Server, Unit,
        group::{Group, Kind, Name, Way},
        inbox, params,
    },
};
use waypost_telemetry::Telemetry;

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_notifications", include_str!("../../migrations/postgres/0001_notifications.sql")),
    Migration::new("0002_inbox", inbox::SCHEMA),
];

/// The name of the service: of its schema and in spans.
const DATABASE: &str = "notification";

/// Events or notifications that are forgotten in one transaction.
const PURGE_BATCH: u32 = 500;

/// Notifications in one schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    /// For what is asked over and over by nobody in particular.
    untraced: Database,
    recording: Group<Recording, Vec<Recorded>, Error>,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    pub async fn open(server: &Server, telemetry: &Telemetry) -> Result<PostgresStore, Error> {
        let database = Database::open(server, DATABASE, telemetry, MIGRATIONS).await?;
        let recording = database.group(Kind {
            name: |_| Name { operation: "record", summary: "INSERT inbox; INSERT notifications" },
            subject: |(_, event, _): &Recording| event.to_string(),
            way: Way::Statement,
            together: |unit, events| Box::pin(groups::record(unit, events)),
            alone: |unit, (consumer, event, notifications)| {
                Box::pin(record(unit, consumer, event, notifications))
            },
        });
        Ok(PostgresStore { untraced: database.untraced(), database, recording })
    }

    /// What brings the schema up to date without opening the store.
    pub(super) fn migrator(server: &Server) -> PostgresMigrator {
        PostgresMigrator::new(server, DATABASE, MIGRATIONS)
    }
}

impl Store for PostgresStore {
    fn record(
        &self,
        consumer: String,
        event: EventId,
        notifications: Vec<Notification>,
        _then: Option<Companion<()>>,
    ) -> Answer<'_, Vec<Recorded>> {
        Box::pin(self.recording.run((consumer, event, notifications)))
    }

    fn of_order(&self, order: OrderId) -> Answer<'_, Vec<Notification>> {
        Box::pin(self.untraced.read("of_order", order, |unit, order| {
            Box::pin(async move {
                let rows = unit.query_all(
                    "SELECT kind, channel, user_id, subject, event_id, sent_at FROM notifications \
                     WHERE order_id = $1 ORDER BY kind, channel",
                    params![order.as_str()],
                    |row| read(row, order),
                );
                Ok(rows.await?)
            })
        }))
    }

    fn total(&self) -> Answer<'_, u64> {
        Box::pin(self.untraced.read("total", (), |unit, ()| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM notifications";
                Ok(unit.query_row(count, params![], |row| row.number(0)).await?)
            })
        }))
    }

    fn purge_inbox(&self, age: Duration) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("purge_inbox", age, |unit, age| {
            Box::pin(async move { Ok(count(inbox::purge(unit, *age, PURGE_BATCH).await?)) })
        }))
    }

    fn delete_sent(&self, age: Duration) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("delete_sent", age, |unit, age| {
            Box::pin(async move {
                let before = unit.ago(*age).await?;
                let deleted = unit.execute(
                    // By their places, as they are locked: however many there are, no others are read.
                    "DELETE FROM notifications WHERE ctid = ANY(ARRAY( \
                       SELECT ctid FROM notifications WHERE sent_at < $1 \
                       ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
                    params![At(before), i64::from(PURGE_BATCH)],
                );
                Ok(count(deleted.await?))
            })
        }))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.untraced.ping().await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

async fn record(
    unit: &mut Unit,
    consumer: &str,
    event: &EventId,
    notifications: &[Notification],
) -> Result<Vec<Recorded>, Error> {
    if !inbox::first_time(unit, consumer, event.as_str()).await? {
        return Ok(Vec::new());
    }
    let mut recorded = Vec::new();
    for Notification { order, kind, channel, user, subject, event, sent_at } in notifications {
        let inserted = unit.execute(
            "INSERT INTO notifications (order_id, kind, channel, user_id, subject, event_id, sent_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            params![
                order.as_str(),
                kind.as_str(),
                channel.as_str(),
                user.as_str(),
                subject,
                event.as_str(),
                At((*sent_at).into()),
            ],
        );
        if inserted.await? > 0 {
            recorded.push(Recorded { channel: *channel, subject: subject.clone() });
        }
    }
    Ok(recorded)
}

fn read(row: &Row, order: &OrderId) -> Result<Notification, waypost_durable::Error> {
    let malformed = |what| waypost_durable::Error::Malformed { what };
    Ok(Notification {
        order: order.clone(),
        kind: row.get::<&str>(0)?.parse().map_err(|_| malformed("notifications.kind"))?,
        channel: row.get::<&str>(1)?.parse::<Channel>().map_err(|_| malformed("notifications.channel"))?,
        user: row.get::<&str>(2)?.parse().map_err(|_| malformed("notifications.user_id"))?,
        subject: row.get(3)?,
        event: row.get::<&str>(4)?.parse().map_err(|_| malformed("notifications.event_id"))?,
        sent_at: row.time(5)?.into(),
    })
}

fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
