//! The embedded broker does what the port promises; what it promises beyond that comes after.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use waypost_durable::broker::{Broker, EmbeddedBroker, EmbeddedBrokerOptions, Record, Retention};
use waypost_durable::{Clock, Error, Location, Sharing};

use super::suite;
use super::test_broker::LEASE;

fn embedded() -> EmbeddedBroker {
    let options = EmbeddedBrokerOptions { lease: LEASE, ..EmbeddedBrokerOptions::new(Location::Ephemeral) };
    EmbeddedBroker::open(options).unwrap()
}

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod contract {
            $(#[tokio::test]
            async fn $promise() {
                crate::suite::$promise(&super::embedded(), "order-events").await.unwrap();
            })*
        }
    };
}

contract![
    a_record_comes_back_as_it_was_published,
    offsets_are_dense_and_keys_keep_their_order,
    every_group_gets_every_record,
    what_is_committed_does_not_come_again,
    a_waiting_consumer_is_woken_by_a_record,
    a_paused_partition_hands_out_nothing,
    consumers_of_a_group_share_its_partitions,
    a_silent_consumer_loses_its_partitions,
];

fn open(path: &Path, sharing: Sharing) -> EmbeddedBroker {
    let location = Location::File(path.to_path_buf());
    EmbeddedBroker::open(EmbeddedBrokerOptions {
        sharing,
        lease: LEASE,
        ..EmbeddedBrokerOptions::new(location)
    })
    .unwrap()
}

/// A crash leaves the members of the dead process in the file, with leases that still run.
#[tokio::test]
async fn a_broker_that_has_its_file_for_itself_does_not_wait_for_consumers_of_a_dead_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let open_with_a_long_lease = || {
        let lease = Duration::from_hours(1);
        let location = Location::File(path.clone());
        EmbeddedBroker::open(EmbeddedBrokerOptions { lease, ..EmbeddedBrokerOptions::new(location) }).unwrap()
    };
    let first = open_with_a_long_lease();
    let mut dead = first.subscribe("group", "t").await.unwrap();
    dead.poll(1, Duration::ZERO).await.unwrap();
    assert_eq!(dead.assigned().len(), 4);
    first.close().await;

    let second = open_with_a_long_lease();
    second.publish(vec![suite::record("t", "key", 1)]).await.unwrap();
    let mut heir = second.subscribe("group", "t").await.unwrap();
    assert_eq!(suite::take(&mut *heir, 1).await.unwrap().len(), 1);
    assert_eq!(heir.assigned().len(), 4);
}

#[tokio::test]
async fn records_and_progress_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let first = open(&path, Sharing::Exclusive);
    first.publish((0..10).map(|number| suite::record("t", "one key", number)).collect()).await.unwrap();
    let mut consumer = first.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 10).await.unwrap();
    consumer.commit(suite::progress(&taken[..7])).await.unwrap();
    // Not closed: as after a crash, the old member still holds its partitions until its lease runs out.
    drop(consumer);
    first.close().await;

    let second = open(&path, Sharing::Exclusive);
    let acks = second.publish(vec![suite::record("t", "one key", 10)]).await.unwrap();
    assert_eq!(acks[0].offset, 10);
    let mut consumer = second.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 4).await.unwrap();
    assert_eq!(taken.iter().map(|delivery| delivery.offset).collect::<Vec<_>>(), [7, 8, 9, 10]);
}

#[tokio::test]
async fn brokers_of_two_processes_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let (here, there) = (open(&path, Sharing::Shared), open(&path, Sharing::Shared));
    let mut first = here.subscribe("group", "t").await.unwrap();
    let mut second = there.subscribe("group", "t").await.unwrap();
    suite::settle(&mut [&mut first, &mut second], &[2, 2]).await.unwrap();
    // Published on one side, found by polling on the other.
    there
        .publish((0..20).map(|number| suite::record("t", &number.to_string(), number)).collect())
        .await
        .unwrap();
    let mut ids = std::collections::BTreeSet::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while ids.len() < 20 {
        assert!(tokio::time::Instant::now() < deadline, "{} records came", ids.len());
        for consumer in [&mut first, &mut second] {
            let polled = consumer.poll(20, Duration::from_millis(50)).await.unwrap();
            assert!(polled.into_iter().all(|delivery| ids.insert(delivery.record.id)), "a record came twice");
        }
    }
}

#[tokio::test]
async fn a_closed_broker_says_so() {
    let broker = embedded();
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    broker.close().await;
    assert!(matches!(broker.publish(vec![suite::record("t", "", 1)]).await, Err(Error::Closed(_))));
    assert!(matches!(consumer.poll(1, Duration::from_secs(1)).await, Err(Error::Closed(_))));
}

#[tokio::test]
async fn one_call_publishes_to_several_topics() {
    let broker = embedded();
    let records =
        ["a", "b", "a"].iter().enumerate().map(|(number, topic)| suite::record(topic, "k", number)).collect();
    let acks = broker.publish(records).await.unwrap();
    assert_eq!(acks.iter().map(|ack| ack.offset).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_no_record() {
    let broker = embedded();
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    broker
        .publish((0..50).map(|number| suite::record("t", &number.to_string(), number)).collect())
        .await
        .unwrap();
    let mut came = 0;
    for _ in 0..200 {
        let poll = std::pin::pin!(consumer.poll(1, Duration::from_secs(1)));
        came += poll.poll_now().map_or(0, |polled| polled.unwrap().len());
    }
    suite::take(&mut *consumer, 50 - came).await.unwrap();
}

/// Polls a future once.
trait PollNow: Future {
    fn poll_now(self) -> Option<Self::Output>;
}

impl<F: Future> PollNow for std::pin::Pin<&mut F> {
    fn poll_now(mut self) -> Option<F::Output> {
        match self.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

/// A clock that the test sets.
#[derive(Clone)]
struct SetClock(Arc<Mutex<SystemTime>>);

impl SetClock {
    fn new() -> SetClock {
        SetClock(Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000))))
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::from_fn(move || *now.lock().unwrap())
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[tokio::test]
async fn a_dead_member_is_missed_whatever_its_clock_said() {
    let folder = tempfile::tempdir().unwrap();
    let open_at = |time: &SetClock| {
        let options = EmbeddedBrokerOptions {
            sharing: Sharing::Shared,
            lease: Duration::from_millis(200),
            clock: time.clock(),
            ..EmbeddedBrokerOptions::new(Location::File(folder.path().join("broker.db")))
        };
        EmbeddedBroker::open(options).unwrap()
    };
    let (right, ahead) = (SetClock::new(), SetClock::new());
    ahead.advance(Duration::from_hours(1));
    let first = open_at(&ahead);
    let mut dead = first.subscribe("group", "t").await.unwrap();
    dead.poll(1, Duration::ZERO).await.unwrap();
    assert_eq!(dead.assigned().len(), 4);
    drop(dead);
    first.close().await;

    // The clock was set right again while it was dead.
    let second = open_at(&right);
    second.publish(vec![suite::record("t", "key", 1)]).await.unwrap();
    let mut heir = second.subscribe("group", "t").await.unwrap();
    assert_eq!(suite::take(&mut *heir, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_record_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let broker = open(&path, Sharing::Exclusive);
    broker.publish((0..3).map(|number| suite::record("t", "one key", number)).collect()).await.unwrap();
    let damage = "UPDATE broker_records SET headers = x'ff' WHERE event_id = 't-1'";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(damage, ()).unwrap(), 1);
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 3).await.unwrap();
    assert_eq!(taken[0].record.id, "t-0");
    assert!(taken[1].record.header("damaged").is_some(), "{:?}", taken[1]);
    assert_eq!(taken[2].record.id, "t-2");
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_for_good() {
    let options = EmbeddedBrokerOptions { max_record: 20, ..EmbeddedBrokerOptions::new(Location::Ephemeral) };
    let broker = EmbeddedBroker::open(options).unwrap();
    let record = Record { payload: vec![0; 18], ..suite::record("t", "key", 1) };
    let refused = broker.publish(vec![record]).await.unwrap_err();
    assert!(refused.is_refusal() && !refused.is_infrastructure(), "{refused:?}");
}

async fn publish_sized(broker: &EmbeddedBroker, count: usize, bytes: usize) {
    let records =
        (0..count).map(|number| Record { payload: vec![0; bytes], ..suite::record("t", "one key", number) });
    broker.publish(records.collect()).await.unwrap();
}

#[tokio::test]
async fn consumed_records_are_deleted_when_they_are_old() {
    let time = SetClock::new();
    let broker = EmbeddedBroker::open(EmbeddedBrokerOptions {
        retention: Retention { age: Some(Duration::from_hours(1)), bytes: None },
        clock: time.clock(),
        ..EmbeddedBrokerOptions::new(Location::Ephemeral)
    })
    .unwrap();
    publish_sized(&broker, 10, 10).await;
    time.advance(Duration::from_hours(2));
    // Nobody has read them yet.
    assert_eq!(broker.delete_consumed().await.unwrap(), 0);

    let mut fast = broker.subscribe("fast", "t").await.unwrap();
    let mut slow = broker.subscribe("slow", "t").await.unwrap();
    let taken = suite::take(&mut *fast, 10).await.unwrap();
    fast.commit(suite::progress(&taken)).await.unwrap();
    // The slow group has still to read them.
    assert_eq!(broker.delete_consumed().await.unwrap(), 0);
    let taken = suite::take(&mut *slow, 10).await.unwrap();
    slow.commit(suite::progress(&taken[..4])).await.unwrap();
    assert_eq!(broker.delete_consumed().await.unwrap(), 4);

    // A later group gets what is left, and offsets go on where they were.
    let mut late = broker.subscribe("late", "t").await.unwrap();
    let left = suite::take(&mut *late, 6).await.unwrap();
    assert_eq!(left[0].offset, 4);
    assert_eq!(broker.publish(vec![suite::record("t", "one key", 10)]).await.unwrap()[0].offset, 10);
}

#[tokio::test]
async fn consumed_records_are_deleted_when_they_are_too_much() {
    let broker = EmbeddedBroker::open(EmbeddedBrokerOptions {
        retention: Retention { age: None, bytes: Some(5_500) },
        ..EmbeddedBrokerOptions::new(Location::Ephemeral)
    })
    .unwrap();
    publish_sized(&broker, 2_000, 10).await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 2_000).await.unwrap();
    consumer.commit(suite::progress(&taken)).await.unwrap();
    let deleted = broker.delete_consumed().await.unwrap();
    assert!((1_500..2_000).contains(&deleted), "{deleted}");
    assert_eq!(broker.delete_consumed().await.unwrap(), 0);
}
