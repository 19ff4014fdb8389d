//! What the tests share: ids, a clock to turn by hand, stores, payments over a fake provider.

use crate::provider::FakeProvider;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};
use waypost_api::{Currency, Money, OrderId, PaymentId, Timestamp, TransactionId, UserId};
use waypost_durable::{Clock, Epoch, Files};
use waypost_payment::{
    Config, ProviderConfig,
    domain::{Charge, ChargeStatus, Generation, Intent, Payment, ReviewTimes},
    logic::{Authorization, Payments},
    provider::Provider,
    store::{SqliteStore, Store},
};
use waypost_telemetry::Telemetry;

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

/// A clock that moves when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::from_fn(move || SystemTime::from(at(hand.0.load(Ordering::SeqCst))))
    }

    pub(crate) fn move_on(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

pub(crate) fn sqlite() -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&Files::Ephemeral, &Telemetry::disabled(), ReviewTimes::default()).unwrap())
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

pub(crate) fn payments(store: Arc<dyn Store>, provider: &FakeProvider, hand: &Hand) -> Payments {
    let config = config(provider);
    let client = Provider::new(&config.provider, &Telemetry::disabled()).unwrap();
    Payments::new(store, client, hand.clock(), &config)
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
