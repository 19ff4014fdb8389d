//! From an outbox to effects over a broker that does everything the port allows it, as Kafka does on a bad day: fails
//! partition by partition, takes records without saying so, rejects commits whole or after taking a part, and takes
//! offsets as they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{
    Ack, Broker, Consumer, Delivery, Polled, Progress, PublishError, Record, TopicSpec, partition_of,
};
use waypost_durable::consume::{self, ConsumeOptions, Failure, Subscription};
use waypost_durable::outbox::{Event, SqliteOutbox};
use waypost_durable::relay::{Relay, RelayOptions};
use waypost_durable::{Backoff, Database, Error, Migration, inbox};
use waypost_telemetry::Telemetry;

use super::outbox::{OUTBOX, append};
use super::test_broker::TestBroker;
use super::{NOTES, ephemeral, eventually, names};

const KEYS: usize = 10;
const EVENTS: usize = 120;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(1), max: Duration::from_millis(5) };

/// Numbers that depend on the seed alone (SplitMix64).
struct Dice(AtomicU64);

impl Dice {
    fn one_in(&self, count: u64) -> bool {
        let mut number = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)).is_multiple_of(count)
    }
}

#[derive(Clone)]
struct Unkind {
    inner: TestBroker,
    dice: Arc<Dice>,
    /// Commits that were lower than an earlier one of the same consumer.
    went_back: Arc<AtomicU64>,
}

impl Broker for Unkind {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.ensure_topics(topics)
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Vec<Result<Ack, PublishError>>> {
        Box::pin(async move {
            let fails = [0; 4].map(|_| self.dice.one_in(4));
            let mut results = Vec::new();
            for record in records {
                if !fails[partition_of(&record.key, 4) as usize] {
                    results.push(self.inner.publish_one(record).await);
                    continue;
                }
                if self.dice.one_in(2) {
                    self.inner.publish_one(record).await.unwrap();
                }
                let reason = "no answer of the partition's leader".to_owned();
                results.push(Err(PublishError::Retryable(Error::Broker { reason, retryable: true })));
            }
            results
        })
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        Box::pin(async move {
            let inner = self.inner.subscribe(group, topic).await?;
            let consumer = UnkindConsumer { inner, broker: self.clone(), committed: HashMap::new() };
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
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

struct UnkindConsumer {
    inner: Box<dyn Consumer>,
    broker: Unkind,
    /// The highest commit of each partition since it was handed out.
    committed: HashMap<u32, u64>,
}

impl Consumer for UnkindConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Polled, Error>> {
        Box::pin(async move {
            let polled = self.inner.poll(max, wait).await?;
            assert!(polled.records.len() <= max);
            for partition in &polled.revoked {
                self.committed.remove(partition);
            }
            Ok(polled)
        })
    }

    fn commit(&mut self, mut progress: Vec<Progress>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            for Progress { partition, next_offset } in &progress {
                let before = self.committed.entry(*partition).or_default();
                self.broker.went_back.fetch_add(u64::from(next_offset < before), Ordering::SeqCst);
                *before = *next_offset;
            }
            let is_rejected = self.broker.dice.one_in(4);
            if is_rejected {
                let accepted = usize::from(self.broker.dice.one_in(2));
                progress.truncate(accepted);
            }
            if !progress.is_empty() {
                self.inner.commit(progress).await?;
            }
            if is_rejected {
                return Err(Error::Fenced { what: "a generation of the group".to_owned() });
            }
            Ok(())
        })
    }

    fn pause(&mut self, partition: u32) {
        self.inner.pause(partition);
    }

    fn resume(&mut self, partition: u32) {
        self.inner.resume(partition);
    }

    fn assigned(&self) -> Vec<u32> {
        self.inner.assigned()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.inner.close()
    }
}

/// Handlers that run at the same time for one partition, and the most that there ever were.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<(HashMap<u32, usize>, usize)>>);

impl Running {
    fn enter(&self, partition: u32) {
        let (now, max) = &mut *self.0.lock().unwrap();
        let count = now.entry(partition).or_default();
        *count += 1;
        *max = (*max).max(*count);
    }

    fn leave(&self, partition: u32) {
        *self.0.lock().unwrap().0.get_mut(&partition).unwrap() -= 1;
    }
}

struct Task {
    drain: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Task {
    async fn drain(self) {
        self.drain.cancel();
        self.task.await.unwrap();
    }
}

fn relay(outbox: &SqliteOutbox, broker: &Unkind) -> Task {
    let options =
        RelayOptions { backoff: BACKOFF, interval: Duration::from_millis(20), ..RelayOptions::default() };
    let relay = Relay::new(Arc::new(outbox.clone()), Arc::new(broker.clone()), &Telemetry::disabled());
    let drain = CancellationToken::new();
    let running = relay.with_options(options).run(drain.clone().cancelled_owned());
    Task { drain, task: waypost_telemetry::spawn(running) }
}

/// Notes each event once, by the inbox.
fn consumer(broker: &Unkind, effects: &Database, running: &Running) -> Task {
    let mut subscription = Subscription::new(Arc::new(broker.clone()), "group", "t", &Telemetry::disabled());
    subscription.options = ConsumeOptions { backoff: BACKOFF, batch: 8, ..ConsumeOptions::default() };
    let (effects, running) = (effects.clone(), running.clone());
    let handler = move |delivery: Arc<Delivery>| {
        let (effects, running) = (effects.clone(), running.clone());
        async move {
            running.enter(delivery.partition);
            let id = delivery.record.id.clone();
            let noted: Result<(), Error> = effects
                .write("note-event", move |unit| {
                    if inbox::first_time(unit, "group", &id)? {
                        unit.execute("INSERT INTO notes (name) VALUES (?1)", (id,))?;
                    }
                    Ok(())
                })
                .await;
            running.leave(delivery.partition);
            noted.map_err(Failure::Retry)
        }
    };
    let drain = CancellationToken::new();
    let consuming = consume::run(subscription, handler, drain.clone().cancelled_owned());
    Task { drain, task: waypost_telemetry::spawn(async move { consuming.await.unwrap() }) }
}

fn event(number: usize) -> Event {
    Event::new(format!("{number}"), "t", format!("key {}", number % KEYS), "kind", Vec::new())
}

async fn course(seed: u64) {
    let orders = ephemeral(&OUTBOX);
    let effects = ephemeral(&[NOTES, Migration::new("0002_inbox", inbox::SCHEMA)]);
    let broker = Unkind {
        inner: TestBroker::open().await,
        dice: Arc::new(Dice(AtomicU64::new(seed))),
        went_back: Arc::default(),
    };
    let outbox = SqliteOutbox::new(&orders);
    let (mut relays, running) = (vec![relay(&outbox, &broker)], Running::default());
    let mut consumers = vec![consumer(&broker, &effects, &running)];
    // Consumers and relays come and go while events are appended.
    for round in 1..=4 {
        append(&orders, ((round - 1) * EVENTS / 4..round * EVENTS / 4).map(event).collect()).await;
        consumers.push(consumer(&broker, &effects, &running));
        relays.push(relay(&outbox, &broker));
        eventually("some events have their effect", || async {
            (names(&effects).await.len() >= round * EVENTS / 8).then_some(())
        })
        .await;
        relays.remove(0).drain().await;
        consumers.remove(0).drain().await;
    }
    eventually("all events have their effect", || async {
        (names(&effects).await.len() >= EVENTS).then_some(())
    })
    .await;
    for task in relays.into_iter().chain(consumers) {
        task.drain().await;
    }

    let noted: Vec<usize> = names(&effects).await.iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(noted.len(), EVENTS, "each event has its effect once (seed {seed})");
    for key in 0..KEYS {
        let of_key: Vec<usize> = noted.iter().copied().filter(|number| number % KEYS == key).collect();
        assert!(of_key.is_sorted(), "events of key {key} out of order: {of_key:?} (seed {seed})");
    }
    assert_eq!(broker.went_back.load(Ordering::SeqCst), 0, "a commit went back (seed {seed})");
    assert_eq!(running.0.lock().unwrap().1, 1, "one handler per partition at a time (seed {seed})");
}

#[tokio::test]
async fn events_have_one_effect_each_on_a_broker_that_may_fail_anywhere() {
    for seed in 1..=3 {
        course(seed).await;
    }
}
