//! The embedded broker with what tests need beside it: it can be away, and what is in it can be looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tempfile::TempDir;
use waypost_durable::broker::{
    Ack, Broker, Consumer, EmbeddedBroker, EmbeddedBrokerOptions, Polled, Progress, PublishError, Record,
    TopicSpec,
};
use waypost_durable::{Error, Location};

/// Short, so that a silent consumer counts as dead within a test's time-out.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// Cheap to clone; clones are one broker.
#[derive(Clone)]
pub(crate) struct TestBroker {
    inner: EmbeddedBroker,
    folder: Arc<TempDir>,
    switch: Arc<Switch>,
}

#[derive(Default)]
struct Switch {
    is_away: AtomicBool,
    refused: AtomicU64,
    looks: AtomicU64,
    revoked: AtomicU64,
}

impl Switch {
    fn check(&self) -> Result<(), Error> {
        if !self.is_away.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(Error::Broker { reason: "the test made it unavailable".to_owned(), retryable: true })
    }
}

impl TestBroker {
    /// An empty broker with the topics `t` and `order-events` and those of their dead letters.
    pub(crate) async fn open() -> TestBroker {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::File(folder.path().join("broker.db"));
        let options = EmbeddedBrokerOptions { lease: LEASE, ..EmbeddedBrokerOptions::new(location) };
        let inner = EmbeddedBroker::open(options).unwrap();
        let topics = ["t", "t.dead-letter", "order-events", "order-events.dead-letter"];
        inner.ensure_topics(topics.map(TopicSpec::new).into()).await.unwrap();
        TestBroker { inner, folder: Arc::new(folder), switch: Arc::default() }
    }

    /// Makes every operation fail, or succeed again.
    pub(crate) fn set_available(&self, is_available: bool) {
        self.switch.is_away.store(!is_available, Ordering::SeqCst);
    }

    /// How many operations failed because it was unavailable.
    pub(crate) fn refused(&self) -> u64 {
        self.switch.refused.load(Ordering::SeqCst)
    }

    /// How many partitions were named as revoked to consumers.
    pub(crate) fn revoked(&self) -> u64 {
        self.switch.revoked.load(Ordering::SeqCst)
    }

    /// All records of a topic, partition by partition, also while it is away.
    pub(crate) async fn partitions(&self, topic: &str) -> Vec<Vec<Record>> {
        let group = format!("look-{}", self.switch.looks.fetch_add(1, Ordering::SeqCst));
        let mut consumer = self.inner.subscribe(&group, topic).await.unwrap();
        let mut partitions = Vec::new();
        loop {
            let polled = consumer.poll(1000, Duration::ZERO).await.unwrap();
            let held = consumer.assigned().len();
            if polled.records.is_empty() && partitions.len() == held && held > 0 {
                break;
            }
            partitions.resize(held, Vec::new());
            for delivery in polled.records {
                partitions[delivery.partition as usize].push(delivery.record);
            }
        }
        consumer.close().await.unwrap();
        partitions
    }

    /// All records of a topic.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Record> {
        self.partitions(topic).await.concat()
    }

    /// How many records of a topic a group has committed.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> u64 {
        let database = rusqlite::Connection::open(self.folder.path().join("broker.db")).unwrap();
        let sum = "SELECT coalesce(sum(progress.next_offset), 0) FROM broker_progress AS progress
                   JOIN broker_partitions AS partitions ON partitions.id = progress.partition_id
                   WHERE progress.consumer_group = ?1 AND partitions.topic = ?2";
        database.query_row(sum, [group, topic], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    }
}

impl Broker for TestBroker {
    fn system(&self) -> &'static str {
        self.inner.system()
    }

    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.ensure_topics(topics)
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Vec<Result<Ack, PublishError>>> {
        Box::pin(async move {
            match self.switch.check() {
                Ok(()) => self.inner.publish(records).await,
                Err(away) => records.iter().map(|_| Err(PublishError::Retryable(away.clone()))).collect(),
            }
        })
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        Box::pin(async move {
            self.switch.check()?;
            let inner = self.inner.subscribe(group, topic).await?;
            Ok(Box::new(TestConsumer { inner, switch: Arc::clone(&self.switch) }) as Box<dyn Consumer>)
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.switch.check()?;
            self.inner.ready().await
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.switch.check()?;
            self.inner.flush().await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

struct TestConsumer {
    inner: Box<dyn Consumer>,
    switch: Arc<Switch>,
}

impl Consumer for TestConsumer {
    fn poll(&mut self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Polled, Error>> {
        Box::pin(async move {
            self.switch.check()?;
            let polled = self.inner.poll(max, wait).await?;
            self.switch.revoked.fetch_add(polled.revoked.len() as u64, Ordering::SeqCst);
            Ok(polled)
        })
    }

    fn commit(&mut self, progress: Vec<Progress>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.switch.check()?;
            self.inner.commit(progress).await
        })
    }

    fn pause(&mut self, partition: u32) {
        self.inner.pause(partition);
    }

    fn resume(&mut self, partition: u32) {
        self.inner.resume(partition);
    }

    fn assigned(&self) -> Vec<u32> {
        self.inner.assigned()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.inner.close()
    }
}
