//! What the tests share: ids, products, stores.

use std::{ops::Deref, sync::Arc, time::Duration};
use waypost_api::{Currency, Money, OrderId, ProductId, Timestamp};
use waypost_durable::{
    Epoch, Files, SharedFile,
    clock::ManualClock,
    postgres::testing::{self, ServerClock, TestClock},
};
use waypost_inventory::{
    domain::{Generation, Line, Lines, NewProduct, NewReservation},
    store::{PostgresStore, SqliteStore, Store},
};
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres::Database;

/// Price of one piece of each product of the tests.
pub(crate) const PRICE: i64 = 499_950;

/// The time of the tests, in milliseconds after their beginning.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000 + millis).unwrap()
}

pub(crate) fn order(name: &str) -> OrderId {
    OrderId::parse(name).unwrap()
}

pub(crate) fn product(name: &str) -> ProductId {
    ProductId::parse(name).unwrap()
}

pub(crate) fn first() -> Generation {
    Generation::new(1)
}

pub(crate) fn new_product(name: &str, received: u32) -> NewProduct {
    NewProduct {
        id: product(name),
        name: name.to_owned(),
        unit_price: Money::new(PRICE, Currency::USD),
        received,
    }
}

pub(crate) fn lines(wanted: &[(&str, u32)]) -> Lines {
    let line = |(name, quantity): &(&str, u32)| Line {
        product: product(name),
        quantity: *quantity,
        unit_price: Some(Money::new(PRICE, Currency::USD)),
    };
    Lines::new(wanted.iter().map(line).collect()).unwrap()
}

/// A wish of an order's first attempt that holds for a second.
pub(crate) fn request(name: &str, wanted: &[(&str, u32)]) -> NewReservation {
    NewReservation {
        order: order(name),
        generation: first(),
        lines: lines(wanted),
        lasts: Duration::from_secs(1),
        epoch: Epoch::FIRST,
    }
}

/// A store, and the clock by which it judges.
#[derive(Clone)]
pub(crate) struct Timed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: TestClock,
    /// Goes with the last store on it.
    _database: Option<Arc<Database>>,
}

impl Timed {
    /// The store at this moment.
    pub(crate) fn when(&self, now: Timestamp) -> &dyn Store {
        self.clock.set(now.into());
        &*self.store
    }
}

impl Deref for Timed {
    type Target = dyn Store;

    fn deref(&self) -> &dyn Store {
        &*self.store
    }
}

pub(crate) fn sqlite() -> Timed {
    sqlite_in(&Files::Ephemeral, &Telemetry::disabled())
}

/// In a file that may hold other stores too.
pub(crate) fn sqlite_in_a_shared_file() -> Timed {
    sqlite_in(&Files::Shared(SharedFile::ephemeral()), &Telemetry::disabled())
}

pub(crate) fn sqlite_in(files: &Files, telemetry: &Telemetry) -> Timed {
    let clock = ManualClock::at(at(0).into());
    let store = SqliteStore::open_by(files, telemetry, clock.clock()).unwrap();
    Timed { store: Arc::new(store), clock: TestClock::Embedded(clock), _database: None }
}

/// In a database of its own, whose time is the test's.
pub(crate) async fn postgres() -> Timed {
    let database = Database::create();
    let server = testing::server(&database.url());
    let store = PostgresStore::open(&server, &Telemetry::disabled()).await.unwrap();
    let clock = TestClock::Server(ServerClock::take(&server, "inventory", at(0).into()));
    Timed { store: Arc::new(store), clock, _database: Some(Arc::new(database)) }
}

/// I11 on every product.
pub(crate) async fn assert_adds_up(store: &dyn Store) {
    for count in store.count().await.unwrap() {
        assert!(count.adds_up(), "{count:?}");
    }
}
