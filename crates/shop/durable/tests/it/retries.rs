//! What becomes of a record in retry topics, as functions that the tests of every broker call.
//!
//! Each takes a broker with the topic `t` of four partitions, its two retry topics and that of its dead letters, which nothing
//! else uses. They panic when a promise is broken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{Broker, Delivery, Record, TopicSpec};
use waypost_durable::consume::{self, ConsumeOptions, Failure, RetryTopics, Subscription};
use waypost_durable::dead_letters::{DeadLetters, Replayed};
use waypost_durable::{Backoff, Error};
use waypost_telemetry::Telemetry;

use crate::{eventually, suite};

/// The topics that each function needs.
pub(crate) fn topics() -> Vec<TopicSpec> {
    ["t", "t.retry.1", "t.retry.2", "t.dead-letter"].map(TopicSpec::new).into()
}

/// A key of each of four partitions.
const KEY_OF_EACH: [&str; 4] = ["order-0", "order-6", "order-1", "order-2"];

const SHORT: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(20)];

/// Longer than any test.
const LONG: [Duration; 2] = [Duration::from_hours(1), Duration::from_hours(1)];

type Handled = Result<(), Failure<Error>>;

fn fails() -> Handled {
    Err(Failure::Retry(Error::Malformed { what: "event" }))
}

/// What was handled, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Delivery>>>);

impl Log {
    fn add(&self, delivery: &Delivery) {
        self.0.lock().unwrap().push(delivery.clone());
    }

    fn all(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().clone()
    }

    fn ids(&self) -> Vec<String> {
        self.all().into_iter().map(|delivery| delivery.record.id).collect()
    }

    async fn until(&self, count: usize) {
        eventually("the records are handled", || async { (self.all().len() >= count).then_some(()) }).await;
    }
}

struct Running {
    drain: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start<F>(
        broker: &Arc<impl Broker>,
        group: &str,
        pauses: [Duration; 2],
        handler: impl Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
    ) -> Running
    where
        F: Future<Output = Handled> + Send + 'static,
    {
        let options = ConsumeOptions {
            attempts: 2,
            backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(5) },
            ..ConsumeOptions::default()
        };
        let shared = Arc::clone(broker);
        let subscription = Subscription {
            options,
            retries: RetryTopics::after(pauses),
            ..Subscription::new(shared, group, "t", &Telemetry::disabled())
        };
        let drain = CancellationToken::new();
        let run = consume::run(subscription, handler, drain.clone().cancelled_owned());
        Running { drain, task: waypost_telemetry::spawn(run) }
    }

    async fn drain(self) {
        self.drain.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// Fails on these records, and notes the others.
fn refusing(
    ids: &'static [&'static str],
    log: &Log,
) -> impl Fn(Arc<Delivery>) -> std::future::Ready<Handled> + Send + Sync + 'static {
    let log = log.clone();
    move |delivery| {
        if ids.contains(&delivery.record.id.as_str()) {
            return std::future::ready(fails());
        }
        log.add(&delivery);
        std::future::ready(Ok(()))
    }
}

async fn publish(broker: &Arc<impl Broker>, topic: &str, key: &str, numbers: std::ops::Range<usize>) {
    suite::publish(
        &**broker,
        numbers.map(|number| Record { topic: topic.to_owned(), ..suite::record("t", key, number) }).collect(),
    )
    .await;
}

/// What is in a topic, seen by a group of its own.
async fn records(broker: &Arc<impl Broker>, topic: &str, count: usize) -> Vec<Record> {
    let mut consumer = broker.subscribe(&format!("look-at-{topic}"), topic).await.unwrap();
    let taken = suite::take(&mut *consumer, count).await.unwrap();
    consumer.close().await.unwrap();
    taken.into_iter().map(|delivery| delivery.record).collect()
}

/// The records behind one that fails are handled before its next try, and it comes back as it was.
pub(crate) async fn a_record_succeeds_at_its_second_retry(broker: &Arc<impl Broker + DeadLetters>) {
    publish(broker, "t", "one key", 0..3).await;
    let (log, tries) = (Log::default(), Log::default());
    let others_went_on = CancellationToken::new();
    let (handled, tried, gate) = (log.clone(), tries.clone(), others_went_on.clone());
    let running = Running::start(broker, "group", SHORT, move |delivery| {
        let (handled, tried, gate) = (handled.clone(), tried.clone(), gate.clone());
        async move {
            if delivery.record.id == "t-0" {
                tried.add(&delivery);
                // Two tries in place, and one in each retry topic.
                if delivery.attempt > 2 {
                    gate.cancelled().await;
                }
                if delivery.attempt < 4 {
                    return fails();
                }
            }
            handled.add(&delivery);
            Ok(())
        }
    });
    log.until(2).await;
    assert_eq!(log.ids(), ["t-1", "t-2"], "those behind it went on");
    others_went_on.cancel();
    log.until(3).await;
    running.drain().await;
    assert_eq!(log.ids(), ["t-1", "t-2", "t-0"]);
    let tried: Vec<(String, u32)> =
        tries.all().into_iter().map(|delivery| (delivery.topic.to_string(), delivery.attempt)).collect();
    let expected = [("t", 1), ("t", 2), ("t.retry.1", 3), ("t.retry.2", 4)];
    assert_eq!(tried, expected.map(|(topic, attempt)| (topic.to_owned(), attempt)));
    for delivery in tries.all() {
        assert_eq!(delivery.record, suite::record("t", "one key", 0), "as it was, in {}", delivery.topic);
    }
    assert_eq!(broker.count().await.unwrap(), 0);

    // What the topic itself has of it, for those who look from outside.
    let waited = records(broker, "t.retry.2", 1).await.remove(0);
    let original = suite::record("t", "one key", 0);
    assert_eq!(
        (&waited.key, &waited.payload, &waited.id, waited.timestamp),
        (&original.key, &original.payload, &original.id, original.timestamp)
    );
    assert_eq!(waited.headers[..original.headers.len()], original.headers);
    let told = ["group", "topic", "offset", "attempts", "reason", "error-type"];
    let told = told.map(|name| waited.header(&format!("retry-{name}")).unwrap_or_default().to_owned());
    assert_eq!(told, ["group", "t", "0", "3", "stored event is malformed", "malformed"]);
}

/// A record that nothing helps is parked behind the last pause as if it had been parked from its own topic, and published
/// again it is what it was.
pub(crate) async fn a_poison_record_is_parked_behind_the_last_pause(broker: &Arc<impl Broker + DeadLetters>) {
    publish(broker, "t", "one key", 0..2).await;
    let log = Log::default();
    let running = Running::start(broker, "group", SHORT, refusing(&["t-0"], &log));
    eventually("it is parked", || async { (broker.count().await.unwrap() == 1).then_some(()) }).await;
    log.until(1).await;
    running.drain().await;
    let letter = broker.waiting(None, 10).await.unwrap().remove(0);
    assert_eq!(letter.record, suite::record("t", "one key", 0));
    assert_eq!(
        (letter.group.as_str(), letter.attempts, letter.error_type.as_str()),
        ("group", 4, "malformed")
    );
    assert_eq!(letter.place.map(|(_, offset)| offset), Some(0), "where it stood in its own topic");
    let parked = records(broker, "t.dead-letter", 1).await.remove(0);
    assert!(parked.header("retry-due").is_none(), "{:?}", parked.headers);

    let mended = Log::default();
    assert_eq!(broker.replay(&letter.reference, "ann", "mended").await.unwrap(), Replayed::Now);
    let running = Running::start(broker, "group", SHORT, refusing(&[], &mended));
    mended.until(1).await;
    running.drain().await;
    let again = mended.all().remove(0);
    assert_eq!((again.record, again.attempt), (suite::record("t", "one key", 0), 1));
}

/// What is refused for good is not tried again.
pub(crate) async fn a_refusal_goes_past_the_retry_topics(broker: &Arc<impl Broker + DeadLetters>) {
    publish(broker, "t", "one key", 0..1).await;
    let running = Running::start(broker, "group", LONG, |_| async {
        Err(Failure::Reject(Error::Malformed { what: "event" }))
    });
    eventually("it is parked", || async { (broker.count().await.unwrap() == 1).then_some(()) }).await;
    running.drain().await;
    assert_eq!(broker.waiting(None, 10).await.unwrap().remove(0).attempts, 1);
}

/// A record that waits does not hold up the end of its consumer, in order or not, and is handled by the next one. Once, if the
/// first one could still commit that it had set it aside.
pub(crate) async fn a_record_that_waits_outlives_its_consumer(
    broker: &Arc<impl Broker + DeadLetters>,
    dies: bool,
) {
    publish(broker, "t", "one key", 0..2).await;
    let log = Log::default();
    let first = Running::start(broker, "group", LONG, refusing(&["t-0"], &log));
    log.until(1).await;
    records(broker, "t.retry.1", 1).await;
    if dies {
        first.task.abort();
        assert!(first.task.await.unwrap_err().is_cancelled());
    } else {
        first.drain().await;
    }
    // Its pause is shorter, and no record waits longer than that.
    let second = Running::start(broker, "group", SHORT, refusing(&[], &log));
    eventually("it is handled", || async { log.ids().contains(&"t-0".to_owned()).then_some(()) }).await;
    publish(broker, "t", "one key", 2..3).await;
    publish(broker, "t.retry.1", "one key", 3..4).await;
    eventually("those behind it are", || async {
        ["t-2", "t-3"].iter().all(|id| log.ids().iter().any(|handled| handled == id)).then_some(())
    })
    .await;
    second.drain().await;
    let ids = log.ids();
    assert!(dies || ids.iter().filter(|id| *id == "t-0").count() == 1, "{ids:?}");
}

/// Partitions whose records wait change hands, and each record is handled by one.
pub(crate) async fn partitions_that_wait_change_hands(broker: &Arc<impl Broker + DeadLetters>) {
    for (number, key) in KEY_OF_EACH.iter().enumerate() {
        publish(broker, "t", key, number..number + 1).await;
    }
    let (nothing, log) = (Log::default(), Log::default());
    let first = Running::start(broker, "group", LONG, refusing(&["t-0", "t-1", "t-2", "t-3"], &nothing));
    records(broker, "t.retry.1", 4).await;
    let second = Running::start(broker, "group", SHORT, refusing(&[], &log));
    // Its half comes to it while the first one waits.
    log.until(2).await;
    first.drain().await;
    log.until(4).await;
    second.drain().await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for id in log.ids() {
        *counts.entry(id).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [1; 4]);
    assert_eq!(nothing.ids(), [""; 0]);
}

/// What failed in one group is tried again by that group alone.
pub(crate) async fn a_retry_concerns_the_group_that_failed(broker: &Arc<impl Broker + DeadLetters>) {
    publish(broker, "t", "one key", 0..1).await;
    let (ours, theirs) = (Log::default(), Log::default());
    let handled = ours.clone();
    let failing = Running::start(broker, "group", SHORT, move |delivery| {
        if delivery.attempt < 3 {
            return std::future::ready(fails());
        }
        handled.add(&delivery);
        std::future::ready(Ok(()))
    });
    ours.until(1).await;
    // Somebody's own record behind the one that waited.
    publish(broker, "t.retry.1", "one key", 1..2).await;
    let other = Running::start(broker, "other", SHORT, refusing(&[], &theirs));
    theirs.until(2).await;
    other.drain().await;
    failing.drain().await;
    let mut ids = theirs.ids();
    ids.sort();
    assert_eq!(ids, ["t-0", "t-1"], "each once");
}

/// Calls each of them with a broker of its own.
macro_rules! on_a_broker {
    ($broker:path) => {
        #[tokio::test]
        async fn a_record_succeeds_at_its_second_retry() {
            crate::retries::a_record_succeeds_at_its_second_retry(&$broker().await).await;
        }

        #[tokio::test]
        async fn a_poison_record_is_parked_behind_the_last_pause() {
            crate::retries::a_poison_record_is_parked_behind_the_last_pause(&$broker().await).await;
        }

        #[tokio::test]
        async fn a_refusal_goes_past_the_retry_topics() {
            crate::retries::a_refusal_goes_past_the_retry_topics(&$broker().await).await;
        }

        #[tokio::test]
        async fn a_drain_does_not_wait_for_what_is_not_due() {
            crate::retries::a_record_that_waits_outlives_its_consumer(&$broker().await, false).await;
        }

        #[tokio::test]
        async fn a_record_whose_consumer_dies_while_it_waits_is_not_lost() {
            crate::retries::a_record_that_waits_outlives_its_consumer(&$broker().await, true).await;
        }

        #[tokio::test]
        async fn partitions_that_wait_change_hands() {
            crate::retries::partitions_that_wait_change_hands(&$broker().await).await;
        }

        #[tokio::test]
        async fn a_retry_concerns_the_group_that_failed() {
            crate::retries::a_retry_concerns_the_group_that_failed(&$broker().await).await;
        }
    };
}
pub(crate) use on_a_broker;
