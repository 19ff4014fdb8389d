//! What every broker must do, as functions that its tests call.
//!
//! For the tests of every implementation of the port. Each function takes a broker whose leases are short (a second or
//! two) and the name of a topic of four partitions that nothing else uses. They panic when the broker breaks the contract
//! and return its errors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use waypost_durable::Error;
use waypost_durable::broker::{
    Ack, Broker, Consumer, Delivery, Progress, PublishError, Record, Retention, TopicSpec, partition_of,
};

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// One poll of a loop.
const POLL: Duration = Duration::from_millis(200);

/// A key of each of four partitions.
const KEY_OF_EACH: [&str; 4] = ["order-0", "order-6", "order-1", "order-2"];

/// A record with everything set. `number` makes it unique.
pub(crate) fn record(topic: &str, key: &str, number: usize) -> Record {
    Record {
        topic: topic.to_owned(),
        key: key.to_owned(),
        payload: format!("payload {number}").into_bytes(),
        headers: vec![
            ("number".to_owned(), number.to_string().into_bytes()),
            ("empty".to_owned(), Vec::new()),
        ],
        id: format!("{topic}-{number}"),
        timestamp: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123 + number as u64)),
    }
}

/// Publishes records that the broker must take.
pub(crate) async fn publish(broker: &dyn Broker, records: Vec<Record>) -> Vec<Ack> {
    let published = broker.publish(records).await;
    published
        .into_iter()
        .map(|result| result.unwrap_or_else(|error| panic!("not taken: {error:?}")))
        .collect()
}

/// Polls until `count` records have come, and a little longer so that one too many is noticed.
pub(crate) async fn take(consumer: &mut dyn Consumer, count: usize) -> Result<Vec<Delivery>, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut taken = Vec::new();
    while taken.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} records came", taken.len());
        taken.extend(consumer.poll(count, POLL).await?.records);
    }
    taken.extend(consumer.poll(1, Duration::ZERO).await?.records);
    assert_eq!(taken.len(), count, "more records came than were expected");
    Ok(taken)
}

/// The progress that commits all of these deliveries.
pub(crate) fn progress(deliveries: &[Delivery]) -> Vec<Progress> {
    let mut next_offsets = BTreeMap::new();
    for delivery in deliveries {
        let next = next_offsets.entry(delivery.partition).or_insert(0);
        *next = (delivery.offset + 1).max(*next);
    }
    next_offsets.into_iter().map(|(partition, next_offset)| Progress { partition, next_offset }).collect()
}

/// Polls all consumers in turn until each holds as many partitions as `shares` says.
pub(crate) async fn settle(
    consumers: &mut [&mut Box<dyn Consumer>],
    shares: &[usize],
) -> Result<Vec<Delivery>, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut taken = Vec::new();
    loop {
        let assigned: Vec<Vec<u32>> = consumers.iter().map(|consumer| consumer.assigned()).collect();
        if assigned.iter().map(Vec::len).eq(shares.iter().copied()) {
            let distinct: BTreeSet<&u32> = assigned.iter().flatten().collect();
            assert_eq!(
                distinct.len(),
                shares.iter().sum::<usize>(),
                "a partition has two holders: {assigned:?}"
            );
            return Ok(taken);
        }
        assert!(Instant::now() < deadline, "partitions {assigned:?} instead of {shares:?}");
        for consumer in consumers.iter_mut() {
            taken.extend(consumer.poll(100, Duration::from_millis(20)).await?.records);
        }
    }
}

/// What was published comes back whole.
pub(crate) async fn a_record_comes_back_as_it_was_published(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let sent = record(topic, "key", 1);
    let acks = publish(broker, vec![sent.clone()]).await;
    let mut consumer = broker.subscribe("group", topic).await?;
    let taken = take(&mut *consumer, 1).await?;
    let delivery = taken.first().cloned();
    assert_eq!(delivery.as_ref().map(|delivery| &delivery.record), Some(&sent));
    assert_eq!(
        delivery.as_ref().map(|delivery| (delivery.partition, delivery.offset)),
        acks.first().map(|ack| (ack.partition, ack.offset))
    );
    assert_eq!(delivery.map(|delivery| delivery.attempt), Some(1));
    consumer.close().await
}

/// A record is in the partition of its key.
pub(crate) async fn a_record_goes_to_the_partition_of_its_key(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let keys = ["21", "foobar", "abc", "order-1", "order-2"];
    let records = keys.iter().enumerate().map(|(number, key)| record(topic, key, number)).collect();
    let partitions: Vec<u32> = publish(broker, records).await.into_iter().map(|ack| ack.partition).collect();
    assert_eq!(partitions, keys.map(|key| partition_of(key, 4)));
    Ok(())
}

/// A topic that exists keeps its partitions and its records.
pub(crate) async fn a_topic_that_exists_keeps_its_partitions(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    publish(broker, vec![record(topic, "key", 1)]).await;
    let wider = TopicSpec { partitions: 9, retention: Retention::FOREVER, ..TopicSpec::new(topic) };
    broker.ensure_topics(vec![wider]).await?;
    let acks =
        publish(broker, (0..40).map(|number| record(topic, &number.to_string(), number)).collect()).await;
    assert!(acks.iter().all(|ack| ack.partition < 4), "{acks:?}");
    let mut consumer = broker.subscribe("group", topic).await?;
    take(&mut *consumer, 41).await?;
    consumer.close().await
}

/// What is published to a topic that does not exist is not lost: it can be tried again.
pub(crate) async fn a_missing_topic_is_a_reason_to_try_again(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let other = format!("{topic}-other");
    let results = broker.publish(vec![record(topic, "key", 1), record(&other, "key", 2)]).await;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(results[1].as_ref().is_err_and(PublishError::is_retryable), "{results:?}");
    broker.ensure_topics(vec![TopicSpec::new(&other)]).await?;
    publish(broker, vec![record(&other, "key", 2)]).await;
    Ok(())
}

/// Offsets begin with 0 and leave nothing out, and records with one key stay in order.
pub(crate) async fn offsets_are_dense_and_keys_keep_their_order(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut offsets: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for batch in 0..5 {
        let numbers = batch * 20..(batch + 1) * 20;
        let records = numbers.map(|number| record(topic, keys[number % keys.len()], number)).collect();
        for ack in publish(broker, records).await {
            offsets.entry(ack.partition).or_default().push(ack.offset);
        }
    }
    for (partition, offsets) in &offsets {
        let dense: Vec<u64> = (0..offsets.len() as u64).collect();
        assert_eq!(*offsets, dense, "partition {partition}");
    }

    let mut consumer = broker.subscribe("group", topic).await?;
    let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for delivery in take(&mut *consumer, 100).await? {
        let number = delivery.record.header("number").and_then(|number| number.parse().ok());
        numbers.entry(delivery.record.key).or_default().extend::<Option<usize>>(number);
    }
    for (key, numbers) in numbers {
        assert!(numbers.is_sorted(), "records of key {key} out of order: {numbers:?}");
    }
    consumer.close().await
}

/// Each group gets every record.
pub(crate) async fn every_group_gets_every_record(broker: &dyn Broker, topic: &str) -> Result<(), Error> {
    publish(broker, (0..10).map(|number| record(topic, &number.to_string(), number)).collect()).await;
    for group in ["first", "second"] {
        let mut consumer = broker.subscribe(group, topic).await?;
        take(&mut *consumer, 10).await?;
        consumer.close().await?;
    }
    Ok(())
}

/// A later member goes on where the group committed, and gets again what was not committed.
pub(crate) async fn what_is_committed_does_not_come_again(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    publish(broker, (0..6).map(|number| record(topic, "one key", number)).collect()).await;
    let mut first = broker.subscribe("group", topic).await?;
    let taken = take(&mut *first, 6).await?;
    let (processed, rest) = taken.split_at(4);
    first.commit(progress(processed)).await?;
    first.close().await?;

    let mut second = broker.subscribe("group", topic).await?;
    assert_eq!(take(&mut *second, 2).await?, rest);
    second.close().await
}

/// A poll that waits ends when a record comes, not when its time is over.
pub(crate) async fn a_waiting_consumer_is_woken_by_a_record(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let mut consumer = broker.subscribe("group", topic).await?;
    settle(&mut [&mut consumer], &[4]).await?;
    let started = Instant::now();
    let (polled, published) = tokio::join!(consumer.poll(1, PATIENCE), async {
        tokio::task::yield_now().await;
        publish(broker, vec![record(topic, "key", 1)]).await
    });
    assert_eq!(published.len(), 1);
    let waited = started.elapsed();
    assert_eq!(polled?.records.len(), 1);
    assert!(waited < PATIENCE / 4, "woken after {waited:?}");
    consumer.close().await
}

/// A paused partition keeps its records; they come after it is resumed.
pub(crate) async fn a_paused_partition_hands_out_nothing(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let mut consumer = broker.subscribe("group", topic).await?;
    settle(&mut [&mut consumer], &[4]).await?;
    let acks = publish(broker, vec![record(topic, "key", 1), record(topic, "key", 2)]).await;
    let partition = acks.first().map(|ack| ack.partition).unwrap_or_default();
    consumer.pause(partition);
    assert_eq!(consumer.poll(10, POLL).await?.records, []);
    consumer.resume(partition);
    take(&mut *consumer, 2).await?;
    consumer.close().await
}

/// Two members of a group hold different partitions, all of them together; a member that leaves gives its away at once.
pub(crate) async fn consumers_of_a_group_share_its_partitions(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let mut first = broker.subscribe("group", topic).await?;
    settle(&mut [&mut first], &[4]).await?;
    let mut second = broker.subscribe("group", topic).await?;
    settle(&mut [&mut first, &mut second], &[2, 2]).await?;

    publish(broker, (0..40).map(|number| record(topic, &number.to_string(), number)).collect()).await;
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeMap::new();
    while seen.len() < 40 {
        assert!(Instant::now() < deadline, "{} of 40 records came", seen.len());
        for consumer in [&mut first, &mut second] {
            for delivery in consumer.poll(40, POLL / 4).await?.records {
                *seen.entry(delivery.record.id).or_insert(0) += 1;
            }
        }
    }
    assert!(seen.values().all(|&times| times == 1), "a record came to both: {seen:?}");

    second.close().await?;
    settle(&mut [&mut first], &[4]).await?;
    first.close().await
}

/// A poll returns no more than it was asked for, of all partitions together, and each has its turn, although none ever
/// runs dry.
pub(crate) async fn a_poll_returns_at_most_what_is_asked_for(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let mut consumer = broker.subscribe("group", topic).await?;
    settle(&mut [&mut consumer], &[4]).await?;
    let deadline = Instant::now() + PATIENCE;
    let mut seen = BTreeSet::new();
    for round in 0.. {
        assert!(Instant::now() < deadline, "a partition has to wait for all others: {seen:?}");
        // More for each partition than a poll takes of all.
        let records = KEY_OF_EACH
            .iter()
            .flat_map(|key| (0..3).map(move |number| record(topic, key, 3 * round + number)));
        publish(broker, records.collect()).await;
        let records = consumer.poll(2, POLL).await?.records;
        assert!(records.len() <= 2, "{}", records.len());
        seen.extend(records.iter().map(|delivery| delivery.partition));
        if seen.len() == 4 {
            break;
        }
    }
    consumer.close().await
}

/// A partition that is named as revoked is this consumer's until its next poll: what is committed before counts, and nobody
/// else has it.
pub(crate) async fn a_revoked_partition_goes_with_the_next_poll(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let mut first = broker.subscribe("group", topic).await?;
    settle(&mut [&mut first], &[4]).await?;
    publish(broker, (0..40).map(|number| record(topic, &number.to_string(), number)).collect()).await;
    let taken = take(&mut *first, 40).await?;

    let mut second = broker.subscribe("group", topic).await?;
    let deadline = Instant::now() + PATIENCE;
    let revoked = loop {
        assert!(Instant::now() < deadline, "nothing is revoked although a second consumer joined");
        second.poll(10, POLL / 10).await?;
        let polled = first.poll(10, POLL / 10).await?;
        assert_eq!(polled.records, []);
        if !polled.revoked.is_empty() {
            break polled.revoked;
        }
    };
    second.poll(10, POLL).await?;
    assert!(
        second.assigned().iter().all(|partition| !revoked.contains(partition)),
        "{:?}",
        second.assigned()
    );
    let is_revoked = |delivery: &&Delivery| revoked.contains(&delivery.partition);
    let done: Vec<Delivery> = taken.iter().filter(is_revoked).cloned().collect();
    first.commit(progress(&done)).await?;
    let again = settle(&mut [&mut first, &mut second], &[2, 2]).await?;
    assert_eq!(again, [], "what was committed before the next poll does not come again");
    first.close().await?;
    second.close().await
}

/// The partitions of a member that went silent go to the others, with what it did not commit; its own commit, should it
/// wake up, is refused.
pub(crate) async fn a_silent_consumer_loses_its_partitions(
    broker: &dyn Broker,
    topic: &str,
) -> Result<(), Error> {
    let mut silent = broker.subscribe("group", topic).await?;
    publish(broker, (0..20).map(|number| record(topic, &number.to_string(), number)).collect()).await;
    let taken = take(&mut *silent, 20).await?;
    let committed: Vec<Delivery> = taken.iter().filter(|delivery| delivery.partition == 0).cloned().collect();
    silent.commit(progress(&committed)).await?;

    let mut heir = broker.subscribe("group", topic).await?;
    let again = settle(&mut [&mut heir], &[4]).await?;
    let mut again: Vec<String> = again.into_iter().map(|delivery| delivery.record.id).collect();
    let left = 20 - committed.len();
    again.extend(take(&mut *heir, left - again.len()).await?.into_iter().map(|delivery| delivery.record.id));
    let expected: BTreeSet<&String> =
        taken.iter().filter(|delivery| delivery.partition != 0).map(|delivery| &delivery.record.id).collect();
    assert_eq!(again.iter().collect::<BTreeSet<_>>(), expected);

    let stale = silent.commit(progress(&taken)).await;
    assert!(matches!(stale, Err(Error::Fenced { .. })), "a stale commit was accepted: {stale:?}");
    let held: BTreeSet<u32> = taken.iter().map(|delivery| delivery.partition).collect();
    let lost = silent.poll(10, POLL).await?.revoked;
    assert_eq!(lost.into_iter().collect::<BTreeSet<u32>>(), held, "the next poll names what was lost");
    silent.close().await?;
    heir.close().await?;

    let mut third = broker.subscribe("group", topic).await?;
    let later = settle(&mut [&mut third], &[4]).await?;
    assert_eq!(
        later.len() + take(&mut *third, left - later.len()).await?.len(),
        left,
        "the stale commit had an effect"
    );
    third.close().await
}
