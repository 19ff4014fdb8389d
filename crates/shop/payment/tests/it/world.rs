//! What the tests share: ids, a clock to turn by hand, stores, payments over a fake provider.

use crate::provider::FakeProvider;
use std::{ops::Deref, sync::Arc, time::Duration};
use waypost_api::{Currency, Money, OrderId, PaymentId, Timestamp, TransactionId, UserId};
use waypost_durable::{
    Epoch, Files, SharedFile,
    clock::ManualClock,
    postgres::testing::{self, ServerClock, TestClock},
};
use waypost_payment::{
    Config, ProviderConfig,
    domain::{Charge, ChargeStatus, Generation, Intent, Payment, ReviewTimes},
    logic::{Authorization, Payments},
    provider::Provider,
    store::{PostgresStore, SqliteStore, Store},
};
use waypost_telemetry::Telemetry;
use waypost_test_servers::postgres::Database;

/// What every order of the tests costs.
pub(crate) const AMOUNT: i64 = 999_900;

/// The time of the tests, in seconds after their beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000 + seconds * 1000).unwrap()
}

pub(crate) fn order(name: &str) -> OrderId {
    OrderId::parse(name).unwrap()
}

pub(crate) fn first() -> Generation {
    Generation::new(1)
}

pub(crate) fn dollars(ten_thousandths: i64) -> Money {
    Money::new(ten_thousandths, Currency::USD)
}

pub(crate) fn intent(name: &str, generation: u32) -> Intent {
    Intent {
        id: PaymentId::parse(&format!("pay-{name}-{generation}")).unwrap(),
        order: order(name),
        generation: Generation::new(generation),
        key: format!("{name}:authorize:{generation}"),
        user: UserId::parse("user123").unwrap(),
        method: "pm_card_ok".to_owned(),
        amount: dollars(AMOUNT),
        traceparent: None,
        epoch: Epoch::FIRST,
    }
}

pub(crate) fn authorization(name: &str) -> Authorization {
    let Intent { order, generation, key, user, amount, method, epoch, .. } = intent(name, 1);
    Authorization { order, generation, key, user, amount, method, epoch }
}

/// The provider's charge of a payment, with what was given back of it.
pub(crate) fn charge(payment: &Payment, status: ChargeStatus, refunded: i64) -> Charge {
    let is_taken = matches!(status, ChargeStatus::Captured | ChargeStatus::Refunded);
    Charge {
        id: TransactionId::parse(&format!("ch-{}", payment.id)).unwrap(),
        reference: payment.id.clone(),
        status,
        amount: payment.amount,
        captured: if is_taken { AMOUNT } else { 0 },
        refunded,
        decline_code: (status == ChargeStatus::Declined).then(|| "insufficient_funds".to_owned()),
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

    pub(crate) fn move_on(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
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
    let store = SqliteStore::open_by(files, telemetry, ReviewTimes::default(), clock.clock()).unwrap();
    Timed { store: Arc::new(store), clock: TestClock::Embedded(clock), _database: None }
}

/// In a database of its own, whose time is the test's.
pub(crate) async fn postgres() -> Timed {
    let database = Database::create();
    let server = testing::server(&database.url());
    let store = PostgresStore::open(&server, &Telemetry::disabled(), ReviewTimes::default()).await.unwrap();
    let clock = TestClock::Server(ServerClock::take(&server, "payment", at(0).into()));
    Timed { store: Arc::new(store), clock, _database: Some(Arc::new(database)) }
}

/// A short patience with the provider, so that a test of its silence is over soon.
pub(crate) fn config(provider: &FakeProvider) -> Config {
    let provider = ProviderConfig {
        url: provider.url().to_owned(),
        timeout: Duration::from_millis(500).into(),
        ..ProviderConfig::default()
    };
    Config { provider, ..Config::default() }
}

pub(crate) fn payments(timed: &Timed, provider: &FakeProvider) -> Payments {
    let config = config(provider);
    let client = Provider::new(&config.provider, &Telemetry::disabled()).unwrap();
    Payments::new(Arc::clone(&timed.store), client, &config)
}

/// I8 on every payment of these orders, I9 on the books.
pub(crate) async fn assert_sound(store: &dyn Store, names: &[&str]) {
    for name in names {
        if let Some(payment) = store.newest(order(name)).await.unwrap() {
            assert!(payment.is_within_bounds(), "{payment:?}");
        }
    }
    let totals = store.totals(Currency::USD).await.unwrap();
    assert!(totals.balance(), "{totals:?}");
}
