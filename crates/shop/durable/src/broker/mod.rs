//! The broker port: topics with partitions, records in order of their key, consumer groups with committed offsets.
//!
//! For the relay, which publishes, and for consume loops. The semantics are Kafka's, so that Kafka can stand behind the
//! same trait: at least once; order within a partition and so for each key; a group's partitions are shared among its
//! consumers; a commit says "everything below this offset is processed".
//!
//! - [`EmbeddedBroker`]: durable, in one SQLite file, for one machine.
//! - [`MemoryBroker`]: the same in memory, for simulation and tests.

mod assignment;
mod embedded;
mod membership;
mod memory;
mod record;
#[doc(hidden)]
pub mod suite;

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::Error;
pub use embedded::{EmbeddedBroker, EmbeddedBrokerOptions, Retention};
pub use memory::{MemoryBroker, MemoryBrokerOptions};
pub use record::{Ack, Delivery, Headers, KIND_HEADER, Progress, Record, partition_of};

/// A broker. Shared as `Arc<dyn Broker>`.
pub trait Broker: Send + Sync + 'static {
    /// Its name in spans (`messaging.system`).
    fn system(&self) -> &'static str;

    /// Publishes records in their order and answers when all of them are durable, with their places in the same order.
    ///
    /// After an error any of them may be in the topic; publishing all of them again in the same order keeps the order
    /// of each key, with repetitions. Dropping the future recalls nothing.
    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Vec<Ack>, Error>>;

    /// Joins a consumer group. A topic that does not exist is made. A new group begins with the oldest record.
    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>>;
}

/// A member of a consumer group.
///
/// It holds its partitions only while it is polled: a consumer that is not polled for longer than the broker's lease
/// counts as dead, and others take its partitions. Dropping one without [`Consumer::close`] has the same effect.
pub trait Consumer: Send {
    /// Returns the next records, at most `max` of each partition, as soon as there are any; an empty list after `wait`
    /// or when the partitions changed. A partition's records come in order and once, until it changes hands.
    ///
    /// Cancel safe: a dropped future loses no record.
    fn poll(&mut self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Delivery>, Error>>;

    /// Commits progress. [`Error::Fenced`] names the partitions that belong to another consumer by now; those that are
    /// still this one's are committed even then. A lower offset than the committed one changes nothing.
    fn commit(&mut self, progress: Vec<Progress>) -> BoxFuture<'_, Result<(), Error>>;

    /// Stops handing out records of a partition, until [`Consumer::resume`].
    fn pause(&mut self, partition: u32);

    /// Hands out records of a paused partition again.
    fn resume(&mut self, partition: u32);

    /// The partitions it holds, as of the last poll, in rising order.
    fn assigned(&self) -> Vec<u32>;

    /// Leaves the group, so that others take over at once.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}
