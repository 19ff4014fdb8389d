//! The clock moves by more than a day while the shop is down.
//!
//! The clock of the machine cannot be moved by a test; the rows can. Rows that are 25 hours older are what a clock
//! finds that went 25 hours forward, and rows of tomorrow what one finds that was set back.

use std::time::Duration;

use waypost_testkit::{Role, Roles, until};

use crate::alone;
use crate::course::{Purchase, TIMEOUT, Told};
use crate::shop::{Kind, PLENTY, on_each_kind, prepared};
use crate::verdict::everything_is_right;

const HOUR: i64 = 3_600_000;
/// Orders that run while the clock moves.
const ORDERS: u32 = 6;
/// Nothing is given up while the provider is away, and keys are cleaned all the time.
const PATIENT: [(&str, &str); 4] = [
    ("order.steps.attempts", "100000"),
    ("order.steps.budget", "1h"),
    ("order.hold_time", "15m"),
    ("order.key_purge_interval", "1s"),
];

on_each_kind! {
    a_running_order_keeps_its_key_when_the_clock_leaps_a_day
    orders_go_on_when_the_clock_is_set_back_a_day
}

async fn a_running_order_keeps_its_key_when_the_clock_leaps_a_day(kind: Kind) {
    moved_by(&kind, 25 * HOUR).await;
}

async fn orders_go_on_when_the_clock_is_set_back_a_day(kind: Kind) {
    moved_by(&kind, -25 * HOUR).await;
}

/// Orders are under way without a provider, everything is killed, the clock moves, everything but the provider starts
/// again, the keys are sent again, and at last the provider is back.
async fn moved_by(kind: &Kind, milliseconds: i64) {
    let _alone = alone().await;
    let mut roles = prepared(kind, 0..1, &PATIENT).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    roles.kill(Role::Provider).await.unwrap();
    let mut purchases: Vec<Purchase> =
        (1..=ORDERS).map(|number| Purchase::of(0, number, "user123", PLENTY, 1)).collect();
    for purchase in &mut purchases {
        until("an order that is under way", async || {
            purchase.send(&gateway, TIMEOUT).await.is_some_and(|told| told.status == 202 || told.is_in_use())
        })
        .await;
    }
    roles.kill_all().await.unwrap();
    let aged = roles.data().age(milliseconds).await.unwrap();
    assert!(aged > 50, "only {aged} times were found");
    start_without_provider(&mut roles).await;

    // Longer than a round of every kind of cleaning in the background, as nothing tells that one has been.
    for _ in 0..10 {
        for purchase in &mut purchases {
            purchase.send(&gateway, "100").await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    roles.start(Role::Provider).await.unwrap();
    let mut later = Purchase::of(0, ORDERS + 1, "user123", PLENTY, 1);
    until("an order that is placed after the clock moved", async || {
        later.send(&gateway, TIMEOUT).await.is_some_and(Told::is_settled)
    })
    .await;
    purchases.push(later);
    everything_is_right(&roles, purchases).await;
}

async fn start_without_provider(roles: &mut Roles) {
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Provider) {
        roles.start(role).await.unwrap();
    }
}
