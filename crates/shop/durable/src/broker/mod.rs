//! The broker port: topics with partitions, records in order of their key, consumer groups with committed offsets.
//!
//! For the relay, which publishes, and for consume loops. The semantics are Kafka's, so that Kafka can stand behind the
//! same trait: at least once; order within a partition and so for each key; a group's partitions are shared among its
//! consumers; a commit says "everything below this offset is processed".
//!
//! [`EmbeddedBroker`] is the one for a single machine: durable, in one SQLite file. What every broker must do is tested by
//! the functions of `tests/it/suite.rs`.

mod embedded;
mod partition;
mod publish_error;
mod record;
mod topic;

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{Companion, Error};
pub use embedded::{EmbeddedBroker, EmbeddedBrokerOptions};
pub use partition::partition_of;
pub use publish_error::PublishError;
pub use record::{Ack, Delivery, Headers, KIND_HEADER, OffsetCommit, Polled, Progress, Record};
pub use topic::{Retention, TopicSpec};

/// A broker. Shared as `Arc<dyn Broker>`.
pub trait Broker: Send + Sync + 'static {
    /// Its name in spans (`messaging.system`).
    fn system(&self) -> &'static str;

    /// Makes the topics that are missing. One that exists keeps its partitions, because another number of them would
    /// break the order of its keys; its retention becomes the one given.
    ///
    /// To be called before anything is published to them or read from them.
    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), Error>>;

    /// Publishes records, each to the partition of [`partition_of`] its key, and answers when it is known of each
    /// whether it is durable: one result per record, in their order.
    ///
    /// Records fail one by one, and one may be taken although an earlier one of its key was not. Whoever needs the order
    /// of a key publishes its next record after the one before was taken. After [`PublishError::Retryable`] the record
    /// may be in the topic all the same; publishing it again may repeat it.
    ///
    /// Cancel safety: dropping the future recalls nothing. What may still be on its way is waited for by
    /// [`Broker::flush`].
    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Vec<Result<Ack, PublishError>>>;

    /// As [`Broker::publish`], with what is to be done when records are taken. It is told their places in `records`, and is part of
    /// the unit that takes them if the broker has one that it fits: then both are done or neither. The answer says whether it
    /// fitted; if not, it is for the caller to do.
    fn publish_with(
        &self,
        records: Vec<Record>,
        then: Companion<Vec<usize>>,
    ) -> BoxFuture<'_, (Vec<Result<Ack, PublishError>>, IsDone)> {
        drop(then);
        Box::pin(async move { (self.publish(records).await, IsDone(false)) })
    }

    /// Publishes one record, as [`Broker::publish`].
    fn publish_one(&self, record: Record) -> BoxFuture<'_, Result<Ack, PublishError>> {
        Box::pin(async move {
            let result = self.publish(vec![record]).await.pop();
            result.unwrap_or_else(|| Err(PublishError::unanswered()))
        })
    }

    /// Joins a consumer group of a topic that exists. A new group begins with the oldest record.
    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>>;

    /// Whether it answers now. Cheap; for readiness checks.
    fn ready(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits until no record is on its way any more: each was taken, or will never be.
    ///
    /// Cancel safe.
    fn flush(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Flushes and ends it; every other call fails with [`Error::Closed`] from then on. Repeating it waits for the same
    /// end.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Whether what was to be done with records is done for all that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsDone(pub bool);

/// A member of a consumer group.
///
/// It holds its partitions only while it is polled: one that is not polled for longer than the broker's lease (Kafka's
/// `max.poll.interval.ms`) counts as dead, whatever it does meanwhile, and others take its partitions. Dropping one without
/// [`Consumer::close`] has the same effect.
pub trait Consumer: Send {
    /// Returns the next records, at most `max` in all, as soon as there are any; none after `wait` or when the partitions
    /// changed. A partition's records come in order and once, until it changes hands. With a `max` of 0 it only keeps
    /// what it holds.
    ///
    /// A partition that is to go to another consumer is named in [`Polled::revoked`]. It hands out no more records, and
    /// goes with the next call of this method or of [`Consumer::close`]: before that, whoever handles its records stops,
    /// and what is done is committed.
    ///
    /// Cancel safe: a dropped future loses no record and no revocation.
    fn poll(&mut self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Polled, Error>>;

    /// Commits progress: takes each offset as it is, also one that is lower than what was committed; but what a record's own unit
    /// has committed ([`Delivery::committing`]) is not taken back.
    ///
    /// [`Error::Fenced`]: the commit was rejected, because something of it is not this consumer's any more or is changing
    /// hands. All, some or none of it may be committed. The next poll names what was lost; what is still held can be
    /// committed again after it.
    fn commit(&mut self, progress: Vec<Progress>) -> BoxFuture<'_, Result<(), Error>>;

    /// Stops handing out records of a partition, until [`Consumer::resume`] or until it has changed hands.
    fn pause(&mut self, partition: u32);

    /// Hands out records of a paused partition again.
    fn resume(&mut self, partition: u32);

    /// The partitions it holds, as of the last poll, in rising order.
    fn assigned(&self) -> Vec<u32>;

    /// Leaves the group, so that others take over at once.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}
