//! A runner of orders that was replaced: what it asked for while it was the runner arrives when another one has ended its
//! orders. I26

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use waypost_testkit::audit::Order;
use waypost_testkit::proxy::{Fault, Script};
use waypost_testkit::{Role, Roles, until};

use crate::alone;
use crate::course::Purchase;
use crate::kills::Load;
use crate::shop::{Kind, PLENTY, on_each_kind, prepared, tight};
use crate::verdict::everything_is_right;

/// A call that an order makes, an order that makes it, and how that has to end.
struct Case {
    link: &'static str,
    call: &'static str,
    purchase: Purchase,
}

fn cases() -> Vec<Case> {
    let (inventory, payment) = ("order-inventory", "order-payment");
    let sold = |seed| Purchase::of(seed, 1, "user123", PLENTY, 1).ending("completed");
    // More than there is of it: paid for and not to be had.
    let sold_out = Purchase::of(5, 1, "user123", &tight(5), 9).ending("failed");
    let declined = Purchase::of(6, 1, "user-declined", PLENTY, 1).ending("failed");
    vec![
        Case { link: inventory, call: "/Reserve", purchase: sold(1) },
        Case { link: payment, call: "/Authorize", purchase: sold(2) },
        Case { link: payment, call: "/Capture", purchase: sold(3) },
        Case { link: inventory, call: "/Commit", purchase: sold(4) },
        Case { link: payment, call: "/Void", purchase: sold_out },
        Case { link: inventory, call: "/Release", purchase: declined },
    ]
}

on_each_kind! {
    late_calls_of_a_replaced_runner_are_refused
    no_order_is_lost_or_doubled_while_their_service_sleeps
}

async fn late_calls_of_a_replaced_runner_are_refused(kind: Kind) {
    let _alone = alone().await;
    let mut roles = prepared(&kind, 0..7, &[]).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    let first = Purchase::of(0, 1, "user123", PLENTY, 1).placed(&gateway).await;
    for Case { link, call, purchase } in cases() {
        // Each further try as well: the first runner gets none of them through.
        roles.weather().script(Script { seed: purchase.seed, link, call, faults: vec![Fault::Hold; 200] });
    }
    roles.weather().set_foul(true);
    let placed = cases().into_iter().map(|case| async {
        let mut purchase = case.purchase;
        purchase.send(&gateway, "300").await;
        purchase
    });
    let mut purchases = join_all(placed).await;
    until("a call of each kind that is held back", async || held(&roles).len() == cases().len()).await;

    // Asleep it sends nothing more and is told nothing; the process that replaces it is the next runner of its orders.
    roles.signal(Role::Order, "STOP").unwrap();
    roles.weather().set_foul(false);
    roles.kill(Role::Order).await.unwrap();
    roles.start(Role::Order).await.unwrap();
    until("the end of every order by its second runner", async || {
        roles.data().books().await.unwrap().orders.values().all(Order::is_settled)
    })
    .await;
    let (before, refused_before) = (roles.data().books().await.unwrap(), refused(&roles).await);

    roles.weather().let_go();
    until("the arrival of what was held back", async || roles.is_idle()).await;
    let held = held(&roles);
    println!("held back and refused: {held:?}");
    let mut stale = BTreeMap::new();
    for late in roles.late().into_iter().filter(|late| late.code.as_deref() == Some("stale_runner")) {
        *stale.entry(late.call).or_default() += 1;
    }
    assert_eq!(stale, held, "{:?}", roles.late());
    assert_eq!(refused(&roles).await - refused_before, held.values().sum::<usize>());
    let after = roles.data().books().await.unwrap();
    assert_eq!(after.payments, before.payments);
    assert_eq!((after.charges, after.taken, after.held), (before.charges, before.taken, before.held));
    purchases.push(first);
    everything_is_right(&roles, purchases).await;
}

/// How many calls of each kind the proxies hold or held.
fn held(roles: &Roles) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    for case in cases() {
        let seen = roles.seen(case.purchase.seed, 1);
        for seen in seen.into_iter().filter(|seen| seen.fault == Fault::Hold) {
            *held.entry(seen.call).or_default() += 1;
        }
    }
    held
}

/// How many calls inventory and payment refused because of what they know, as operators see it.
async fn refused(roles: &Roles) -> usize {
    let mut refused = 0;
    for role in [Role::Inventory, Role::Payment] {
        let page = roles.admin(role).unwrap().get("/metrics").await.unwrap();
        let page = String::from_utf8_lossy(&page.bytes).into_owned();
        let counts = page.lines().filter(|line| {
            line.starts_with("rpc_server_call_duration_seconds_count")
                && line.contains("\"FAILED_PRECONDITION\"")
        });
        let numbers = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
        refused += numbers.sum::<usize>();
    }
    refused
}

/// Lease of an order in the test below.
const LEASE: Duration = Duration::from_secs(1);

async fn no_order_is_lost_or_doubled_while_their_service_sleeps(kind: Kind) {
    let _alone = alone().await;
    let mut roles = prepared(&kind, 0..5000, &[("order.lease", "1s"), ("order.hold_time", "2s")]).await;
    roles.start_all().await.unwrap();
    let load = Load::start(&roles);
    let mut interrupted = 0;
    for _ in 0..4 {
        // The moment matters, as something has to be under way, the length as well: both are the subject of the test.
        until("orders under way", async || under_way(&roles).await > 4).await;
        roles.signal(Role::Order, "STOP").unwrap();
        interrupted += under_way(&roles).await;
        tokio::time::sleep(3 * LEASE).await;
        roles.signal(Role::Order, "CONT").unwrap();
        let ended = ended(&roles).await;
        until("orders that end after it woke", async || self::ended(&roles).await > ended + 20).await;
    }
    let purchases = load.stop().await;
    println!("{interrupted} orders were under way when their service fell asleep");
    assert!(interrupted > 0, "nothing was at stake");
    everything_is_right(&roles, purchases).await;
}

async fn under_way(roles: &Roles) -> usize {
    let books = roles.data().books().await.unwrap();
    books.orders.values().filter(|order| !order.is_settled()).count()
}

async fn ended(roles: &Roles) -> usize {
    roles.data().books().await.unwrap().orders.values().filter(|order| order.is_settled()).count()
}
