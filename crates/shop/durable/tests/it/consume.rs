//! The consume loop: retries, dead letters, order, rebalancing, draining.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use waypost_durable::broker::{Broker, Delivery, partition_of};
use waypost_durable::consume::{self, ConsumeOptions, Failure, Subscription};
use waypost_durable::{Backoff, Error};
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::{ErrorType, Telemetry};

use super::test_broker::TestBroker;
use super::{eventually, suite};

#[derive(Clone, Debug, thiserror::Error)]
#[error("the handler said no")]
struct No;

impl ErrorType for No {
    fn error_type(&self) -> std::borrow::Cow<'static, str> {
        "no".into()
    }
}

type Handled = Result<(), Failure<No>>;

/// Remembers the ids of what was handled, in order, by partition.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(u32, String)>>>);

impl Log {
    fn add(&self, delivery: &Delivery) {
        self.0.lock().unwrap().push((delivery.partition, delivery.record.id.clone()));
    }

    fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, id)| id.clone()).collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn until(&self, count: usize) {
        eventually("all records are handled", || async { (self.count() >= count).then_some(()) }).await;
    }
}

struct Running {
    drain: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Running {
    async fn drain(self) {
        self.drain.cancel();
        self.task.await.unwrap().unwrap();
    }
}

const OPTIONS: ConsumeOptions = ConsumeOptions {
    correlation: Correlation::Parent,
    attempts: 3,
    batch: 8,
    backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(5) },
    commit_delay: Duration::from_millis(20),
    // Longer than any test.
    revoke_timeout: Duration::from_mins(1),
};

fn start<F>(broker: &TestBroker, handler: impl Fn(Arc<Delivery>) -> F + Send + Sync + 'static) -> Running
where
    F: Future<Output = Handled> + Send + 'static,
{
    start_with(broker, OPTIONS, handler)
}

fn start_with<F>(
    broker: &TestBroker,
    options: ConsumeOptions,
    handler: impl Fn(Arc<Delivery>) -> F + Send + Sync + 'static,
) -> Running
where
    F: Future<Output = Handled> + Send + 'static,
{
    let mut subscription = Subscription::new(Arc::new(broker.clone()), "group", "t", &Telemetry::disabled());
    subscription.options = options;
    let drain = CancellationToken::new();
    let task = waypost_telemetry::spawn(consume::run(subscription, handler, drain.clone().cancelled_owned()));
    Running { drain, task }
}

async fn publish(broker: &TestBroker, numbers: std::ops::Range<usize>, key: impl Fn(usize) -> String) {
    suite::publish(broker, numbers.map(|number| suite::record("t", &key(number), number)).collect()).await;
}

async fn until_committed(broker: &TestBroker, count: u64) {
    eventually("offsets are committed", || async { (broker.committed("group", "t") == count).then_some(()) })
        .await;
}

#[tokio::test]
async fn every_record_is_handled_once_and_in_the_order_of_its_partition() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..200, |number| number.to_string()).await;
    let handled = log.clone();
    let running = start(&broker, move |delivery| {
        handled.add(&delivery);
        async { Ok(()) }
    });
    publish(&broker, 200..400, |number| number.to_string()).await;
    log.until(400).await;
    until_committed(&broker, 400).await;
    running.drain().await;

    let expected: Vec<Vec<String>> = broker
        .partitions("t")
        .await
        .iter()
        .map(|records| records.iter().map(|record| record.id.clone()).collect())
        .collect();
    for (partition, expected) in (0..).zip(expected) {
        let handled: Vec<String> = log
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|(of, _)| *of == partition)
            .map(|(_, id)| id.clone())
            .collect();
        assert_eq!(handled, expected);
    }
}

#[tokio::test]
async fn a_record_that_fails_is_tried_again_before_later_ones() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..3, |_| "one key".to_owned()).await;
    let handled = log.clone();
    let running = start(&broker, move |delivery| {
        let handled = handled.clone();
        async move {
            if delivery.record.id == "t-1" && delivery.attempt < 3 {
                return Err(No.into());
            }
            handled.add(&delivery);
            Ok(())
        }
    });
    log.until(3).await;
    running.drain().await;
    assert_eq!(log.ids(), ["t-0", "t-1", "t-2"]);
    assert_eq!(broker.records(&consume::dead_letter_topic("t")).await, []);
}

#[tokio::test]
async fn a_record_that_cannot_be_handled_is_parked_whole_and_its_partition_moves_on() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..4, |_| "one key".to_owned()).await;
    let tries: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let (handled, tried) = (log.clone(), Arc::clone(&tries));
    let running = start(&broker, move |delivery| {
        *tried.lock().unwrap().entry(delivery.record.id.clone()).or_default() += 1;
        let handled = handled.clone();
        async move {
            match delivery.record.id.as_str() {
                "t-1" => return Err(Failure::Retry(No)),
                "t-2" => return Err(Failure::Reject(No)),
                _ => handled.add(&delivery),
            }
            Ok(())
        }
    });
    log.until(2).await;
    until_committed(&broker, 4).await;
    running.drain().await;
    assert_eq!(log.ids(), ["t-0", "t-3"]);
    let tries = tries.lock().unwrap().clone();
    assert_eq!((tries["t-1"], tries["t-2"]), (3, 1));

    let parked = broker.records("t.dead-letter").await;
    assert_eq!(parked.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["t-1", "t-2"]);
    let original = suite::record("t", "one key", 1);
    assert_eq!((&parked[0].payload, &parked[0].key), (&original.payload, &original.key));
    assert!(original.headers.iter().all(|header| parked[0].headers.contains(header)));
    let partition =
        broker.partitions("t").await.iter().position(|records| !records.is_empty()).unwrap().to_string();
    for (name, value) in [
        ("dead-letter-reason", "the handler said no"),
        ("dead-letter-error-type", "no"),
        ("dead-letter-topic", "t"),
        ("dead-letter-group", "group"),
        ("dead-letter-partition", partition.as_str()),
        ("dead-letter-offset", "1"),
        ("dead-letter-attempts", "3"),
    ] {
        assert_eq!(parked[0].header(name), Some(value), "{name}");
    }
    let at: u64 = parked[0].header("dead-letter-at").unwrap().parse().unwrap();
    assert!(SystemTime::UNIX_EPOCH + Duration::from_millis(at) <= SystemTime::now());
}

#[tokio::test]
async fn a_handler_that_panics_has_failed_and_the_loop_goes_on() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..2, |_| "one key".to_owned()).await;
    let handled = log.clone();
    let running = start(&broker, move |delivery| {
        let handled = handled.clone();
        async move {
            assert_ne!(delivery.record.id, "t-0", "on purpose");
            handled.add(&delivery);
            Ok(())
        }
    });
    log.until(1).await;
    until_committed(&broker, 2).await;
    running.drain().await;
    let parked = broker.records("t.dead-letter").await;
    assert_eq!(parked[0].header("dead-letter-error-type"), Some("panic"));
}

#[tokio::test]
async fn a_record_that_cannot_even_be_parked_holds_its_partition_and_is_not_dropped() {
    let broker = TestBroker::open().await;
    publish(&broker, 0..1, |_| "one key".to_owned()).await;
    let switch = broker.clone();
    let running = start(&broker, move |_| {
        switch.set_available(false);
        async { Err(Failure::Reject(No)) }
    });
    eventually("the broker went away", || async { broker.ready().await.is_err().then_some(()) }).await;
    assert_eq!(broker.records("t.dead-letter").await, []);
    broker.set_available(true);
    eventually("the record is parked", || async {
        (broker.records("t.dead-letter").await.len() == 1).then_some(())
    })
    .await;
    until_committed(&broker, 1).await;
    running.drain().await;
}

#[tokio::test]
async fn a_record_waits_for_what_its_handler_needs() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..3, |_| "one key".to_owned()).await;
    let mut subscription = Subscription::new(Arc::new(broker.clone()), "group", "t", &Telemetry::disabled());
    subscription.options = ConsumeOptions {
        attempts: 2,
        backoff: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(2) },
        ..ConsumeOptions::default()
    };
    let standstill = subscription.standstill.clone();
    let (is_locked, tries) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (handled, locked, tried) = (log.clone(), Arc::clone(&is_locked), Arc::clone(&tries));
    let handler = move |delivery: Arc<Delivery>| {
        tried.fetch_add(1, Ordering::SeqCst);
        let is_locked = locked.load(Ordering::SeqCst);
        if !is_locked {
            handled.add(&delivery);
        }
        async move {
            let closed = Error::Closed("notification");
            if is_locked { Err(Failure::Retry(closed)) } else { Ok(()) }
        }
    };
    let drain = CancellationToken::new();
    let task = waypost_telemetry::spawn(consume::run(subscription, handler, drain.clone().cancelled_owned()));
    eventually("it was tried far more often than a bad record is", || async {
        (tries.load(Ordering::SeqCst) > 20).then_some(())
    })
    .await;
    let reason = standstill.reason().expect("readiness is told");
    assert!(reason.contains("notification is closed"), "{reason}");
    assert_eq!(broker.records("t.dead-letter").await, []);

    is_locked.store(false, Ordering::SeqCst);
    until_committed(&broker, 3).await;
    assert_eq!(log.ids(), ["t-0", "t-1", "t-2"]);
    assert_eq!(standstill.reason(), None);
    drain.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_partition_does_not_hold_up_the_others() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..400, |number| number.to_string()).await;
    let slow = broker.partitions("t").await.iter().position(|records| !records.is_empty()).unwrap();
    let slow_count = broker.partitions("t").await[slow].len();
    let gate = CancellationToken::new();
    let (handled, opened) = (log.clone(), gate.clone());
    let running = start(&broker, move |delivery| {
        let (handled, opened) = (handled.clone(), opened.clone());
        async move {
            if delivery.partition as usize == slow {
                opened.cancelled().await;
            }
            handled.add(&delivery);
            Ok(())
        }
    });
    log.until(400 - slow_count).await;
    assert_eq!(log.count(), 400 - slow_count);
    gate.cancel();
    log.until(400).await;
    running.drain().await;
}

#[tokio::test]
async fn only_the_contiguous_handled_prefix_is_committed() {
    let (broker, gate) = (TestBroker::open().await, CancellationToken::new());
    publish(&broker, 0..10, |_| "one key".to_owned()).await;
    let opened = gate.clone();
    let running = start(&broker, move |delivery| {
        let opened = opened.clone();
        async move {
            if delivery.record.id == "t-6" {
                opened.cancelled().await;
            }
            Ok(())
        }
    });
    until_committed(&broker, 6).await;
    gate.cancel();
    until_committed(&broker, 10).await;
    running.drain().await;
}

#[tokio::test]
async fn a_drain_finishes_the_running_record_commits_it_and_leaves_the_rest() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    publish(&broker, 0..5, |_| "one key".to_owned()).await;
    let (entered, mut is_inside) = tokio::sync::mpsc::unbounded_channel();
    let gate = CancellationToken::new();
    let (handled, opened) = (log.clone(), gate.clone());
    let running = start(&broker, move |delivery| {
        let (handled, opened, entered) = (handled.clone(), opened.clone(), entered.clone());
        async move {
            entered.send(()).unwrap();
            opened.cancelled().await;
            handled.add(&delivery);
            Ok(())
        }
    });
    is_inside.recv().await.unwrap();
    running.drain.cancel();
    // Lets the consumer see that before the handler, whose lane may have been woken for the other records already, ends.
    tokio::task::yield_now().await;
    gate.cancel();
    running.drain().await;
    assert_eq!(log.ids(), ["t-0"]);
    assert_eq!(broker.committed("group", "t"), 1);

    // The next consumer goes on at once, because the group was left.
    let handled = log.clone();
    let running = start(&broker, move |delivery| {
        handled.add(&delivery);
        async { Ok(()) }
    });
    log.until(5).await;
    running.drain().await;
    assert_eq!(log.ids(), ["t-0", "t-1", "t-2", "t-3", "t-4"]);
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for() {
    let (broker, log) = (TestBroker::open().await, Log::default());
    broker.set_available(false);
    let handled = log.clone();
    let running = start(&broker, move |delivery| {
        handled.add(&delivery);
        async { Ok(()) }
    });
    tokio::task::yield_now().await;
    broker.set_available(true);
    publish(&broker, 0..10, |number| number.to_string()).await;
    log.until(10).await;
    broker.set_available(false);
    broker.set_available(true);
    publish(&broker, 10..20, |number| number.to_string()).await;
    log.until(20).await;
    running.drain().await;
}

/// What became of the handlers of each partition, in order.
type Course = Arc<Mutex<BTreeMap<u32, Vec<String>>>>;

/// A handler that notes its beginning and end under a name, and waits at a gate in between.
fn noting(
    name: &'static str,
    course: &Course,
    gate: &CancellationToken,
) -> impl Fn(Arc<Delivery>) -> BoxFuture<'static, Handled> + Send + Sync + 'static {
    let (course, gate) = (Arc::clone(course), gate.clone());
    move |delivery| {
        let (course, gate) = (Arc::clone(&course), gate.clone());
        Box::pin(async move {
            let note = |what: &str| {
                let line = format!("{name} {what} {}", delivery.offset);
                course.lock().unwrap().entry(delivery.partition).or_default().push(line);
            };
            note("begins");
            gate.cancelled().await;
            note("ends");
            Ok(())
        })
    }
}

/// Two records for each partition.
async fn publish_to_all(broker: &TestBroker) {
    let keys: Vec<String> = (0..4)
        .map(|partition| {
            (0..1_000).map(|key| format!("{key}")).find(|key| partition_of(key, 4) == partition).unwrap()
        })
        .collect();
    publish(broker, 0..8, |number| keys[number % 4].clone()).await;
}

#[tokio::test]
async fn a_handler_ends_before_its_partition_goes_to_another_consumer() {
    let (broker, course, gate) = (TestBroker::open().await, Course::default(), CancellationToken::new());
    publish_to_all(&broker).await;
    let first = start(&broker, noting("first", &course, &gate));
    eventually("all partitions are handled", || async { (course.lock().unwrap().len() == 4).then_some(()) })
        .await;
    let second = start(&broker, noting("second", &course, &gate));
    eventually("partitions are revoked", || async { (broker.revoked() >= 2).then_some(()) }).await;
    gate.cancel();
    until_committed(&broker, 8).await;
    first.drain().await;
    second.drain().await;

    let course = course.lock().unwrap();
    let handed_over = course.values().filter(|lines| lines[3] == "second ends 1");
    assert_eq!(handed_over.count(), 2, "{course:?}");
    for lines in course.values() {
        let heir = lines[3].split(' ').next().unwrap();
        let expected =
            ["first begins 0", "first ends 0", &format!("{heir} begins 1"), &format!("{heir} ends 1")];
        assert_eq!(*lines, expected, "one record after the other, each once");
    }
}

#[tokio::test]
async fn a_handler_that_does_not_end_gives_its_partition_away() {
    let (broker, course, never) = (TestBroker::open().await, Course::default(), CancellationToken::new());
    publish_to_all(&broker).await;
    let short = ConsumeOptions { revoke_timeout: Duration::from_millis(20), ..OPTIONS };
    let first = start_with(&broker, short, noting("first", &course, &never));
    eventually("all partitions are handled", || async { (course.lock().unwrap().len() == 4).then_some(()) })
        .await;
    let open = CancellationToken::new();
    open.cancel();
    let second = start_with(&broker, short, noting("second", &course, &open));
    eventually("the other one handles two partitions whole", || async {
        let course = course.lock().unwrap();
        let is_whole = |lines: &&Vec<String>| lines.iter().any(|line| line == "second ends 1");
        (course.values().filter(is_whole).count() == 2).then_some(())
    })
    .await;
    let handed_over =
        ["first begins 0", "second begins 0", "second ends 0", "second begins 1", "second ends 1"];
    assert_eq!(course.lock().unwrap().values().filter(|lines| **lines == handed_over).count(), 2);
    second.drain().await;
    never.cancel();
    first.drain().await;
}

#[tokio::test]
async fn when_one_of_two_consumers_dies_the_other_handles_its_records() {
    let broker = TestBroker::open().await;
    let counts: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let logging = |name: &'static str, counts: &Arc<Mutex<BTreeMap<String, u32>>>, log: &Log| {
        let (counts, log) = (Arc::clone(counts), log.clone());
        move |delivery: Arc<Delivery>| {
            *counts.lock().unwrap().entry(format!("{name} {}", delivery.partition)).or_default() += 1;
            log.add(&delivery);
            async { Ok(()) }
        }
    };
    let log = Log::default();
    let first = start(&broker, logging("first", &counts, &log));
    let second = start(&broker, logging("second", &counts, &log));
    // Both have their share: records of every partition reach one of them, and both get some.
    eventually("both consumers work", || async {
        publish(&broker, 0..40, |number| number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let counts = counts.lock().unwrap();
        (counts.keys().any(|key| key.starts_with("first"))
            && counts.keys().any(|key| key.starts_with("second")))
        .then_some(())
    })
    .await;

    // Dies without a word.
    first.task.abort();
    let _ = first.task.await;
    counts.lock().unwrap().clear();
    eventually("the survivor handles all partitions", || async {
        publish(&broker, 100..140, |number| number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        (counts.lock().unwrap().keys().filter(|key| key.starts_with("second")).count() == 4).then_some(())
    })
    .await;
    let all = broker.records("t").await.len() as u64;
    until_committed(&broker, all).await;
    second.drain().await;
}
