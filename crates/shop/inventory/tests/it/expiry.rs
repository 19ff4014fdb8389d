//! Holds that run out, by a clock of the test's own.

use crate::world::{at, first, lines, new_product, order, product, sqlite};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};
use waypost_api::ErrorCode;
use waypost_durable::{Clock, Epoch, Files};
use waypost_inventory::{
    Config,
    logic::Inventory,
    store::{SqliteStore, Store},
};
use waypost_service::Drain;
use waypost_telemetry::{Telemetry, testing::TestTelemetry, with_context};

#[derive(Clone, Default)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::from_fn(move || SystemTime::from(at(hand.0.load(Ordering::SeqCst))))
    }

    fn move_on(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

async fn inventory(store: Arc<dyn Store>, hand: &Hand) -> Inventory {
    let config =
        Config { sweep_batch: 2, sweep_interval: Duration::from_millis(1).into(), ..Config::default() };
    let inventory = Inventory::new(store, hand.clock(), &config);
    inventory.add_products(vec![new_product("a", 9)]).await.unwrap();
    inventory
}

async fn hold(inventory: &Inventory, name: &str, hold_time: Option<Duration>) {
    inventory.reserve(order(name), first(), lines(&[("a", 1)]), hold_time, Epoch::FIRST).await.unwrap();
}

async fn available(inventory: &Inventory) -> u64 {
    inventory.product(product("a")).await.unwrap().available
}

#[tokio::test]
async fn a_hold_lasts_its_time_and_then_its_stock_comes_back() {
    let hand = Hand::default();
    let inventory = inventory(sqlite(), &hand).await;
    for number in 0..5 {
        hold(&inventory, &format!("order-{number}"), Some(Duration::from_secs(10))).await;
    }
    hold(&inventory, "usual", None).await;
    hold(&inventory, "endless", Some(Duration::from_secs(1_000_000))).await;

    hand.move_on(9);
    assert_eq!(inventory.sweep().await.unwrap(), 0);
    assert_eq!(available(&inventory).await, 2);
    hand.move_on(1);
    assert_eq!(
        inventory.commit(order("order-0"), Epoch::FIRST).await.unwrap_err().code(),
        ErrorCode::ReservationExpired
    );
    assert_eq!(inventory.sweep().await.unwrap(), 5);
    assert_eq!(available(&inventory).await, 7);
    hand.move_on(300);
    assert_eq!(inventory.sweep().await.unwrap(), 1);
    hand.move_on(3600);
    assert_eq!(inventory.sweep().await.unwrap(), 1);
    assert_eq!(available(&inventory).await, 9);
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_leaves_no_span_and_one_that_does_leaves_a_trace() {
    let telemetry = TestTelemetry::new("inventory-service");
    let hand = Hand::default();
    let store = Arc::new(SqliteStore::open(&Files::Ephemeral, telemetry.handle()).unwrap());
    let inventory = inventory(Arc::clone(&store) as Arc<dyn Store>, &hand).await;
    for number in 0..3 {
        hold(&inventory, &format!("order-{number}"), Some(Duration::from_secs(10))).await;
    }
    telemetry.forget();
    with_context(telemetry.context(), async {
        assert_eq!(inventory.sweep().await.unwrap(), 0);
        assert!(telemetry.finished_spans().is_empty());
        hand.move_on(10);
        assert_eq!(inventory.sweep().await.unwrap(), 3);
    })
    .await;
    telemetry.tree().assert_matches(
        "
expire-reservations INTERNAL inventory-service reservations.expired=3
  SELECT reservations; UPDATE stock; UPDATE reservations CLIENT inventory-service
  SELECT reservations; UPDATE stock; UPDATE reservations CLIENT inventory-service
",
    );
    store.close().await;
}

#[tokio::test]
async fn the_sweeper_works_until_the_drain() {
    let hand = Hand::default();
    let inventory = inventory(sqlite(), &hand).await;
    hold(&inventory, "one", Some(Duration::from_secs(10))).await;
    hand.move_on(10);
    let (trigger, drain) = Drain::new();
    let sweeper = inventory.clone().sweeper(Duration::from_millis(1), &Telemetry::disabled());
    let sweeper = waypost_telemetry::spawn((sweeper.run)(drain));
    let given_back = async {
        while available(&inventory).await < 9 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), given_back).await.unwrap();
    trigger.start();
    tokio::time::timeout(Duration::from_secs(10), sweeper).await.unwrap().unwrap();
}
