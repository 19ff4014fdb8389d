//! Whatever is published, handed out and committed in whatever order: no record is lost, none is handed out twice
//! without reason, and offsets stay dense.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use waypost_durable::Location;
use waypost_durable::broker::{
    Broker, Consumer, EmbeddedBroker, EmbeddedBrokerOptions, Polled, Progress, TopicSpec,
};

use super::suite;

#[derive(Clone, Debug)]
enum Step {
    /// Publish records with these keys.
    Publish(Vec<u8>),
    /// Poll for at most this many records.
    Poll(usize),
    /// Commit this much of what was handed out of a partition.
    Commit { partition: u32, percent: u64 },
    /// Leave the group and join it again.
    Rejoin,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop::collection::vec(0..12_u8, 1..8).prop_map(Step::Publish),
        3 => (1..6_usize).prop_map(Step::Poll),
        3 => (0..4_u32, 0..=110_u64).prop_map(|(partition, percent)| Step::Commit { partition, percent }),
        1 => Just(Step::Rejoin),
    ];
    prop::collection::vec(step, 1..40)
}

/// What the broker must have done, told by the simplest means.
#[derive(Default)]
struct Model {
    /// Ids of each partition, in order.
    published: BTreeMap<u32, Vec<String>>,
    handed_out: BTreeMap<u32, u64>,
    committed: BTreeMap<u32, u64>,
}

async fn join(broker: &dyn Broker) -> Box<dyn Consumer> {
    let mut consumer = broker.subscribe("group", "t").await.unwrap();
    // The first poll that changes the partitions returns without records.
    assert_eq!(consumer.poll(1, Duration::ZERO).await.unwrap(), Polled::default());
    assert_eq!(consumer.assigned(), [0, 1, 2, 3]);
    consumer
}

async fn check(broker: Arc<dyn Broker>, steps: Vec<Step>) {
    let mut model = Model::default();
    let mut consumer = join(&*broker).await;
    let mut number = 0;
    for step in steps {
        match step {
            Step::Publish(keys) => {
                let records: Vec<_> = keys
                    .iter()
                    .map(|key| {
                        number += 1;
                        suite::record("t", &format!("key {key}"), number)
                    })
                    .collect();
                let acks = suite::publish(&*broker, records.clone()).await;
                for (record, ack) in records.into_iter().zip(acks) {
                    let partition = model.published.entry(ack.partition).or_default();
                    assert_eq!(ack.offset, partition.len() as u64, "offsets are dense");
                    partition.push(record.id);
                }
            }
            Step::Poll(max) => {
                let records = consumer.poll(max, Duration::ZERO).await.unwrap().records;
                assert!(records.len() <= max);
                for delivery in records {
                    let next = model.handed_out.entry(delivery.partition).or_default();
                    assert_eq!(delivery.offset, *next, "partition {} in order", delivery.partition);
                    let place = usize::try_from(delivery.offset).unwrap();
                    assert_eq!(delivery.record.id, model.published[&delivery.partition][place]);
                    *next += 1;
                }
            }
            Step::Commit { partition, percent } => {
                let handed_out = model.handed_out.get(&partition).copied().unwrap_or_default();
                let next_offset = handed_out * percent / 100;
                consumer.commit(vec![Progress { partition, next_offset }]).await.unwrap();
                // As it is told, also back, but never beyond what was handed out.
                model.committed.insert(partition, next_offset.min(handed_out));
            }
            Step::Rejoin => {
                consumer.close().await.unwrap();
                consumer = join(&*broker).await;
                model.handed_out = model.committed.clone();
            }
        }
    }
    // In the end everything beyond the committed offsets comes, and nothing else.
    consumer.close().await.unwrap();
    let mut consumer = join(&*broker).await;
    let left: u64 = model
        .published
        .iter()
        .map(|(partition, ids)| {
            ids.len() as u64 - model.committed.get(partition).copied().unwrap_or_default()
        })
        .sum();
    let taken = suite::take(&mut *consumer, usize::try_from(left).unwrap()).await.unwrap();
    for delivery in taken {
        let committed = model.committed.entry(delivery.partition).or_default();
        assert_eq!(delivery.offset, *committed);
        *committed += 1;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_broker_keeps_its_offsets(steps in steps()) {
        let options = EmbeddedBrokerOptions::new(Location::Ephemeral);
        runtime().block_on(async {
            let broker = EmbeddedBroker::open(options).unwrap();
            broker.ensure_topics(vec![TopicSpec::new("t")]).await.unwrap();
            check(Arc::new(broker), steps).await;
        });
    }
}
