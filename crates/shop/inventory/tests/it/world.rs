//! What the tests share: ids, products, stores.

use std::sync::Arc;
use waypost_api::{Currency, Money, OrderId, ProductId, Timestamp};
use waypost_durable::{Epoch, Files};
use waypost_inventory::{
    domain::{Generation, Line, Lines, NewProduct, Wish},
    store::{SqliteStore, Store},
};
use waypost_telemetry::Telemetry;

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

/// A wish of an order's first attempt that holds until millisecond 1000.
pub(crate) fn wish(name: &str, wanted: &[(&str, u32)]) -> Wish {
    Wish {
        order: order(name),
        generation: first(),
        lines: lines(wanted),
        expires_at: at(1000),
        epoch: Epoch::FIRST,
    }
}

pub(crate) fn sqlite() -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&Files::Ephemeral, &Telemetry::disabled()).unwrap())
}

/// I11 on every product.
pub(crate) async fn assert_adds_up(store: &dyn Store) {
    for count in store.count().await.unwrap() {
        assert!(count.adds_up(), "{count:?}");
    }
}
