//! Effects once: what a service writes is durable before it is acknowledged, and happens once however often it is asked for.
//!
//! For the service crates of Waypost. The parts, from the ground up:
//!
//! - [`Storage`]: which database, and where.
//! - [`Database`]: one SQLite file behind one writer thread. Units of work that wait together share one commit.
//! - [`postgres`]: a schema of a PostgreSQL server, with the same parts.
//! - [`layout`]: stores on their way between files of their own and a file that they share.
//! - [`migration`]: the schema, with checksums, and who brings a database to it.
//! - [`idempotency`], [`outbox`], [`inbox`]: rows that a unit writes beside its own state, so that they commit together.
//! - [`relay`]: carries outbox rows to a [`broker::Broker`]; [`consume`] carries records from it to a handler.
//! - [`broker`]: the port, and an embedded durable broker. [`dead_letters`]: what could not be delivered.
//! - [`saga`]: steps over several services, resumed after a crash and undone in reverse.
//! - [`transfer`]: the rows of a store on their way to another database.
//! - [`settle`]: what became of a unit whose answer is an error.
//!
//! Invariants: state, idempotency row and outbox row commit together or not at all; nothing cancels a unit that was
//! accepted; an answer is given only after the commit that holds its effects.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions, TopicSpec};
//! use waypost_durable::outbox::{self, Event, SqliteOutbox};
//! use waypost_durable::relay::Relay;
//! use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration};
//! use waypost_telemetry::Telemetry;
//! use waypost_telemetry::opentelemetry::Context;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let telemetry = Telemetry::disabled();
//! let migrations = [
//!     Migration::new("0001_orders", "CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT NOT NULL)"),
//!     Migration::new("0002_outbox", outbox::SCHEMA),
//!     Migration::new("0003_outbox_parking", outbox::PARKING),
//!     Migration::new("0004_outbox_replays", outbox::REPLAYS),
//!     Migration::new("0005_outbox_parked_with", outbox::PARKED_WITH),
//! ];
//! let database = Database::open(DatabaseOptions::new(Location::Ephemeral, "order", &telemetry), &migrations)?;
//!
//! // One unit: the order and its event are both durable when this returns, or neither exists.
//! let placed = Event::new("event-1", "order-events", "order-1", "order.placed", b"{}".to_vec())
//!     .caused_by(&Context::current());
//! database
//!     .write("place-order", move |unit| {
//!         unit.execute("INSERT INTO orders (id, status) VALUES (?1, 'pending')", ("order-1",))?;
//!         outbox::append(unit, &placed)
//!     })
//!     .await?;
//!
//! // A worker carries the event to the broker; here it has no more time than a drain needs.
//! let broker = EmbeddedBroker::open(EmbeddedBrokerOptions::new(Location::Ephemeral))?;
//! broker.ensure_topics(vec![TopicSpec::new("order-events")]).await?;
//! let relay = Relay::new(Arc::new(SqliteOutbox::new(&database)), Arc::new(broker.clone()), &telemetry);
//! relay.run(std::future::ready(())).await;
//!
//! let mut consumer = broker.subscribe("notification", "order-events").await?;
//! let mut deliveries = Vec::new();
//! while deliveries.is_empty() {
//!     deliveries = consumer.poll(10, Duration::from_secs(1)).await?.records;
//! }
//! assert_eq!(deliveries[0].record.id, "event-1");
//!
//! database.close().await;
//! # Ok::<(), Error>(())
//! # })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Left out: other brokers. They arrive behind [`broker::Broker`].

mod backoff;
pub mod broker;
pub mod clock;
pub mod consume;
mod database;
pub mod dead_letters;
mod epoch;
mod error;
mod headers;
pub mod idempotency;
pub mod inbox;
pub mod layout;
pub mod migration;
pub mod outbox;
pub mod postgres;
pub mod relay;
pub mod saga;
mod settle;
mod storage;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transfer;

pub use backoff::Backoff;
pub use clock::Clock;
pub use database::{
    Companion, Counters, Database, DatabaseOptions, Location, SharedFile, Sharing, Unit, make_folder,
};
pub use epoch::Epoch;
pub use error::{Cause, ConstraintKind, Error, MigrationProblem};
pub use futures_util::future::BoxFuture;
pub use migration::{Migration, Migrator, SqliteMigrator};
pub use settle::{StoreError, settle};
pub use storage::{Files, Storage};
