//! `kill -9`: what was acknowledged is there afterwards.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions, TopicSpec};
use waypost_durable::outbox::{Outbox, SqliteOutbox};
use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration, Sharing, outbox};
use waypost_telemetry::Telemetry;
use waypost_test_process::Process;

use super::outbox::event;
use super::{NOTES, names, suite};

/// Tells the child where its data is.
const CHILD: &str = "WAYPOST_DURABLE_TEST_CRASH";

const OUTBOX: Migration = Migration::new("0002_outbox", outbox::SCHEMA);
const PARKING: Migration = Migration::new("0003_outbox_parking", outbox::PARKING);

fn open(folder: &Path) -> Database {
    let location = Location::File(folder.join("order.db"));
    Database::open(DatabaseOptions::new(location, "test", &Telemetry::disabled()), &[NOTES, OUTBOX, PARKING])
        .unwrap()
}

async fn open_broker(folder: &Path) -> EmbeddedBroker {
    let location = Location::File(folder.join("broker.db"));
    let options = EmbeddedBrokerOptions { sharing: Sharing::Shared, ..EmbeddedBrokerOptions::new(location) };
    let options = EmbeddedBrokerOptions { lease: Duration::from_secs(1), ..options };
    let broker = EmbeddedBroker::open(options).unwrap();
    broker.ensure_topics(vec![TopicSpec::new("t")]).await.unwrap();
    broker
}

fn start_child(test: &str, folder: &Path) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    Process::start(command.args(["--exact", test, "--nocapture"]).env(CHILD, folder)).unwrap()
}

/// Reads acknowledgements until there are `count`, kills the child, and reads what it had still written.
fn kill_after(mut child: Process, count: usize) -> Vec<String> {
    let acknowledged = |line: &str| line.strip_prefix("acknowledged ").map(str::to_owned);
    child.wait_for_lines(count, "acknowledgements", acknowledged).unwrap();
    let killed = child.kill_and_wait().unwrap();
    assert!(!killed.status.success(), "the child was to be killed: {}", killed.output);
    killed.out.lines().filter_map(acknowledged).collect()
}

#[tokio::test]
async fn acknowledged_units_survive_kill_9_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=5 {
        let child = start_child("crash::a_child_that_writes", folder.path());
        acknowledged.extend(kill_after(child, 40 * round));
        let database = open(folder.path());
        let stored = names(&database).await;
        let missing: Vec<&String> = acknowledged.iter().filter(|name| !stored.contains(name)).collect();
        assert_eq!(missing, Vec::<&String>::new(), "round {round}");
        // Both rows of a unit, or none.
        let events = SqliteOutbox::new(&database).pending(100_000).await.unwrap();
        let mut events: Vec<String> = events.into_iter().map(|pending| pending.event.id).collect();
        let mut stored = stored;
        events.sort();
        stored.sort();
        assert_eq!(stored, events, "round {round}");
        database.close().await;
    }
}

/// Runs only as the child of the test above: eight writers, each acknowledgement on a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_writes() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let database = open(Path::new(&folder));
    let writers = (0..8).map(|writer| {
        let database = database.clone();
        waypost_telemetry::spawn(async move {
            for number in 0.. {
                let name = format!("{} {writer} {number}", std::process::id());
                let row = name.clone();
                let written: Result<(), Error> = database
                    .write("place", move |unit| {
                        unit.execute("INSERT INTO notes (name) VALUES (?1)", (&row,))?;
                        outbox::append(unit, &outbox::Event { id: row, ..event(number) })
                    })
                    .await;
                written.unwrap();
                println!("acknowledged {name}");
            }
        })
    });
    futures_util::future::join_all(writers).await;
}

#[tokio::test]
async fn acknowledged_records_survive_kill_9_and_reach_a_consumer_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let broker = open_broker(folder.path()).await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let child = start_child("crash::a_child_that_publishes", folder.path());
        acknowledged.extend(tokio::task::spawn_blocking(move || kill_after(child, 50)).await.unwrap());
    }
    let mut came = std::collections::HashMap::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !acknowledged.iter().all(|id| came.contains_key(id)) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{} of {} records came",
            came.len(),
            acknowledged.len()
        );
        for delivery in consumer.poll(1_000, Duration::from_millis(50)).await.unwrap().records {
            *came.entry(delivery.record.id).or_insert(0) += 1;
        }
    }
    assert!(came.values().all(|&times| times == 1), "a record came twice although nobody died that had it");
    suite::publish(&broker, vec![suite::record("t", "k", 1)]).await;
}

/// Runs only as the child of the test above.
#[tokio::test]
async fn a_child_that_publishes() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let broker = open_broker(Path::new(&folder)).await;
    for number in 0.. {
        let id = format!("{} {number}", std::process::id());
        let record = waypost_durable::broker::Record { id: id.clone(), ..suite::record("t", &id, number) };
        suite::publish(&broker, vec![record]).await;
        println!("acknowledged {id}");
    }
}
