//! The shop many replicas wide, on PostgreSQL, Redis and Kafka, found through etcd: one replica after the other is killed
//! under load, and nobody notices.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use waypost_telemetry::FinishedSpan;
use waypost_testkit::{Behaviour, Collector, Role, until};

use crate::course::Told;
use crate::verdict::Verdict;
use crate::wide::{LEASE, Load, Servers, no_request_failed};
use crate::{alone, number};

/// Kills unless `KILLS` says otherwise; 120 take about five minutes.
const KILLS: u64 = 12;

/// How many of each role there are. Of the provider, which is outside, and of users and notifications there is one.
const REPLICAS: [(Role, usize); 7] = [
    (Role::Provider, 1),
    (Role::User, 1),
    (Role::Inventory, 2),
    (Role::Payment, 2),
    (Role::Order, 3),
    (Role::Notification, 1),
    (Role::Gateway, 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_killed_under_load_and_nobody_notices() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let mut fleet = servers.fleet(&REPLICAS, Some(collector.endpoint())).await;
    let roles = places();
    let is_twin = |role: &Role| roles.iter().filter(|other| *other == role).count() > 1;
    let killable: Vec<usize> = (0..roles.len()).filter(|place| is_twin(&roles[*place])).collect();
    let load = Load::start(&fleet.gateway());
    let mut random = fastrand::Rng::with_seed(number("SEED").unwrap_or(1));
    let mut killed: BTreeMap<Role, usize> = BTreeMap::new();
    for _ in 0..number("KILLS").unwrap_or(KILLS) {
        // The moments are the subject of the test, not waits for a state.
        tokio::time::sleep(Duration::from_millis(random.u64(500..2000))).await;
        let place = killable[random.usize(..killable.len())];
        *killed.entry(roles[place]).or_default() += 1;
        fleet.kill(place).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(0..1500))).await;
        fleet.start(place).await.unwrap();
    }
    let purchases = load.stop().await;
    println!("killed: {killed:?}");

    let verdict = servers.verdict(&fleet, purchases).await;
    let at_once =
        verdict.purchases.iter().filter(|purchase| purchase.told.first().is_some_and(Told::is_in_use));
    println!("{} orders were told at the first answer that their key is in use", at_once.count());
    no_request_failed(&verdict, &collector);
    each_order_is_one_trace(&verdict, &collector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_replaced_one_by_one_and_nobody_notices() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let mut fleet = servers.fleet(&REPLICAS, Some(collector.endpoint())).await;
    let roles = places();
    let load = Load::start(&fleet.gateway());
    for (place, role) in roles.iter().enumerate() {
        if roles.iter().filter(|other| *other == role).count() > 1 {
            // As a deployment does: the next one is stopped when this one is ready again.
            fleet.stop(place).await.unwrap();
            fleet.start(place).await.unwrap();
        }
    }
    let verdict = servers.verdict(&fleet, load.stop().await).await;
    no_request_failed(&verdict, &collector);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_wakes_after_it_was_replaced_changes_nothing() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let fleet = servers.fleet(&REPLICAS, Some(collector.endpoint())).await;
    let roles = places();
    let orders: Vec<usize> = (0..roles.len()).filter(|place| roles[*place] == Role::Order).collect();
    let load = Load::start(&fleet.gateway());
    for place in orders.iter().cycle().take(number("STOPS").unwrap_or(4).try_into().unwrap()) {
        // The moment and the length, longer than the lease of an order, are the subject of the test.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        fleet.signal(*place, "STOP").unwrap();
        tokio::time::sleep(2 * LEASE).await;
        fleet.signal(*place, "CONT").unwrap();
    }
    servers.verdict(&fleet, load.stop().await).await;
    let refused = collector
        .spans()
        .into_iter()
        .filter(|span| span.attribute("error.type").is_some_and(|value| value.as_str() == "stale_runner"));
    println!("{} calls of runners that were replaced were refused", refused.count());
}

/// The role of each replica.
fn places() -> Vec<Role> {
    REPLICAS.iter().flat_map(|(role, count)| vec![*role; *count]).collect()
}

/// All that was done for an order, by whichever replica, is in the trace of the request that created it: from the gateway to
/// the message to the user. A replica that is killed takes the spans along that it has not sent, so not every span has
/// its parent.
async fn each_order_is_one_trace(verdict: &Verdict, collector: &Collector) {
    let completed: Vec<&str> = {
        let completed = verdict.books.orders.values().filter(|order| order.status == "completed");
        completed.map(|order| order.id.as_str()).collect()
    };
    let told = || collector.spans().into_iter().filter(|span| span.name() == "process order-events");
    until("every order that was completed to be told", async || {
        let of: BTreeSet<String> =
            told().filter_map(|span| span.attribute("order.id").map(ToString::to_string)).collect();
        completed.iter().all(|order| of.contains(*order))
    })
    .await;
    let mut whole = 0;
    for span in told() {
        let trace = collector.trace(&span.trace_id().to_string());
        let services: BTreeSet<&str> = trace.iter().map(FinishedSpan::service_name).collect();
        assert!(services.contains("notification-service"), "{services:?}");
        let ids: HashSet<_> = trace.iter().map(FinishedSpan::span_id).collect();
        let roots = trace.iter().filter(|span| span.parent_id().is_none()).count();
        let orphans =
            trace.iter().filter(|span| span.parent_id().is_some_and(|parent| !ids.contains(&parent))).count();
        whole += usize::from(roots == 1 && orphans == 0);
    }
    println!("{} orders completed, {whole} of their traces without a hole", completed.len());
    assert!(whole * 10 > completed.len() * 8, "only {whole} of {} traces are whole", completed.len());
}
