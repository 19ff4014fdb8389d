//! One broker of two is away, and half of the partitions have no leader.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use waypost_durable::broker::{Broker as _, TopicSpec, partition_of};
use waypost_kafka::{Kafka, KafkaOptions};
use waypost_test_servers::own_kafka::OwnKafka;

use crate::faults::{Handled, assert_that_keys_keep_their_order, consume_slowly, end};
use crate::{at, eventually, suite};

/// A key of each of four partitions, in their order.
const KEYS: [&str; 4] = ["order-0", "order-6", "order-1", "order-2"];

/// The leader of each partition of a topic; -1: none.
fn leaders(looking: &BaseConsumer, topic: &str) -> Option<Vec<i32>> {
    let metadata = looking.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
    let partitions = metadata.topics().first()?.partitions();
    let mut leaders: Vec<(i32, i32)> =
        partitions.iter().map(|partition| (partition.id(), partition.leader())).collect();
    leaders.sort_unstable();
    Some(leaders.into_iter().map(|(_, leader)| leader).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_a_leader_holds_up_its_own_keys_alone() {
    assert_eq!(KEYS.map(|key| partition_of(key, 4)), [0, 1, 2, 3]);
    let mut own = OwnKafka::start();
    let options = KafkaOptions { publish_timeout: Duration::from_secs(1), ..at(&own.address()) };
    let looking: BaseConsumer = crate::kafka_itself::other_client(&options).create().unwrap();
    let broker = Kafka::new(options).unwrap();
    eventually("Kafka answers", || async { broker.check().await.is_ok().then_some(()) }).await;
    // The first group makes the topic of all offsets, which has to be where the controller is.
    broker.ensure_topics(vec![TopicSpec::new("before")]).await.unwrap();
    let mut member = broker.subscribe("group", "before").await.unwrap();
    suite::settle(&mut [&mut member], &[4]).await.unwrap();
    member.close().await.unwrap();
    let second = own.add_broker();
    broker.ensure_topics(vec![TopicSpec::new("t"), TopicSpec::new("t.dead-letter")]).await.unwrap();
    let led = leaders(&looking, "t").unwrap();
    assert_eq!(led.iter().filter(|leader| **leader == 1).count(), 2, "{led:?}");
    let is_led = |key: &str| led[partition_of(key, 4) as usize] == 1;

    let handled = Handled::default();
    let consuming = consume_slowly(&broker, &handled, Duration::ZERO);
    let records = |round: usize| {
        let of_key = |(number, key): (usize, &&str)| suite::record("t", key, round * KEYS.len() + number);
        KEYS.iter().enumerate().map(of_key).collect::<Vec<_>>()
    };
    suite::publish(&broker, records(0)).await;
    handled.until(4).await;

    own.kill_node(second);
    eventually("half have no leader", || async {
        let now = leaders(&looking, "t")?;
        (now.iter().filter(|leader| **leader == -1).count() == 2).then_some(())
    })
    .await;
    let results = broker.publish(records(1)).await;
    for (key, result) in std::iter::zip(KEYS, &results) {
        match result {
            Ok(_) => assert!(is_led(key), "{key} was taken by nobody"),
            Err(error) => assert!(error.is_retryable() && !is_led(key), "{key}: {error}"),
        }
    }
    handled.until(6).await;
    broker.ready().await.unwrap();

    // As a relay does, until it is taken.
    let waiting: Vec<_> = std::iter::zip(records(1), results)
        .filter(|(_, result)| result.is_err())
        .map(|(record, _)| record)
        .collect();
    own.start_node(second);
    for record in waiting {
        eventually("it is taken", || async { broker.publish_one(record.clone()).await.ok() }).await;
    }
    handled.until(8).await;
    end(consuming).await;
    assert_that_keys_keep_their_order(&handled);
}
