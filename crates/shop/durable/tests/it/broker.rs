//! The embedded broker does what the port promises; what it promises beyond that comes after.

use std::path::Path;
use std::time::{Duration, SystemTime};

use waypost_durable::broker::{
    Broker, EmbeddedBroker, EmbeddedBrokerOptions, PublishError, Record, Retention, TopicSpec,
};
use waypost_durable::clock::ManualClock;
use waypost_durable::{Error, Location, Sharing};

use super::suite;
use super::test_broker::LEASE;

async fn embedded() -> EmbeddedBroker {
    with_topics(EmbeddedBrokerOptions { lease: LEASE, ..EmbeddedBrokerOptions::new(Location::Ephemeral) })
        .await
}

/// A broker with the topics `order-events` and `t`.
async fn with_topics(options: EmbeddedBrokerOptions) -> EmbeddedBroker {
    let broker = EmbeddedBroker::open(options).unwrap();
    let topics = ["order-events", "t"];
    broker.ensure_topics(topics.map(TopicSpec::new).into()).await.unwrap();
    broker
}

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod contract {
            $(#[tokio::test]
            async fn $promise() {
                crate::suite::$promise(&super::embedded().await, "order-events").await.unwrap();
            })*
        }
    };
}

contract![
    a_record_comes_back_as_it_was_published,
    a_record_goes_to_the_partition_of_its_key,
    a_topic_that_exists_keeps_its_partitions,
    a_missing_topic_is_a_reason_to_try_again,
    offsets_are_dense_and_keys_keep_their_order,
    every_group_gets_every_record,
    what_is_committed_does_not_come_again,
    a_waiting_consumer_is_woken_by_a_record,
    a_paused_partition_hands_out_nothing,
    a_poll_returns_at_most_what_is_asked_for,
    consumers_of_a_group_share_its_partitions,
    a_revoked_partition_goes_with_the_next_poll,
    a_silent_consumer_loses_its_partitions,
];

async fn open(path: &Path, sharing: Sharing) -> EmbeddedBroker {
    let location = Location::File(path.to_path_buf());
    with_topics(EmbeddedBrokerOptions { sharing, lease: LEASE, ..EmbeddedBrokerOptions::new(location) }).await
}

/// A crash leaves the members of the dead process in the file, with leases that still run.
#[tokio::test]
async fn a_broker_that_has_its_file_for_itself_does_not_wait_for_consumers_of_a_dead_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let open_with_a_long_lease = || {
        let lease = Duration::from_hours(1);
        let location = Location::File(path.clone());
        with_topics(EmbeddedBrokerOptions { lease, ..EmbeddedBrokerOptions::new(location) })
    };
    let first = open_with_a_long_lease().await;
    let mut dead = first.subscribe("group", "t").await.unwrap();
    dead.poll(1, Duration::ZERO).await.unwrap();
    assert_eq!(dead.assigned().len(), 4);
    first.close().await;

    let second = open_with_a_long_lease().await;
    suite::publish(&second, vec![suite::record("t", "key", 1)]).await;
    let mut heir = second.subscribe("group", "t").await.unwrap();
    assert_eq!(suite::take(&mut *heir, 1).await.unwrap().len(), 1);
    assert_eq!(heir.assigned().len(), 4);
}

#[tokio::test]
async fn records_and_progress_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let first = open(&path, Sharing::Exclusive).await;
    suite::publish(&first, (0..10).map(|number| suite::record("t", "one key", number)).collect()).await;
    let mut consumer = first.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 10).await.unwrap();
    consumer.commit(suite::progress(&taken[..7])).await.unwrap();
    // Not closed: as after a crash, the old member still holds its partitions until its lease runs out.
    drop(consumer);
    first.close().await;

    let second = open(&path, Sharing::Exclusive).await;
    let acks = suite::publish(&second, vec![suite::record("t", "one key", 10)]).await;
    assert_eq!(acks[0].offset, 10);
    let mut consumer = second.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 4).await.unwrap();
    assert_eq!(taken.iter().map(|delivery| delivery.offset).collect::<Vec<_>>(), [7, 8, 9, 10]);
}

#[tokio::test]
async fn brokers_of_two_processes_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let (here, there) = (open(&path, Sharing::Shared).await, open(&path, Sharing::Shared).await);
    let mut first = here.subscribe("group", "t").await.unwrap();
    let mut second = there.subscribe("group", "t").await.unwrap();
    suite::settle(&mut [&mut first, &mut second], &[2, 2]).await.unwrap();
    // Published on one side, found by polling on the other.
    suite::publish(&there, (0..20).map(|number| suite::record("t", &number.to_string(), number)).collect())
        .await;
    let mut ids = std::collections::BTreeSet::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while ids.len() < 20 {
        assert!(tokio::time::Instant::now() < deadline, "{} records came", ids.len());
        for consumer in [&mut first, &mut second] {
            let polled = consumer.poll(20, Duration::from_millis(50)).await.unwrap();
            assert!(
                polled.records.into_iter().all(|delivery| ids.insert(delivery.record.id)),
                "a record came twice"
            );
        }
    }
}

#[tokio::test]
async fn a_closed_broker_says_so() {
    let broker = embedded().await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    broker.close().await;
    assert!(matches!(
        broker.publish_one(suite::record("t", "", 1)).await,
        Err(PublishError::Retryable(Error::Closed(_)))
    ));
    assert!(matches!(broker.ready().await, Err(Error::Closed(_))));
    assert!(matches!(broker.flush().await, Err(Error::Closed(_))));
    assert!(matches!(consumer.poll(1, Duration::from_secs(1)).await, Err(Error::Closed(_))));
}

#[tokio::test]
async fn one_call_publishes_to_several_topics() {
    let broker = embedded().await;
    let records = ["t", "order-events", "t"]
        .iter()
        .enumerate()
        .map(|(number, topic)| suite::record(topic, "k", number))
        .collect();
    let acks = suite::publish(&broker, records).await;
    assert_eq!(acks.iter().map(|ack| ack.offset).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn a_poll_that_is_given_up_loses_no_record() {
    let broker = embedded().await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    suite::publish(&broker, (0..50).map(|number| suite::record("t", &number.to_string(), number)).collect())
        .await;
    let mut came = 0;
    for _ in 0..200 {
        let poll = std::pin::pin!(consumer.poll(1, Duration::from_secs(1)));
        came += poll.poll_now().map_or(0, |polled| polled.unwrap().records.len());
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
fn set_clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000))
}

#[tokio::test]
async fn a_dead_member_is_missed_whatever_its_clock_said() {
    let folder = tempfile::tempdir().unwrap();
    let open_at = |time: &ManualClock| {
        let options = EmbeddedBrokerOptions {
            sharing: Sharing::Shared,
            lease: Duration::from_millis(200),
            clock: time.clock(),
            ..EmbeddedBrokerOptions::new(Location::File(folder.path().join("broker.db")))
        };
        with_topics(options)
    };
    let (right, ahead) = (set_clock(), set_clock());
    ahead.advance(Duration::from_hours(1));
    let first = open_at(&ahead).await;
    let mut dead = first.subscribe("group", "t").await.unwrap();
    dead.poll(1, Duration::ZERO).await.unwrap();
    assert_eq!(dead.assigned().len(), 4);
    drop(dead);
    first.close().await;

    // The clock was set right again while it was dead.
    let second = open_at(&right).await;
    suite::publish(&second, vec![suite::record("t", "key", 1)]).await;
    let mut heir = second.subscribe("group", "t").await.unwrap();
    assert_eq!(suite::take(&mut *heir, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_record_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    let broker = open(&path, Sharing::Exclusive).await;
    suite::publish(&broker, (0..3).map(|number| suite::record("t", "one key", number)).collect()).await;
    let damage = "UPDATE broker_records SET headers = x'ff' WHERE event_id = 't-1'";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(damage, ()).unwrap(), 1);
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 3).await.unwrap();
    assert_eq!(taken[0].record.id, "t-0");
    assert!(taken[1].record.header("damaged").is_some(), "{:?}", taken[1]);
    assert_eq!(taken[2].record.id, "t-2");
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_for_good_and_alone() {
    let options = EmbeddedBrokerOptions { max_record: 20, ..EmbeddedBrokerOptions::new(Location::Ephemeral) };
    let broker = with_topics(options).await;
    let sized = |number, bytes| Record { payload: vec![0; bytes], ..suite::record("t", "key", number) };
    let results = broker.publish(vec![sized(0, 17), sized(1, 18), sized(2, 17)]).await;
    assert!(matches!(&results[1], Err(PublishError::Refused(_))), "{results:?}");
    let offsets = [&results[0], &results[2]].map(|result| result.as_ref().unwrap().offset);
    assert_eq!(offsets, [0, 1]);
}

#[tokio::test]
async fn a_flush_waits_for_what_nobody_waits_for() {
    let broker = embedded().await;
    // The topic is known from here on, so the first poll of a later call hands its record to the writer.
    suite::publish(&broker, vec![suite::record("t", "key", 0)]).await;
    for number in 1..20 {
        let publishing = std::pin::pin!(broker.publish_one(suite::record("t", "key", number)));
        assert!(publishing.poll_now().is_none());
    }
    broker.flush().await.unwrap();
    let acks = suite::publish(&broker, vec![suite::record("t", "key", 20)]).await;
    assert_eq!(acks[0].offset, 20);
}

/// Records that were stored before they had a time of their own, in topics that were made by publishing.
#[tokio::test]
async fn records_of_an_older_version_are_read_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.db");
    open(&path, Sharing::Exclusive).await.close().await;
    let older = "ALTER TABLE broker_records DROP COLUMN timestamp;
                 ALTER TABLE broker_progress DROP COLUMN seen_at;
                 DROP TABLE broker_topics;
                 DELETE FROM broker_partitions;
                 DELETE FROM schema_migrations WHERE id >= '0003';
                 INSERT INTO broker_partitions (id, topic, number, next_offset) VALUES (1, 't', 0, 1);
                 INSERT INTO broker_records VALUES (1 << 40, 'old', 'key', x'00', x'', 1790000000123)";
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();

    let broker = open(&path, Sharing::Exclusive).await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 1).await.unwrap();
    assert_eq!(taken[0].record.id, "old");
    let stored_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123);
    assert_eq!(taken[0].record.timestamp, Some(stored_at));
    // It has the one partition that it had.
    let acks = suite::publish(&broker, (0..9).map(|number| suite::record("t", "", number)).collect()).await;
    assert!(acks.iter().all(|ack| ack.partition == 0), "{acks:?}");
}

async fn publish_sized(broker: &EmbeddedBroker, count: usize, bytes: usize) {
    let records =
        (0..count).map(|number| Record { payload: vec![0; bytes], ..suite::record("t", "one key", number) });
    suite::publish(broker, records.collect()).await;
}

#[tokio::test]
async fn consumed_records_are_deleted_when_they_are_old() {
    let time = set_clock();
    let broker = with_topics(EmbeddedBrokerOptions {
        clock: time.clock(),
        ..EmbeddedBrokerOptions::new(Location::Ephemeral)
    })
    .await;
    let retention = Retention { age: Some(Duration::from_hours(1)), bytes: None };
    broker.ensure_topics(vec![TopicSpec { retention, ..TopicSpec::new("t") }]).await.unwrap();
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
    assert_eq!(suite::publish(&broker, vec![suite::record("t", "one key", 10)]).await[0].offset, 10);
}

#[tokio::test]
async fn a_group_that_nobody_sees_any_more_holds_no_record_back() {
    let time = set_clock();
    let day = Duration::from_hours(24);
    let options = EmbeddedBrokerOptions {
        clock: time.clock(),
        // Each poll is a heartbeat.
        lease: Duration::ZERO,
        group_expiry: 7 * day,
        ..EmbeddedBrokerOptions::new(Location::Ephemeral)
    };
    let broker = with_topics(options).await;
    let retention = Retention { age: Some(day), bytes: None };
    broker.ensure_topics(vec![TopicSpec { retention, ..TopicSpec::new("t") }]).await.unwrap();
    publish_sized(&broker, 10, 10).await;
    let gone = broker.subscribe("gone", "t").await.unwrap();
    gone.close().await.unwrap();
    let mut reader = broker.subscribe("reader", "t").await.unwrap();
    let taken = suite::take(&mut *reader, 10).await.unwrap();
    reader.commit(suite::progress(&taken[..4])).await.unwrap();

    time.advance(6 * day);
    reader.poll(0, Duration::ZERO).await.unwrap();
    assert_eq!(broker.delete_consumed().await.unwrap(), 0, "it may come back");
    // The other one is seen again and again; what it has not read stays.
    time.advance(2 * day);
    tokio::time::pause();
    assert_eq!(broker.delete_consumed().await.unwrap(), 0, "the clock may have jumped");
    tokio::time::advance(Duration::from_hours(2)).await;
    reader.poll(0, Duration::ZERO).await.unwrap();
    assert_eq!(broker.delete_consumed().await.unwrap(), 4);

    // It begins with what is left when it comes back after all.
    let mut gone = broker.subscribe("gone", "t").await.unwrap();
    let left = suite::take(&mut *gone, 6).await.unwrap();
    assert_eq!(left[0].offset, 4);
}

#[tokio::test]
async fn consumed_records_are_deleted_when_they_are_too_much() {
    let broker =
        with_topics(EmbeddedBrokerOptions { ..EmbeddedBrokerOptions::new(Location::Ephemeral) }).await;
    let retention = Retention { age: None, bytes: Some(5_500) };
    broker.ensure_topics(vec![TopicSpec { retention, ..TopicSpec::new("t") }]).await.unwrap();
    publish_sized(&broker, 2_000, 10).await;
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    let taken = suite::take(&mut *consumer, 2_000).await.unwrap();
    consumer.commit(suite::progress(&taken)).await.unwrap();
    let deleted = broker.delete_consumed().await.unwrap();
    assert!((1_500..2_000).contains(&deleted), "{deleted}");
    assert_eq!(broker.delete_consumed().await.unwrap(), 0);
}

/// Retry topics are kept by the consume loop over every broker.
mod with_retry_topics {
    use std::sync::Arc;

    use waypost_durable::broker::{Broker as _, EmbeddedBroker};

    async fn embedded() -> Arc<EmbeddedBroker> {
        let broker = super::embedded().await;
        broker.ensure_topics(crate::retries::topics()).await.unwrap();
        Arc::new(broker)
    }

    crate::retries::on_a_broker!(embedded);
}
