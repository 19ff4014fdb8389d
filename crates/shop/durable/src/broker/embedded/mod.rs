//! A durable broker in one SQLite file: what `waypost up` runs on, without any server.
//!
//! Records are on the disk before their publisher is answered, and survive `kill -9`. Several consumers of a group, in
//! one or several processes, share its partitions by leases in the file; the epoch of a lease fences those that lost
//! it. Inside a process a commit wakes the consumers; records of other processes are found by polling.
//!
//! Its own operations make no spans: a broker is seen by the PRODUCER and CONSUMER spans of those who use it.
//!
//! Left out: replication, transactions over topics, compaction.

mod append;
mod assignment;
mod backend;
mod consumer;
mod dead_letters;
mod heartbeat;
mod lease;
mod retention;
mod topics;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rusqlite::params;
use tokio::sync::OnceCell;
use waypost_telemetry::Telemetry;

use super::{Ack, Broker, Consumer, IsDone, PublishError, Record, TopicSpec};
use crate::clock::millis;
use crate::{
    Clock, Companion, Database, DatabaseOptions, Error, Location, Migration, Sharing, SqliteMigrator, Unit,
};
use consumer::{GroupConsumer, Member};
use heartbeat::Sightings;
use retention::Absences;
use topics::Topic;

/// The name of the database: of its file and in messages.
const DATABASE: &str = "broker";

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_broker", include_str!("schema.sql")),
    Migration::new("0002_replays", include_str!("replays.sql")),
    Migration::new("0003_topics", include_str!("topics.sql")),
    Migration::new("0004_sightings", include_str!("sightings.sql")),
];

/// Bits of a record's position that hold its offset.
const OFFSET_BITS: u32 = 40;

/// How an embedded broker is opened.
#[derive(Clone, Debug)]
pub struct EmbeddedBrokerOptions {
    /// Where its database lives.
    pub location: Location,
    /// Whether other processes may use it at the same time. Default [`Sharing::Exclusive`].
    pub sharing: Sharing,
    /// How long a consumer may be silent before others take its partitions. Default 10 s.
    pub lease: Duration,
    /// How often a shared broker looks for records of other processes. Default 100 ms.
    pub poll_interval: Duration,
    /// A group of which no member was seen for longer holds back no deletion of records any more; it loses those that it
    /// has not read. Default 7 days.
    pub group_expiry: Duration,
    /// Bytes of key and payload of one record; a larger one is refused for good. Default 1 MiB.
    pub max_record: usize,
    /// Judges how old records are. Default: the machine's clock. Leases are not judged by it.
    pub clock: Clock,
}

impl EmbeddedBrokerOptions {
    /// The defaults for a broker that lives there.
    pub fn new(location: Location) -> EmbeddedBrokerOptions {
        EmbeddedBrokerOptions {
            location,
            sharing: Sharing::Exclusive,
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_millis(100),
            group_expiry: Duration::from_hours(7 * 24),
            max_record: 1024 * 1024,
            clock: Clock::system(),
        }
    }
}

/// The broker. Cheap to clone; clones are one broker.
#[derive(Clone)]
pub struct EmbeddedBroker {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    lease: Duration,
    poll_interval: Option<Duration>,
    group_expiry: Duration,
    max_record: usize,
    sightings: Arc<Sightings>,
    absences: Absences,
    clock: Clock,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    /// Set once the members that an earlier process left behind are forgotten.
    is_cleared: OnceCell<()>,
}

impl EmbeddedBroker {
    /// What brings the database in this place to its schema. A running system may have it open as shared.
    pub fn migrator(location: Location) -> SqliteMigrator {
        SqliteMigrator::new(location, DATABASE, Sharing::Shared, MIGRATIONS)
    }

    /// Opens the broker's database, or makes it. Blocks for as long as that takes; meant for start-up.
    pub fn open(options: EmbeddedBrokerOptions) -> Result<EmbeddedBroker, Error> {
        let database = DatabaseOptions {
            sharing: options.sharing,
            ..DatabaseOptions::new(options.location, DATABASE, &Telemetry::disabled())
        };
        let database = Database::open(database, MIGRATIONS)?.untraced();
        let inner = Inner {
            database,
            lease: options.lease,
            poll_interval: (options.sharing == Sharing::Shared).then_some(options.poll_interval),
            group_expiry: options.group_expiry,
            max_record: options.max_record,
            sightings: Arc::default(),
            absences: Absences::default(),
            clock: options.clock,
            topics: Mutex::default(),
            is_cleared: OnceCell::new(),
        };
        Ok(EmbeddedBroker { inner: Arc::new(inner) })
    }
}

impl Broker for EmbeddedBroker {
    fn system(&self) -> &'static str {
        "waypost"
    }

    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.inner.ensure_topics(topics))
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Vec<Result<Ack, PublishError>>> {
        Box::pin(self.inner.append(records, None))
    }

    fn publish_with(
        &self,
        records: Vec<Record>,
        then: Companion<Vec<usize>>,
    ) -> BoxFuture<'_, (Vec<Result<Ack, PublishError>>, IsDone)> {
        let fits = then.fits(&self.inner.database);
        let then = fits.then_some(then);
        Box::pin(async move { (self.inner.append(records, then).await, IsDone(fits)) })
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        Box::pin(async move {
            self.inner.forget_the_dead().await?;
            let topic = self.inner.topic(topic).await?;
            self.inner.add_group(group, &topic).await?;
            let id = uuid::Uuid::now_v7().to_string();
            let member = Member { group: group.into(), topic: Arc::clone(&topic.name), id: id.into() };
            let consumer = GroupConsumer::new(Arc::clone(&self.inner), member, &topic.signals);
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        let ping = |unit: &mut Unit<'_>| unit.query_row("SELECT 1", (), |_| Ok(()));
        Box::pin(self.inner.database.read("ping", ping))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        // The writer takes units in their order: when it has come to this one, it is through with all before.
        Box::pin(self.inner.database.write("flush", |_| Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inner.database.close())
    }
}

impl Inner {
    /// Forgets the members of an earlier process, which cannot live while this one has the file for itself; waiting
    /// for their leases after a crash would only hold up their records. Does nothing when the file is shared.
    async fn forget_the_dead(&self) -> Result<(), Error> {
        if self.poll_interval.is_some() {
            return Ok(());
        }
        let forget = || {
            self.database.write("forget-members", |unit| {
                unit.execute("DELETE FROM broker_members", [])?;
                unit.execute(
                    "UPDATE broker_progress SET owner = NULL, lease_until = 0 WHERE owner IS NOT NULL",
                    [],
                )?;
                Ok::<_, Error>(())
            })
        };
        self.is_cleared.get_or_try_init(forget).await.copied()
    }

    async fn add_group(&self, group: &str, topic: &Topic) -> Result<(), Error> {
        let (group, partitions, now) = (group.to_owned(), topic.partitions.clone(), millis(self.clock.now()));
        self.database
            .write("add-group", move |unit| {
                for partition in partitions {
                    unit.execute(
                        "INSERT INTO broker_progress (consumer_group, partition_id, seen_at) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET seen_at = ?3",
                        params![group, partition, now],
                    )?;
                }
                Ok(())
            })
            .await
    }
}

/// The place of a record in the table.
fn position(partition_id: i64, offset: u64) -> i64 {
    (partition_id << OFFSET_BITS) + i64::try_from(offset).unwrap_or(i64::MAX >> 1)
}

/// The offset that a place stands for.
fn offset(position: i64) -> u64 {
    u64::try_from(position & ((1 << OFFSET_BITS) - 1)).unwrap_or(0)
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker").field("database", &self.inner.database).finish_non_exhaustive()
    }
}
