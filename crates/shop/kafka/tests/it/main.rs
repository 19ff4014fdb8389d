//! What Kafka must do behind the broker port, against a real one.
//!
//! `cargo xtask test` starts one, and `TEST_KAFKA` names its address. Each test has topics and groups of its own.

#![allow(clippy::unwrap_used, reason = "what tests call is a test too")]

mod contract;
mod dead_letters;
mod faults;
mod foreign;
mod kafka_itself;
mod leaderless;
#[path = "../../../durable/tests/it/retries.rs"]
mod retries;
mod secured;
#[path = "../../../durable/tests/it/suite.rs"]
mod suite;

use std::time::Duration;

use waypost_durable::broker::{Broker as _, TopicSpec};
use waypost_kafka::{Kafka, KafkaOptions};
use waypost_test_servers::kafka::Topics;

/// The shortest lease that Kafka allows as it comes.
const LEASE: Duration = Duration::from_secs(6);

/// Names of its own on the Kafka of the test run, and short leases.
fn options() -> KafkaOptions {
    let own = Topics::own();
    KafkaOptions { prefix: own.name(""), ..at(own.bootstrap()) }
}

/// Short leases at an address.
fn at(address: &str) -> KafkaOptions {
    KafkaOptions { session_timeout: LEASE, lease: LEASE, ..KafkaOptions::new([address]) }
}

/// A broker with the topics `order-events` and `t`.
async fn kafka() -> Kafka {
    with_topics(options()).await
}

async fn with_topics(options: KafkaOptions) -> Kafka {
    let broker = Kafka::new(options).unwrap();
    broker.ensure_topics(["order-events", "t", "t.dead-letter"].map(TopicSpec::new).into()).await.unwrap();
    broker
}

/// Waits until `probe` gives a value; panics after a minute.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
