//! What Kafka must do behind the broker port, against a real one.
//!
//! `TEST_KAFKA` names its address (`host:port`); `cargo xtask test` starts one. Each test has topics and groups of its own.

#![allow(clippy::unwrap_used, reason = "what tests call is a test too")]

mod contract;
#[path = "../../../durable/tests/it/suite.rs"]
mod suite;

use std::time::Duration;

use waypost_durable::broker::{Broker as _, TopicSpec};
use waypost_kafka::{Kafka, KafkaOptions};

/// The shortest lease that Kafka allows as it comes.
const LEASE: Duration = Duration::from_secs(6);

/// The address of the Kafka for tests.
fn address() -> String {
    std::env::var("TEST_KAFKA")
        .expect("TEST_KAFKA names no Kafka: run `cargo xtask test`, or start one and set it")
}

/// Names of its own, and short leases.
fn options(address: &str) -> KafkaOptions {
    KafkaOptions {
        prefix: format!("{}.", uuid::Uuid::now_v7()),
        session_timeout: LEASE,
        lease: LEASE,
        ..KafkaOptions::new([address])
    }
}

/// A broker with the topics `order-events` and `t`.
async fn kafka() -> Kafka {
    let broker = Kafka::new(options(&address())).unwrap();
    broker.ensure_topics(["order-events", "t"].map(TopicSpec::new).into()).await.unwrap();
    broker
}
