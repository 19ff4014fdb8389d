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
mod backend;
mod dead_letters;
mod heartbeat;
mod retention;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rusqlite::params;
use tokio::sync::OnceCell;
use waypost_telemetry::Telemetry;

use super::membership::{GroupConsumer, Member, Signals};
use super::{Ack, Broker, Consumer, Record};
use crate::{Clock, Database, DatabaseOptions, Error, Location, Migration, Sharing, SqliteMigrator};
use heartbeat::Sightings;
pub use retention::Retention;

/// The name of the database: of its file and in messages.
const DATABASE: &str = "broker";

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_broker", include_str!("schema.sql")),
    Migration::new("0002_replays", include_str!("replays.sql")),
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
    /// Partitions of a topic that it makes; topics that exist keep theirs. Default 4.
    pub partitions: u32,
    /// How long a consumer may be silent before others take its partitions. Default 10 s.
    pub lease: Duration,
    /// How often a shared broker looks for records of other processes. Default 100 ms.
    pub poll_interval: Duration,
    /// What may be deleted once every group has consumed it.
    pub retention: Retention,
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
            partitions: 4,
            lease: Duration::from_secs(10),
            poll_interval: Duration::from_millis(100),
            retention: Retention::default(),
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
    partitions: u32,
    lease: Duration,
    poll_interval: Option<Duration>,
    retention: Retention,
    max_record: usize,
    sightings: Arc<Sightings>,
    clock: Clock,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    /// Set once the members that an earlier process left behind are forgotten.
    is_cleared: OnceCell<()>,
}

/// A topic as this process knows it.
struct Topic {
    name: Arc<str>,
    /// The partitions' ids, by number.
    partitions: Vec<i64>,
    signals: Signals,
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
            partitions: options.partitions.max(1),
            lease: options.lease,
            poll_interval: (options.sharing == Sharing::Shared).then_some(options.poll_interval),
            retention: options.retention,
            max_record: options.max_record,
            sightings: Arc::default(),
            clock: options.clock,
            topics: Mutex::default(),
            is_cleared: OnceCell::new(),
        };
        Ok(EmbeddedBroker { inner: Arc::new(inner) })
    }

    /// Closes its database; see [`Database::close`]. Publishing and polling fail from then on.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }
}

impl Broker for EmbeddedBroker {
    fn system(&self) -> &'static str {
        "waypost"
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Vec<Ack>, Error>> {
        Box::pin(self.inner.append(records))
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

    /// The topic with this name, made if it is missing.
    async fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        if let Some(known) = self.known_topic(name) {
            return Ok(known);
        }
        let partitions = self.make_topic(name).await?;
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task may have been faster; there must be one set of signals.
        let topic = topics
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Topic { name: name.into(), partitions, signals: Signals::new() }));
        Ok(Arc::clone(topic))
    }

    fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    async fn make_topic(&self, name: &str) -> Result<Vec<i64>, Error> {
        let (name, wanted) = (name.to_owned(), self.partitions);
        self.database
            .write("make-topic", move |unit| {
                let select = "SELECT id FROM broker_partitions WHERE topic = ?1 ORDER BY number";
                let known = unit.query_all(select, params![name], |row| row.get(0))?;
                if !known.is_empty() {
                    return Ok(known);
                }
                for number in 0..wanted {
                    let insert = "INSERT INTO broker_partitions (topic, number) VALUES (?1, ?2)";
                    unit.execute(insert, params![name, number])?;
                }
                unit.query_all(select, params![name], |row| row.get(0))
            })
            .await
    }

    async fn add_group(&self, group: &str, topic: &Topic) -> Result<(), Error> {
        let (group, partitions) = (group.to_owned(), topic.partitions.clone());
        self.database
            .write("add-group", move |unit| {
                for partition in partitions {
                    unit.execute(
                        "INSERT INTO broker_progress (consumer_group, partition_id) VALUES (?1, ?2)
                         ON CONFLICT DO NOTHING",
                        params![group, partition],
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
