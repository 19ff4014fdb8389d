//! The real servers that tests talk to, and a place of one's own on each of them.
//!
//! For the tests of all crates, so it stands on nothing of ours. `cargo xtask test` starts PostgreSQL, Redis, Memcached, Kafka, NATS, RabbitMQ and a
//! server of MongoDB's protocol on this machine and leads the tests to them by variables: [`POSTGRES`], [`REDIS`], [`MEMCACHED`], [`KAFKA`],
//! [`NATS`], [`RABBITMQ`], [`MONGODB`]. A test takes a [`postgres::Database`], [`redis::Keys`], [`kafka::Topics`],
//! [`nats::Subjects`], [`rabbitmq::Queues`] or [`mongodb::Database`] of its own, so that tests side by side do not meet.
//!
//! Invariant: a test that needs a server which is not there fails and says how to run it. It is never left out silently.
#![allow(clippy::missing_panics_doc, reason = "a test helper that cannot do its work fails the test")]
#![allow(clippy::panic, reason = "a test helper that cannot do its work fails the test")]

mod child;
pub mod etcd;
pub mod explain;
pub mod front;
pub mod kafka;
pub mod memcached;
pub mod mongodb;
pub mod nats;
pub mod own_kafka;
pub mod own_postgres;
pub mod postgres;
pub mod proxy;
pub mod rabbitmq;
pub mod redis;
pub mod small_disk;

pub use child::free_port;

/// A superuser's URL of PostgreSQL, such as `postgres://postgres@127.0.0.1:41234/postgres`.
pub const POSTGRES: &str = "TEST_POSTGRES_URL";
/// The folder of PostgreSQL's programs, for a test that starts one of its own ([`own_postgres::OwnPostgres`]).
pub const POSTGRES_BIN: &str = "TEST_POSTGRES_BIN";
/// The URL of a Redis, such as `redis://127.0.0.1:41235`.
pub const REDIS: &str = "TEST_REDIS_URL";
/// The program `redis-server`, for tests that need a server of their own.
pub const REDIS_SERVER: &str = "TEST_REDIS_SERVER";
/// The URL of a Memcached, such as `tcp://127.0.0.1:41237`.
pub const MEMCACHED: &str = "TEST_MEMCACHED_URL";
/// The program `memcached`, for tests that need a server of their own.
pub const MEMCACHED_SERVER: &str = "TEST_MEMCACHED_SERVER";
/// The program `etcd`, for tests that start one of their own.
pub const ETCD_SERVER: &str = "TEST_ETCD_SERVER";
/// The bootstrap address of a Kafka, such as `127.0.0.1:41236`.
pub const KAFKA: &str = "TEST_KAFKA";
/// The jars of Kafka, as `java -cp` takes them, for a test that starts one of its own ([`own_kafka::OwnKafka`]).
pub const KAFKA_CLASS_PATH: &str = "TEST_KAFKA_CLASS_PATH";
/// The URL of a NATS with JetStream, such as `nats://127.0.0.1:41237`.
pub const NATS: &str = "TEST_NATS_URL";
/// The program `nats-server`, for tests that start one of their own.
pub const NATS_SERVER: &str = "TEST_NATS_SERVER";
/// The URL of a RabbitMQ, such as `amqp://guest:guest@127.0.0.1:41238`.
pub const RABBITMQ: &str = "TEST_RABBITMQ_URL";
/// The program that starts a RabbitMQ in a folder, for tests that start one of their own.
pub const RABBITMQ_SERVER: &str = "TEST_RABBITMQ_SERVER";
/// The URL of a server of MongoDB's wire protocol, such as `mongodb://127.0.0.1:41239`.
pub const MONGODB: &str = "TEST_MONGODB_URL";
/// Its classes, as `java -cp` takes them, for tests that start one of their own.
pub const MONGODB_CLASS_PATH: &str = "TEST_MONGODB_CLASS_PATH";

/// What a variable of the test run says.
fn variable(name: &str) -> String {
    read(name, std::env::var(name).ok()).unwrap_or_else(|reason| panic!("{reason}"))
}

fn read(name: &str, value: Option<String>) -> Result<String, String> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        format!(
            "{name} is not set, and this test needs that server: run it through `cargo xtask test` or \
             `cargo xtask stack run cargo test ...`"
        )
    })
}

/// A name that no other test has, of lower-case letters, digits and `_`: `test_` and 32 digits.
fn own_name() -> String {
    format!("test_{}", uuid::Uuid::now_v7().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_told_with_what_to_do() {
        for absent in [None, Some(String::new())] {
            assert_eq!(
                read(REDIS, absent).unwrap_err(),
                "TEST_REDIS_URL is not set, and this test needs that server: run it through `cargo xtask test` or \
                 `cargo xtask stack run cargo test ...`"
            );
        }
        assert_eq!(read(REDIS, Some("redis://127.0.0.1:1".to_owned())).unwrap(), "redis://127.0.0.1:1");
    }
}
