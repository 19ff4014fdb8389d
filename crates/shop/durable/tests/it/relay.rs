//! The relay: every event reaches the broker, in order, whatever fails on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{Ack, Broker, Consumer, KIND_HEADER, MemoryBroker, Record};
use waypost_durable::outbox::{Outbox, Pending, SqliteOutbox};
use waypost_durable::relay::{Relay, RelayOptions};
use waypost_durable::{Backoff, Error, Unit};
use waypost_telemetry::Telemetry;

use super::outbox::{OUTBOX, append, event};
use super::{ephemeral, eventually};

/// Never looks by itself, so that only an append can wake it.
const SLOW: RelayOptions = RelayOptions {
    batch: 4,
    interval: Duration::from_hours(1),
    backoff: Backoff { first: Duration::from_millis(1), most: Duration::from_millis(5) },
    keep_published: Duration::from_mins(10),
};

struct Running {
    drain: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn drain(self) {
        self.drain.cancel();
        self.task.await.unwrap();
    }
}

fn start(outbox: impl Outbox, broker: &MemoryBroker, options: RelayOptions) -> Running {
    let relay =
        Relay::new(Arc::new(outbox), Arc::new(broker.clone()), &Telemetry::disabled()).with_options(options);
    let drain = CancellationToken::new();
    let task = waypost_telemetry::spawn(relay.run(drain.clone().cancelled_owned()));
    Running { drain, task }
}

fn records(broker: &MemoryBroker) -> Vec<Record> {
    broker.records("order-events").into_iter().flatten().collect()
}

fn ids_of_key<'a>(records: &'a [Record], key: &str) -> Vec<&'a str> {
    records.iter().filter(|record| record.key == key).map(|record| record.id.as_str()).collect()
}

async fn until_published(broker: &MemoryBroker, count: usize) -> Vec<Record> {
    eventually("all events are published", || async {
        let records = records(broker);
        (records.len() >= count).then_some(records)
    })
    .await
}

#[tokio::test]
async fn an_append_is_published_at_once_with_everything_it_has() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    let relay = start(SqliteOutbox::new(&database), &broker, SLOW);
    append(&database, vec![event(1)]).await;
    let published = until_published(&broker, 1).await;
    let record = &published[0];
    assert_eq!(
        (record.id.as_str(), record.key.as_str(), &record.payload[..]),
        ("event-1", "order-1", &b"payload 1"[..])
    );
    assert_eq!(record.header(KIND_HEADER), Some("order.completed"));
    assert_eq!(record.header("tenant"), Some("acme"));
    relay.drain().await;
    assert_eq!(SqliteOutbox::new(&database).pending(10).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_appended_before_the_start_is_published_in_order() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    append(&database, (0..30).map(event).collect()).await;
    let relay = start(SqliteOutbox::new(&database), &broker, SLOW);
    let published = until_published(&broker, 30).await;
    for key in 0..3 {
        let expected: Vec<String> = (0..10).map(|turn| format!("event-{}", turn * 3 + key)).collect();
        assert_eq!(ids_of_key(&published, &format!("order-{key}")), expected);
    }
    relay.drain().await;
}

#[tokio::test]
async fn a_broker_that_is_away_loses_no_event_and_no_order() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    broker.set_available(false);
    let relay = start(SqliteOutbox::new(&database), &broker, SLOW);
    append(&database, (0..6).map(event).collect()).await;
    append(&database, (6..12).map(event).collect()).await;
    assert_eq!(records(&broker), []);
    broker.set_available(true);
    let published = until_published(&broker, 12).await;
    assert_eq!(published.len(), 12);
    assert_eq!(ids_of_key(&published, "order-0"), ["event-0", "event-3", "event-6", "event-9"]);
    relay.drain().await;
}

#[tokio::test]
async fn a_drain_publishes_what_is_pending() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    broker.set_available(false);
    append(&database, (0..10).map(event).collect()).await;
    let relay = start(SqliteOutbox::new(&database), &broker, SLOW);
    broker.set_available(true);
    relay.drain().await;
    assert_eq!(records(&broker).len(), 10);
}

#[tokio::test]
async fn a_drain_ends_although_the_broker_is_away_and_the_next_relay_goes_on() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    broker.set_available(false);
    append(&database, (0..10).map(event).collect()).await;
    start(SqliteOutbox::new(&database), &broker, SLOW).drain().await;
    assert_eq!(SqliteOutbox::new(&database).pending(100).await.unwrap().len(), 10);
    broker.set_available(true);
    start(SqliteOutbox::new(&database), &broker, SLOW).drain().await;
    assert_eq!(records(&broker).len(), 10);
}

/// An outbox whose marks can be made to fail.
#[derive(Clone)]
struct ForgetfulOutbox {
    inner: SqliteOutbox,
    forgets: Arc<AtomicBool>,
    marks: Arc<AtomicUsize>,
}

impl Outbox for ForgetfulOutbox {
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>> {
        self.inner.pending(limit)
    }

    fn mark_published(&self, positions: Vec<i64>, keep: Duration) -> BoxFuture<'_, Result<(), Error>> {
        self.marks.fetch_add(1, Ordering::SeqCst);
        if self.forgets.load(Ordering::SeqCst) {
            return Box::pin(async {
                Err(Error::Broker { reason: "the outbox is locked".to_owned(), retryable: true })
            });
        }
        self.inner.mark_published(positions, keep)
    }

    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>> {
        self.inner.delete_published(age, limit)
    }

    fn park(&self, position: i64, reason: String) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.park(position, reason)
    }

    fn parked(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.parked()
    }

    fn appended(&self) -> watch::Receiver<u64> {
        self.inner.appended()
    }
}

#[tokio::test]
async fn a_crash_between_publishing_and_marking_repeats_events_and_loses_none() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    append(&database, (0..3).map(event).collect()).await;
    let outbox = ForgetfulOutbox {
        inner: SqliteOutbox::new(&database),
        forgets: Arc::new(AtomicBool::new(true)),
        marks: Arc::default(),
    };

    let relay = start(outbox.clone(), &broker, SLOW);
    eventually("the relay tried to mark", || async {
        (outbox.marks.load(Ordering::SeqCst) > 2).then_some(())
    })
    .await;
    // Marking is tried again; publishing is not.
    assert_eq!(records(&broker).len(), 3);
    relay.task.abort();
    assert!(relay.task.await.unwrap_err().is_cancelled());

    outbox.forgets.store(false, Ordering::SeqCst);
    start(outbox.clone(), &broker, SLOW).drain().await;
    let published = records(&broker);
    assert_eq!(published.len(), 6);
    for number in 0..3 {
        assert_eq!(published.iter().filter(|record| record.id == format!("event-{number}")).count(), 2);
    }
    assert_eq!(outbox.pending(10).await.unwrap(), []);
}

/// A broker that takes no record with this id, whatever else is sent with it.
#[derive(Clone)]
struct Choosy {
    inner: MemoryBroker,
    refused: &'static str,
}

impl Broker for Choosy {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Vec<Ack>, Error>> {
        if records.iter().any(|record| record.id == self.refused) {
            let reason = "the record is too large".to_owned();
            return Box::pin(async { Err(Error::Broker { reason, retryable: false }) });
        }
        self.inner.publish(records)
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        self.inner.subscribe(group, topic)
    }
}

#[tokio::test]
async fn a_record_that_is_refused_for_good_is_parked_alone() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    append(&database, (0..9).map(event).collect()).await;
    let outbox = SqliteOutbox::new(&database);
    let choosy = Choosy { inner: broker.clone(), refused: "event-3" };
    let relay = Relay::new(Arc::new(outbox.clone()), Arc::new(choosy), &Telemetry::disabled());
    relay.with_options(SLOW).run(std::future::ready(())).await;
    // What is of its key and later waits behind it; all others are there.
    let published = records(&broker);
    assert_eq!(ids_of_key(&published, "order-0"), ["event-0"]);
    assert_eq!(ids_of_key(&published, "order-1"), ["event-1", "event-4", "event-7"]);
    assert_eq!(ids_of_key(&published, "order-2"), ["event-2", "event-5", "event-8"]);
    assert_eq!(outbox.parked().await.unwrap(), 1);

    // Somebody has seen to it: the key goes on in its order.
    let replay = |unit: &mut Unit<'_>| unit.execute("UPDATE outbox SET parked_at = NULL", ());
    database.write::<_, Error, _>("replay", replay).await.unwrap();
    start(outbox, &broker, SLOW).drain().await;
    assert_eq!(ids_of_key(&records(&broker), "order-0"), ["event-0", "event-3", "event-6"]);
}

#[tokio::test]
async fn a_relay_that_is_not_woken_looks_by_itself() {
    let (database, broker) = (ephemeral(&OUTBOX), MemoryBroker::default());
    let relay = start(
        SqliteOutbox::new(&database),
        &broker,
        RelayOptions { interval: Duration::from_millis(20), ..SLOW },
    );
    // Written by another process, as far as the relay can tell.
    let mut connection = rusqlite::Connection::open(database.path()).unwrap();
    let transaction = connection.transaction().unwrap();
    let insert = "INSERT INTO outbox (event_id, topic, key, kind, payload, headers, appended_at) VALUES ('x', 'order-events', 'k', 'kind', x'00', x'', 0)";
    transaction.execute(insert, ()).unwrap();
    transaction.commit().unwrap();
    until_published(&broker, 1).await;
    relay.drain().await;
    assert_eq!(Broker::system(&broker), "waypost");
}
