//! Kafka behind the broker port of `waypost-durable`: what carries events where one machine is not enough.
//!
//! For the binary, which chooses a broker by its configuration. Works with Apache Kafka 3 and 4, by way of librdkafka,
//! which is built from its source and linked in.
//!
//! Keys, values, headers and timestamps are those of any Kafka client, and a key's partition is that of Kafka's own
//! clients; the event's id is the header [`ID_HEADER`].
//!
//! Invariants: a record that was acknowledged is on all replicas that are in sync; records of a key keep their order,
//! over retries too; an offset is committed only by the member that holds the partition.
//!
//! Left out: transactions over topics (but for replays of dead letters), Kerberos.

mod broker;
mod consumer;
mod dead_letters;
mod options;
mod producer;
mod record;
mod topics;
mod trouble;

pub use broker::{Kafka, Problem};
pub use dead_letters::REPLAYS_TOPIC;
pub use options::{KafkaOptions, Mechanism, Sasl, Tls};
pub use record::ID_HEADER;
