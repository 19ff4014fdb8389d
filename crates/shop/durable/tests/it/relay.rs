//! The relay: every event reaches the broker, in order, whatever fails on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{Ack, Broker, Consumer, KIND_HEADER, PublishError, Record, TopicSpec};
use waypost_durable::dead_letters::DeadLetters;
use waypost_durable::outbox::{Leadership, Outbox, Parked, Pending, SqliteOutbox};
use waypost_durable::relay::{Relay, RelayOptions};
use waypost_durable::{Backoff, Error, Unit};
use waypost_telemetry::Telemetry;

use super::outbox::{OUTBOX, append, event};
use super::test_broker::TestBroker;
use super::{ephemeral, eventually};

/// Never looks by itself, so that only an append can wake it.
const SLOW: RelayOptions = RelayOptions {
    batch: 4,
    interval: Duration::from_hours(1),
    lease: Duration::from_hours(1),
    backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(5) },
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

fn start(outbox: impl Outbox, broker: impl Broker, options: RelayOptions) -> Running {
    let relay = Relay::new(Arc::new(outbox), Arc::new(broker), &Telemetry::disabled()).with_options(options);
    let drain = CancellationToken::new();
    let task = waypost_telemetry::spawn(relay.run(drain.clone().cancelled_owned()));
    Running { drain, task }
}

async fn records(broker: &TestBroker) -> Vec<Record> {
    broker.records("order-events").await
}

fn ids_of_key<'a>(records: &'a [Record], key: &str) -> Vec<&'a str> {
    records.iter().filter(|record| record.key == key).map(|record| record.id.as_str()).collect()
}

async fn until_published(broker: &TestBroker, count: usize) -> Vec<Record> {
    eventually("all events are published", || async {
        let records = records(broker).await;
        (records.len() >= count).then_some(records)
    })
    .await
}

#[tokio::test]
async fn an_append_is_published_at_once_with_everything_it_has() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    let relay = start(SqliteOutbox::new(&database), broker.clone(), SLOW);
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
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    append(&database, (0..30).map(event).collect()).await;
    let relay = start(SqliteOutbox::new(&database), broker.clone(), SLOW);
    let published = until_published(&broker, 30).await;
    for key in 0..3 {
        let expected: Vec<String> = (0..10).map(|turn| format!("event-{}", turn * 3 + key)).collect();
        assert_eq!(ids_of_key(&published, &format!("order-{key}")), expected);
    }
    relay.drain().await;
}

#[tokio::test]
async fn a_broker_that_is_away_loses_no_event_and_no_order() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    broker.set_available(false);
    let relay = start(SqliteOutbox::new(&database), broker.clone(), SLOW);
    append(&database, (0..6).map(event).collect()).await;
    append(&database, (6..12).map(event).collect()).await;
    assert_eq!(records(&broker).await, []);
    broker.set_available(true);
    let published = until_published(&broker, 12).await;
    assert_eq!(published.len(), 12);
    assert_eq!(ids_of_key(&published, "order-0"), ["event-0", "event-3", "event-6", "event-9"]);
    relay.drain().await;
}

#[tokio::test]
async fn a_drain_publishes_what_is_pending() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    broker.set_available(false);
    append(&database, (0..10).map(event).collect()).await;
    let relay = start(SqliteOutbox::new(&database), broker.clone(), SLOW);
    broker.set_available(true);
    relay.drain().await;
    assert_eq!(records(&broker).await.len(), 10);
}

#[tokio::test]
async fn a_drain_ends_although_the_broker_is_away_and_the_next_relay_goes_on() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    broker.set_available(false);
    append(&database, (0..10).map(event).collect()).await;
    start(SqliteOutbox::new(&database), broker.clone(), SLOW).drain().await;
    assert_eq!(SqliteOutbox::new(&database).pending(100).await.unwrap().len(), 10);
    broker.set_available(true);
    start(SqliteOutbox::new(&database), broker.clone(), SLOW).drain().await;
    assert_eq!(records(&broker).await.len(), 10);
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

    fn park(&self, position: i64, why: Parked) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.park(position, why)
    }

    fn parked(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.parked()
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        self.inner.dead_letters()
    }

    fn try_lead<'a>(
        &'a self,
        relay: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Leadership>, Error>> {
        self.inner.try_lead(relay, lease)
    }

    fn step_down<'a>(&'a self, relay: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.step_down(relay)
    }

    fn wake(&self) -> BoxStream<'static, ()> {
        self.inner.wake()
    }
}

#[tokio::test]
async fn a_crash_between_publishing_and_marking_repeats_events_and_loses_none() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    append(&database, (0..3).map(event).collect()).await;
    let outbox = ForgetfulOutbox {
        inner: SqliteOutbox::new(&database),
        forgets: Arc::new(AtomicBool::new(true)),
        marks: Arc::default(),
    };

    let relay = start(outbox.clone(), broker.clone(), SHORT);
    eventually("the relay tried to mark", || async {
        (outbox.marks.load(Ordering::SeqCst) > 2).then_some(())
    })
    .await;
    // Marking is tried again; publishing is not.
    assert_eq!(records(&broker).await.len(), 3);
    relay.task.abort();
    assert!(relay.task.await.unwrap_err().is_cancelled());

    outbox.forgets.store(false, Ordering::SeqCst);
    let relay = start(outbox.clone(), broker.clone(), SHORT);
    let published = until_published(&broker, 6).await;
    relay.drain().await;
    assert_eq!(published.len(), 6);
    for number in 0..3 {
        assert_eq!(published.iter().filter(|record| record.id == format!("event-{number}")).count(), 2);
    }
    assert_eq!(outbox.pending(10).await.unwrap(), []);
}

/// What a broker says of a record.
type Verdict = dyn Fn(&Record) -> Option<PublishError> + Send + Sync;

/// A broker that fails record by record, as Kafka does.
#[derive(Clone)]
struct Choosy {
    inner: TestBroker,
    verdict: Arc<Verdict>,
}

impl Choosy {
    fn new(
        inner: &TestBroker,
        verdict: impl Fn(&Record) -> Option<PublishError> + Send + Sync + 'static,
    ) -> Choosy {
        Choosy { inner: inner.clone(), verdict: Arc::new(verdict) }
    }
}

impl Broker for Choosy {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.ensure_topics(topics)
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Vec<Result<Ack, PublishError>>> {
        Box::pin(async move {
            let mut results = Vec::new();
            for record in records {
                results.push(match (self.verdict)(&record) {
                    Some(error) => Err(error),
                    None => self.inner.publish_one(record).await,
                });
            }
            results
        })
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        self.inner.subscribe(group, topic)
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.ready()
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.flush()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

fn too_large() -> PublishError {
    PublishError::Refused(Error::Broker { reason: "the record is too large".to_owned(), retryable: false })
}

fn away() -> PublishError {
    PublishError::Retryable(Error::Broker {
        reason: "no leader for the partition".to_owned(),
        retryable: true,
    })
}

#[tokio::test]
async fn a_record_that_is_refused_for_good_is_parked_alone() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    append(&database, (0..9).map(event).collect()).await;
    let outbox = SqliteOutbox::new(&database);
    let choosy = Choosy::new(&broker, |record| (record.id == "event-3").then(too_large));
    start(outbox.clone(), choosy, RelayOptions { batch: 128, ..SLOW }).drain().await;
    // What is of its key and later waits behind it; all others are there.
    let published = records(&broker).await;
    assert_eq!(ids_of_key(&published, "order-0"), ["event-0"]);
    assert_eq!(ids_of_key(&published, "order-1"), ["event-1", "event-4", "event-7"]);
    assert_eq!(ids_of_key(&published, "order-2"), ["event-2", "event-5", "event-8"]);
    assert_eq!(outbox.parked().await.unwrap(), 1);

    // Somebody has seen to it: the key goes on in its order.
    let replay = |unit: &mut Unit<'_>| unit.execute("UPDATE outbox SET parked_at = NULL", ());
    database.write::<_, Error, _>("replay", replay).await.unwrap();
    start(outbox, broker.clone(), SLOW).drain().await;
    assert_eq!(ids_of_key(&records(&broker).await, "order-0"), ["event-0", "event-3", "event-6"]);
}

#[tokio::test]
async fn a_parked_event_tells_how_often_it_was_sent_and_why_it_failed() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    append(&database, vec![event(0)]).await;
    let tries = AtomicUsize::new(0);
    let choosy = Choosy::new(&broker, move |_| {
        let before = tries.fetch_add(1, Ordering::SeqCst);
        Some(if before < 2 { away() } else { too_large() })
    });
    let outbox = SqliteOutbox::new(&database);
    let relay = start(outbox.clone(), choosy, SLOW);
    let parked = || async { outbox.dead_letters().waiting(None, 10).await.unwrap().pop() };
    let letter = eventually("it is parked", parked).await;
    assert_eq!((letter.attempts, letter.error_type.as_str()), (3, "broker_refused"));
    relay.drain().await;
}

#[tokio::test]
async fn only_what_failed_is_published_again() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    append(&database, (0..9).map(event).collect()).await;
    let (fails, tries) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (failing, tried) = (Arc::clone(&fails), Arc::clone(&tries));
    let choosy = Choosy::new(&broker, move |record| {
        tried.fetch_add(usize::from(record.id == "event-0"), Ordering::SeqCst);
        (record.id == "event-0" && failing.load(Ordering::SeqCst)).then(away)
    });
    let relay = start(SqliteOutbox::new(&database), choosy, RelayOptions { batch: 128, ..SLOW });
    eventually("it is tried again and again", || async { (tries.load(Ordering::SeqCst) > 5).then_some(()) })
        .await;
    // The others went on, once each; those of its key wait for it.
    let published = records(&broker).await;
    assert_eq!(published.len(), 6, "{published:?}");
    assert_eq!(ids_of_key(&published, "order-0"), Vec::<&str>::new());
    assert_eq!(SqliteOutbox::new(&database).pending(100).await.unwrap().len(), 3);

    fails.store(false, Ordering::SeqCst);
    let published = until_published(&broker, 9).await;
    assert_eq!(published.len(), 9);
    assert_eq!(ids_of_key(&published, "order-0"), ["event-0", "event-3", "event-6"]);
    relay.drain().await;
}

/// Short enough to wait for, and looks by itself.
const SHORT: RelayOptions =
    RelayOptions { interval: Duration::from_millis(10), lease: Duration::from_millis(300), ..SLOW };

#[tokio::test]
async fn two_relays_publish_each_event_once_and_in_order() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    let outbox = SqliteOutbox::new(&database);
    let relays = [0, 1].map(|_| start(outbox.clone(), broker.clone(), SLOW));
    for batch in 0..12 {
        append(&database, (batch * 5..(batch + 1) * 5).map(event).collect()).await;
    }
    until_published(&broker, 60).await;
    for relay in relays {
        relay.drain().await;
    }
    let published = records(&broker).await;
    assert_eq!(published.len(), 60);
    for key in 0..3 {
        let expected: Vec<String> = (0..20).map(|turn| format!("event-{}", turn * 3 + key)).collect();
        assert_eq!(ids_of_key(&published, &format!("order-{key}")), expected);
    }
}

#[tokio::test]
async fn another_relay_takes_over_from_one_that_died() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    let outbox = SqliteOutbox::new(&database);
    let first = start(outbox.clone(), broker.clone(), SHORT);
    append(&database, vec![event(0)]).await;
    until_published(&broker, 1).await;
    let second = start(outbox.clone(), broker.clone(), SHORT);
    first.task.abort();
    assert!(first.task.await.unwrap_err().is_cancelled());
    append(&database, vec![event(3)]).await;
    let published = until_published(&broker, 2).await;
    assert_eq!(ids_of_key(&published, "order-0"), ["event-0", "event-3"]);
    second.drain().await;
}

#[tokio::test]
async fn a_relay_that_drains_hands_the_lead_over_at_once() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    let outbox = SqliteOutbox::new(&database);
    let long = RelayOptions { lease: Duration::from_hours(1), ..SHORT };
    let first = start(outbox.clone(), broker.clone(), long);
    append(&database, vec![event(0)]).await;
    until_published(&broker, 1).await;
    let second = start(outbox.clone(), broker.clone(), long);
    first.drain().await;
    append(&database, vec![event(1)]).await;
    until_published(&broker, 2).await;
    second.drain().await;
}

#[tokio::test]
async fn a_relay_that_is_not_woken_looks_by_itself() {
    let (database, broker) = (ephemeral(&OUTBOX), TestBroker::open().await);
    let relay = start(
        SqliteOutbox::new(&database),
        broker.clone(),
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
