//! Several notification replicas share the events of orders: one joins, one leaves, one is killed, one sleeps for longer than
//! Kafka waits for it. Every order is told once, and the events of a partition are handled in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use waypost_telemetry::FinishedSpan;
use waypost_testkit::{Behaviour, Collector, Fleet, Role, until};

use crate::alone;
use crate::replicas::{Load, Servers};
use crate::verdict::Verdict;

/// One of each role, but for notifications.
const OTHERS: [(Role, usize); 6] = [
    (Role::Provider, 1),
    (Role::User, 1),
    (Role::Inventory, 1),
    (Role::Payment, 1),
    (Role::Order, 1),
    (Role::Gateway, 1),
];

/// The shortest that Kafka allows as it comes, so that a test can outwait it.
const SHORT: [(&str, &str); 2] =
    [("broker.kafka.session_timeout", "6s"), ("broker.kafka.poll_timeout", "6s")];

/// Partitions of the topic of events.
const PARTITIONS: usize = 4;

/// What a notification replica says when it tells somebody.
const TOLD: &str = "is complete";

/// An event of a partition in the hands of a replica, by its own span.
#[derive(Clone, Debug)]
struct Handling {
    offset: i64,
    begin: SystemTime,
    end: SystemTime,
}

/// All of them that succeeded, by partition and in the order in which they began.
fn handlings(collector: &Collector) -> BTreeMap<String, Vec<Handling>> {
    let mut handlings: BTreeMap<String, Vec<Handling>> = BTreeMap::new();
    let is_one = |span: &FinishedSpan| span.name() == "process order-events" && !span.is_error();
    for span in collector.spans().into_iter().filter(is_one) {
        let partition = span.attribute("messaging.destination.partition.id").unwrap().to_string();
        let offset = span.attribute("messaging.kafka.offset").unwrap().to_string().parse().unwrap();
        let (begin, end) = (span.start(), span.end());
        handlings.entry(partition).or_default().push(Handling { offset, begin, end });
    }
    for of_partition in handlings.values_mut() {
        of_partition.sort_by_key(|one| one.begin);
    }
    handlings
}

/// An event is first handled after those before it in its partition, whoever handles it again later.
fn assert_that_partitions_keep_their_order(handlings: &BTreeMap<String, Vec<Handling>>) {
    for of_partition in handlings.values() {
        let mut seen = BTreeSet::new();
        for one in of_partition.iter().filter(|one| seen.insert(one.offset)).collect::<Vec<_>>().windows(2) {
            assert!(one[0].offset < one[1].offset, "{:?} was handled before {:?}", one[0], one[1]);
        }
    }
}

/// An event is handled by one replica, once, and the next one of its partition after that.
fn assert_that_each_is_handled_once(handlings: &BTreeMap<String, Vec<Handling>>) {
    for one in handlings.values().flat_map(|of_partition| of_partition.windows(2)) {
        assert!(one[0].offset < one[1].offset, "handled twice, or out of order: {one:?}");
        assert!(one[0].end <= one[1].begin, "two of a partition at a time: {one:?}");
    }
}

/// Events of every partition are handled that come from now on.
async fn every_partition_goes_on(collector: &Collector) {
    let now = SystemTime::now();
    until("every partition to go on", async || {
        let handlings = handlings(collector);
        let go_on = |of_partition: &&Vec<Handling>| of_partition.iter().any(|one| one.begin > now);
        handlings.values().filter(go_on).count() == PARTITIONS
    })
    .await;
}

async fn tells(fleet: &Fleet, place: usize) {
    until("the replica to tell of orders", async || fleet.output(place).contains(TOLD)).await;
}

fn assert_that_each_order_is_told_once(verdict: &Verdict) {
    let told = &verdict.books.told;
    let more_than_once: Vec<_> = told.iter().filter(|(_, subjects)| subjects.len() != 1).collect();
    assert!(more_than_once.is_empty(), "{more_than_once:?}");
    let ended = verdict.books.orders.values().filter(|order| order.is_settled());
    let untold: Vec<_> = ended.filter(|order| !told.contains_key(&order.id)).collect();
    assert!(untold.is_empty(), "{untold:?}");
    println!("{} orders were told of", told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_joins_and_one_leaves_and_each_event_is_handled_once() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let mut fleet = servers.fleet(&OTHERS, Some(collector.endpoint())).await;
    let first = fleet.add(Role::Notification).await.unwrap();
    let second = fleet.add(Role::Notification).await.unwrap();
    let load = Load::start(&fleet.gateway());
    every_partition_goes_on(&collector).await;
    let third = fleet.add(Role::Notification).await.unwrap();
    tells(&fleet, third).await;
    fleet.stop(first).await.unwrap();
    every_partition_goes_on(&collector).await;
    let verdict = servers.verdict(&fleet.gateway(), load.stop().await).await;
    // Their last spans come with their end.
    for place in [second, third] {
        fleet.stop(place).await.unwrap();
    }
    assert_that_each_order_is_told_once(&verdict);
    let handlings = handlings(&collector);
    println!("{} events were handled", handlings.values().map(Vec::len).sum::<usize>());
    assert_that_each_is_handled_once(&handlings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_killed_and_one_sleeps_and_each_order_is_told_once() {
    let _alone = alone().await;
    let (servers, collector) = (Servers::start(), Collector::start(Behaviour::Takes).unwrap());
    let mut fleet = servers.fleet_with(&SHORT, &OTHERS, Some(collector.endpoint())).await;
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(fleet.add(Role::Notification).await.unwrap());
    }
    let load = Load::start(&fleet.gateway());
    every_partition_goes_on(&collector).await;
    fleet.kill(places[0]).await.unwrap();
    every_partition_goes_on(&collector).await;
    fleet.start(places[0]).await.unwrap();
    tells(&fleet, places[0]).await;

    fleet.signal(places[1], "STOP").unwrap();
    every_partition_goes_on(&collector).await;
    fleet.signal(places[1], "CONT").unwrap();
    until("the one that slept to notice", async || {
        let said = fleet.output(places[1]);
        said.contains("partitions were lost") || said.contains("the group went on without it")
    })
    .await;
    every_partition_goes_on(&collector).await;
    let verdict = servers.verdict(&fleet.gateway(), load.stop().await).await;
    for place in places {
        fleet.stop(place).await.unwrap();
    }
    assert_that_each_order_is_told_once(&verdict);
    assert_that_partitions_keep_their_order(&handlings(&collector));
}
