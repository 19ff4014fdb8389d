//! Databases of both kinds, with the tables of this crate, for the tests that both must pass.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use waypost_durable::clock::ManualClock;
use waypost_durable::idempotency::{self, Claim, Fence, Key};
use waypost_durable::outbox::{self, Event, Outbox, SqliteOutbox};
use waypost_durable::postgres::testing::{self, ServerClock, TestClock};
use waypost_durable::postgres::{self, outbox::PostgresOutbox};
use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration, inbox};
use waypost_telemetry::Telemetry;

/// Runs each test on both kinds.
macro_rules! on_each_kind {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(crate::kinds::sqlite()).await; }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() { super::$test(crate::kinds::postgres().await).await; }
            )*
        }
    };
}
pub(crate) use on_each_kind;

/// A database, whose time is the test's.
#[derive(Clone)]
pub(crate) struct Kind {
    on: On,
    pub(crate) clock: TestClock,
}

#[derive(Clone)]
enum On {
    Sqlite(Database),
    /// The test's own database goes with the last handle.
    Postgres(postgres::Database, Arc<waypost_test_servers::postgres::Database>),
}

const NAME: &str = "test";

const SQLITE: &[Migration] = &[
    Migration::new("0001_outbox", outbox::SCHEMA),
    Migration::new("0002_inbox", inbox::SCHEMA),
    Migration::new("0003_outbox_parking", outbox::PARKING),
    Migration::new("0004_outbox_replays", outbox::REPLAYS),
    Migration::new("0005_idempotency", idempotency::SCHEMA),
    Migration::new("0006_outbox_parked_with", outbox::PARKED_WITH),
];

pub(crate) const POSTGRES: &[Migration] = &[
    Migration::new("0001_outbox", postgres::outbox::SCHEMA),
    Migration::new("0002_inbox", postgres::inbox::SCHEMA),
    Migration::new("0003_idempotency", postgres::idempotency::SCHEMA),
];

/// When tests begin.
pub(crate) fn beginning() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

pub(crate) fn sqlite() -> Kind {
    let clock = ManualClock::at(beginning());
    let options = DatabaseOptions {
        clock: clock.clock(),
        ..DatabaseOptions::new(Location::Ephemeral, NAME, &Telemetry::disabled())
    };
    Kind { on: On::Sqlite(Database::open(options, SQLITE).unwrap()), clock: TestClock::Embedded(clock) }
}

pub(crate) async fn postgres() -> Kind {
    let own = waypost_test_servers::postgres::Database::create();
    let server = testing::server(&own.url());
    let database = postgres::Database::open(&server, NAME, &Telemetry::disabled(), POSTGRES).await.unwrap();
    let clock = TestClock::Server(ServerClock::take(&server, NAME, beginning()));
    Kind { on: On::Postgres(database, Arc::new(own)), clock }
}

impl Kind {
    /// Another handle, as another process would have one.
    pub(crate) async fn again(&self) -> Kind {
        let on = match &self.on {
            On::Sqlite(database) => On::Sqlite(database.clone()),
            On::Postgres(_, own) => {
                let server = testing::server(&own.url());
                let opened = postgres::Database::open(&server, NAME, &Telemetry::disabled(), POSTGRES).await;
                On::Postgres(opened.unwrap(), Arc::clone(own))
            }
        };
        Kind { on, clock: self.clock.clone() }
    }

    pub(crate) fn outbox(&self) -> Arc<dyn Outbox> {
        match &self.on {
            On::Sqlite(database) => Arc::new(SqliteOutbox::new(database)),
            On::Postgres(database, _) => Arc::new(PostgresOutbox::new(database)),
        }
    }

    pub(crate) async fn append(&self, events: Vec<Event>) {
        let appended: Result<(), Error> = match &self.on {
            On::Sqlite(database) => {
                let append = move |unit: &mut waypost_durable::Unit<'_>| {
                    events.iter().try_for_each(|event| outbox::append(unit, event))
                };
                database.write("append-events", append).await
            }
            On::Postgres(database, _) => {
                let append = database.write("append-events", events, |unit, events| {
                    Box::pin(async move {
                        for event in events {
                            postgres::outbox::append(unit, event).await?;
                        }
                        Ok(())
                    })
                });
                append.await
            }
        };
        appended.unwrap();
    }

    /// Appends in a unit that fails.
    pub(crate) async fn append_and_fail(&self, event: Event) {
        let failed: Result<(), Error> = match &self.on {
            On::Sqlite(database) => {
                let append = move |unit: &mut waypost_durable::Unit<'_>| {
                    outbox::append(unit, &event)?;
                    Err(Error::Malformed { what: "order" })
                };
                database.write("append-and-fail", append).await
            }
            On::Postgres(database, _) => {
                let append = database.write("append-and-fail", event, |unit, event| {
                    Box::pin(async move {
                        postgres::outbox::append(unit, event).await?;
                        Err(Error::Malformed { what: "order" })
                    })
                });
                append.await
            }
        };
        failed.unwrap_err();
    }

    /// Whether the inbox sees the event for the first time, in a unit that fails when it is told to.
    pub(crate) async fn first_time(
        &self,
        consumer: &'static str,
        id: &'static str,
        fails: bool,
    ) -> Result<bool, Error> {
        let ended = move |first| if fails { Err(Error::Malformed { what: "mail" }) } else { Ok(first) };
        match &self.on {
            On::Sqlite(database) => {
                database.write("first-time", move |unit| ended(inbox::first_time(unit, consumer, id)?)).await
            }
            On::Postgres(database, _) => {
                let first_time = database.write("first-time", ended, move |unit, ended| {
                    Box::pin(async move { ended(postgres::inbox::first_time(unit, consumer, id).await?) })
                });
                first_time.await
            }
        }
    }

    pub(crate) async fn purge_inbox(&self, age: Duration) -> usize {
        let purged: Result<usize, Error> = match &self.on {
            On::Sqlite(database) => database.write("purge", move |unit| inbox::purge(unit, age, 10)).await,
            On::Postgres(database, _) => {
                let purge = database.write("purge", age, |unit, age| {
                    Box::pin(async move {
                        Ok(usize::try_from(postgres::inbox::purge(unit, *age, 10).await?).unwrap())
                    })
                });
                purge.await
            }
        };
        purged.unwrap()
    }

    pub(crate) async fn claim(&self, key: &Key) -> Result<Claim, Error> {
        let key = key.clone();
        match &self.on {
            On::Sqlite(database) => database.write("claim", move |unit| idempotency::claim(unit, &key)).await,
            On::Postgres(database, _) => {
                let claim = database
                    .write("claim", key, |unit, key| Box::pin(postgres::idempotency::claim(unit, key)));
                claim.await
            }
        }
    }

    /// Claims in a unit that fails.
    pub(crate) async fn claim_and_fail(&self, key: &Key) {
        let key = key.clone();
        let failed: Result<(), Error> = match &self.on {
            On::Sqlite(database) => {
                let claim = move |unit: &mut waypost_durable::Unit<'_>| {
                    idempotency::claim(unit, &key)?;
                    Err(Error::Malformed { what: "order" })
                };
                database.write("claim-and-fail", claim).await
            }
            On::Postgres(database, _) => {
                let claim = database.write("claim-and-fail", key, |unit, key| {
                    Box::pin(async move {
                        postgres::idempotency::claim(unit, key).await?;
                        Err(Error::Malformed { what: "order" })
                    })
                });
                claim.await
            }
        };
        failed.unwrap_err();
    }

    pub(crate) async fn find(&self, key: &Key) -> Option<Claim> {
        let key = key.clone();
        let found: Result<Option<Claim>, Error> = match &self.on {
            On::Sqlite(database) => database.read("find", move |unit| idempotency::find(unit, &key)).await,
            On::Postgres(database, _) => {
                let find =
                    database.read("find", key, |unit, key| Box::pin(postgres::idempotency::find(unit, key)));
                find.await
            }
        };
        found.unwrap()
    }

    pub(crate) async fn record(&self, key: &Key, fence: Fence, point: &'static [u8]) -> Result<(), Error> {
        let key = key.clone();
        match &self.on {
            On::Sqlite(database) => {
                database.write("record", move |unit| idempotency::record(unit, &key, fence, point)).await
            }
            On::Postgres(database, _) => {
                let record = database.write("record", key, move |unit, key| {
                    Box::pin(postgres::idempotency::record(unit, key, fence, point))
                });
                record.await
            }
        }
    }

    pub(crate) async fn finish(&self, key: &Key, fence: Fence, result: &'static [u8]) -> Result<(), Error> {
        let key = key.clone();
        match &self.on {
            On::Sqlite(database) => {
                database.write("finish", move |unit| idempotency::finish(unit, &key, fence, result)).await
            }
            On::Postgres(database, _) => {
                let finish = database.write("finish", key, move |unit, key| {
                    Box::pin(postgres::idempotency::finish(unit, key, fence, result))
                });
                finish.await
            }
        }
    }

    pub(crate) async fn abandon(&self, key: &Key, fence: Fence) -> Result<(), Error> {
        let key = key.clone();
        match &self.on {
            On::Sqlite(database) => {
                database.write("abandon", move |unit| idempotency::abandon(unit, &key, fence)).await
            }
            On::Postgres(database, _) => {
                let abandon = database.write("abandon", key, move |unit, key| {
                    Box::pin(postgres::idempotency::abandon(unit, key, fence))
                });
                abandon.await
            }
        }
    }
}
