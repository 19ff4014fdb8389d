//! Holds that run out, by a clock of the test's own.

use crate::world::{Timed, first, lines, new_product, order, product, sqlite, sqlite_in};
use std::{sync::Arc, time::Duration};
use waypost_api::ErrorCode;
use waypost_durable::{Epoch, Files};
use waypost_inventory::{Config, logic::Inventory};
use waypost_service::Drain;
use waypost_telemetry::{Telemetry, testing::TestTelemetry, with_context};

async fn inventory(timed: &Timed) -> Inventory {
    let config =
        Config { sweep_batch: 2, sweep_interval: Duration::from_millis(1).into(), ..Config::default() };
    let inventory = Inventory::new(Arc::clone(&timed.store), &config);
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
    let timed = sqlite();
    let inventory = inventory(&timed).await;
    for number in 0..5 {
        hold(&inventory, &format!("order-{number}"), Some(Duration::from_secs(10))).await;
    }
    hold(&inventory, "usual", None).await;
    hold(&inventory, "endless", Some(Duration::from_secs(1_000_000))).await;

    timed.clock.advance(Duration::from_secs(9));
    assert_eq!(inventory.sweep().await.unwrap(), 0);
    assert_eq!(available(&inventory).await, 2);
    timed.clock.advance(Duration::from_secs(1));
    assert_eq!(
        inventory.commit(order("order-0"), Epoch::FIRST).await.unwrap_err().code(),
        ErrorCode::ReservationExpired
    );
    assert_eq!(inventory.sweep().await.unwrap(), 5);
    assert_eq!(available(&inventory).await, 7);
    timed.clock.advance(Duration::from_mins(5));
    assert_eq!(inventory.sweep().await.unwrap(), 1);
    timed.clock.advance(Duration::from_hours(1));
    assert_eq!(inventory.sweep().await.unwrap(), 1);
    assert_eq!(available(&inventory).await, 9);
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_leaves_no_span_and_one_that_does_leaves_a_trace() {
    let telemetry = TestTelemetry::new("inventory-service");
    let timed = sqlite_in(&Files::Ephemeral, telemetry.handle());
    let inventory = inventory(&timed).await;
    for number in 0..3 {
        hold(&inventory, &format!("order-{number}"), Some(Duration::from_secs(10))).await;
    }
    telemetry.forget();
    with_context(telemetry.context(), async {
        assert_eq!(inventory.sweep().await.unwrap(), 0);
        assert!(telemetry.finished_spans().is_empty());
        timed.clock.advance(Duration::from_secs(10));
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
    timed.close().await;
}

#[tokio::test]
async fn the_sweeper_works_until_the_drain() {
    let timed = sqlite();
    let inventory = inventory(&timed).await;
    hold(&inventory, "one", Some(Duration::from_secs(10))).await;
    timed.clock.advance(Duration::from_secs(10));
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
