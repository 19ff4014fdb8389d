//! Kafka killed under load, partitions that change hands while records are handled, handlers that are slow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use waypost_durable::Error;
use waypost_durable::broker::{Broker, TopicSpec};
use waypost_durable::consume::{self, ConsumeOptions, Delivery, Subscription};
use waypost_kafka::Kafka;
use waypost_telemetry::Telemetry;
use waypost_test_servers::own_kafka::OwnKafka;

use crate::{LEASE, at, eventually, kafka, suite};

/// What was handled, in order, by record id.
#[derive(Clone, Default)]
pub(crate) struct Handled(Arc<Mutex<Vec<Delivery>>>);

impl Handled {
    fn add(&self, delivery: &Delivery) {
        self.0.lock().unwrap().push(delivery.clone());
    }

    fn all(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().clone()
    }

    /// How often each record was handled.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for delivery in self.all() {
            *counts.entry(delivery.record.id).or_default() += 1;
        }
        counts
    }

    pub(crate) async fn until(&self, count: usize) {
        eventually("every record is handled", || async { (self.counts().len() >= count).then_some(()) })
            .await;
    }
}

/// A consume loop that handles each record in this time.
pub(crate) fn consume_slowly(
    broker: &Kafka,
    handled: &Handled,
    time: Duration,
) -> (Arc<Notify>, JoinHandle<()>) {
    let drain = Arc::new(Notify::new());
    let (ending, handled) = (Arc::clone(&drain), handled.clone());
    let mut subscription = Subscription::new(Arc::new(broker.clone()), "group", "t", &Telemetry::disabled());
    // More than a handler takes that is not disturbed.
    subscription.options = ConsumeOptions { revoke_timeout: LEASE / 2, ..ConsumeOptions::default() };
    let handler = move |delivery: Arc<Delivery>| {
        let handled = handled.clone();
        async move {
            tokio::time::sleep(time).await;
            handled.add(&delivery);
            Ok::<(), consume::Failure<Error>>(())
        }
    };
    let running = waypost_telemetry::spawn(async move {
        consume::run(subscription, handler, async move { ending.notified().await }).await.unwrap();
    });
    (drain, running)
}

pub(crate) async fn end((drain, running): (Arc<Notify>, JoinHandle<()>)) {
    drain.notify_one();
    running.await.unwrap();
}

/// Records of each key in the order in which they were first handled.
pub(crate) fn assert_that_keys_keep_their_order(handled: &Handled) {
    let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for delivery in handled.all() {
        let number = delivery.record.header("number").unwrap().parse().unwrap();
        let of_key = numbers.entry(delivery.record.key).or_default();
        if !of_key.contains(&number) {
            of_key.push(number);
        }
    }
    for (key, numbers) in numbers {
        assert!(numbers.is_sorted(), "records of key {key} were handled out of order: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_is_not_lost_when_kafka_is_killed_under_load() {
    const KEYS: usize = 4;
    const OF_EACH: usize = 300;
    let mut own = OwnKafka::start();
    let broker = Kafka::new(at(&own.address())).unwrap();
    eventually("Kafka answers", || async { broker.check().await.is_ok().then_some(()) }).await;
    broker.ensure_topics(vec![TopicSpec::new("t"), TopicSpec::new("t.dead-letter")]).await.unwrap();
    let handled = Handled::default();
    let consuming = consume_slowly(&broker, &handled, Duration::ZERO);

    // As a relay does: the next record of a key after the one before it was taken, again and again until it is.
    let taken = Arc::new(Mutex::new(0_usize));
    let publishing: Vec<_> = (0..KEYS)
        .map(|key| {
            let (broker, taken) = (broker.clone(), Arc::clone(&taken));
            waypost_telemetry::spawn(async move {
                let mut failures = 0;
                for number in 0..OF_EACH {
                    let record = suite::record("t", &format!("key-{key}"), key * OF_EACH + number);
                    while broker.publish_one(record.clone()).await.is_err() {
                        failures += 1;
                    }
                    *taken.lock().unwrap() += 1;
                }
                failures
            })
        })
        .collect();
    let until_taken = async |count| {
        eventually("records are taken", || async { (*taken.lock().unwrap() >= count).then_some(()) }).await;
    };
    until_taken(KEYS * OF_EACH / 4).await;
    own.kill();
    eventually("it is noticed", || async { broker.ready().await.is_err().then_some(()) }).await;
    own.start_again();
    let mut failures = 0;
    for publishing in publishing {
        failures += publishing.await.unwrap();
    }
    handled.until(KEYS * OF_EACH).await;
    end(consuming).await;

    let counts = handled.counts();
    println!("{} records, {failures} tries failed, {} handled", counts.len(), handled.all().len());
    assert_eq!(counts.len(), KEYS * OF_EACH, "nothing was lost");
    assert_that_keys_keep_their_order(&handled);
}

#[tokio::test]
async fn partitions_that_change_hands_are_handled_by_one_at_a_time_and_their_records_once() {
    const COUNT: usize = 400;
    let broker = kafka().await;
    let records =
        (0..COUNT).map(|number| suite::record("t", &format!("key-{}", number % 16), number)).collect();
    suite::publish(&broker, records).await;
    let handled = Handled::default();
    let of_first = Handled::default();
    let first = consume_slowly(&broker, &of_first, Duration::from_millis(20));
    of_first.until(COUNT / 8).await;
    let second = consume_slowly(&broker, &handled, Duration::from_millis(20));
    handled.until(COUNT / 8).await;
    // And back: the second one leaves.
    end(second).await;
    let before = of_first.counts().len();
    let of_second = handled.counts().len();
    of_first.until(COUNT - of_second).await;
    end(first).await;
    println!("{before} records by the first when the second left, which had handled {of_second}");

    for delivery in of_first.all() {
        handled.add(&delivery);
    }
    let counts = handled.counts();
    assert_eq!(counts.len(), COUNT);
    let more_than_once: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(more_than_once.is_empty(), "{more_than_once:?}");
}

#[tokio::test]
async fn a_handler_that_takes_longer_than_the_lease_keeps_its_partition() {
    let broker = kafka().await;
    suite::publish(&broker, (0..2).map(|number| suite::record("t", "one key", number)).collect()).await;
    let (slow, other) = (Handled::default(), Handled::default());
    let first = consume_slowly(&broker, &slow, LEASE + Duration::from_secs(2));
    slow.until(2).await;
    let second = consume_slowly(&broker, &other, Duration::ZERO);
    end(first).await;
    assert_eq!(slow.counts().values().copied().collect::<Vec<_>>(), [1, 1]);
    // The whole topic is the second one's; nothing is left.
    suite::publish(&broker, vec![suite::record("t", "one key", 2)]).await;
    other.until(1).await;
    end(second).await;
    assert_eq!(other.counts().into_keys().collect::<Vec<_>>(), ["t-2"]);
}

#[tokio::test]
async fn a_consumer_says_that_kafka_is_away_until_it_is_back() {
    let mut own = OwnKafka::start();
    let broker = Kafka::new(at(&own.address())).unwrap();
    eventually("Kafka answers", || async { broker.check().await.is_ok().then_some(()) }).await;
    broker.ensure_topics(vec![TopicSpec::new("t")]).await.unwrap();
    let subscription = Subscription::new(Arc::new(broker.clone()), "group", "t", &Telemetry::disabled());
    let standstill = subscription.standstill.clone();
    let handled = Handled::default();
    let adding = handled.clone();
    let handler = move |delivery: Arc<Delivery>| {
        adding.add(&delivery);
        async { Ok::<(), consume::Failure<Error>>(()) }
    };
    let drain = Arc::new(Notify::new());
    let ending = Arc::clone(&drain);
    let running = waypost_telemetry::spawn(async move {
        consume::run(subscription, handler, async move { ending.notified().await }).await
    });
    suite::publish(&broker, vec![suite::record("t", "key", 1)]).await;
    handled.until(1).await;
    own.kill();
    eventually("it is said", || async { standstill.reason() }).await;
    let address = own.address();
    let reason = eventually("the address is said", || async {
        standstill.reason().filter(|reason| reason.contains(&address))
    });
    let reason = reason.await;
    assert!(reason.contains("no broker answers"), "{reason}");
    own.start_again();
    eventually("it goes on", || async { standstill.reason().is_none().then_some(()) }).await;
    eventually("it publishes", || async {
        broker.publish_one(suite::record("t", "key", 2)).await.is_ok().then_some(())
    })
    .await;
    handled.until(2).await;
    end((drain, waypost_telemetry::spawn(async move { running.await.unwrap().unwrap() }))).await;
}
