//! The broker port over Kafka: what its calls become.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waypost_durable::Error;
use waypost_durable::broker::{Ack, Broker, Consumer, PublishError, Record, TopicSpec};

use crate::consumer::GroupConsumer;
use crate::options::KafkaOptions;
use crate::producer::{Producer, Sent};
use crate::topics;
use crate::trouble::{Events, Trouble, missing_topic, unavailable};

/// Kafka as a broker. Cheap to clone; clones are one broker.
///
/// It is made without asking Kafka anything: one that is away is waited for by whoever uses it.
#[derive(Clone)]
pub struct Kafka {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) options: KafkaOptions,
    pub(crate) trouble: Arc<Trouble>,
    producer: Mutex<Arc<Producer>>,
    on_their_way: watch::Sender<usize>,
    /// Asks what is where; belongs to no group.
    pub(crate) observer: BaseConsumer<Events>,
    /// The topics that were asked for, by the names that they have here.
    topics: Mutex<BTreeSet<String>>,
    pub(crate) closed: CancellationToken,
}

/// Why Kafka cannot be used, as [`Kafka::check`] finds it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Problem {
    /// It does not answer. It may later.
    #[error(transparent)]
    Away(Error),
    /// It answers and lets this program not in, or is not what this program expects at its address. Somebody has to see to
    /// that.
    #[error(transparent)]
    Refused(Error),
}

impl Kafka {
    /// A broker with these options. Blocks for a moment.
    ///
    /// # Errors
    ///
    /// [`Error::Broker`]: the options are of no use, for instance a certificate that cannot be read.
    pub fn new(options: KafkaOptions) -> Result<Self, Error> {
        if options.brokers.iter().all(|broker| broker.trim().is_empty()) {
            return Err(unusable(&"it has no address (`brokers`)"));
        }
        let trouble = Arc::new(Trouble::new(&options.brokers));
        let on_their_way = watch::Sender::new(0);
        let producer =
            Producer::new(&options.producer(), &trouble, &on_their_way).map_err(|error| unusable(&error))?;
        let observer = BaseConsumer::from_config_and_context(
            &options.reader(),
            Events { trouble: Arc::clone(&trouble) },
        );
        let inner = Inner {
            trouble,
            producer: Mutex::new(Arc::new(producer)),
            on_their_way,
            observer: observer.map_err(|error| unusable(&error))?,
            topics: Mutex::default(),
            closed: CancellationToken::new(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks whether Kafka answers and lets this program in; for a start that wants to say what is wrong.
    pub async fn check(&self) -> Result<(), Problem> {
        let Err(error) = self.inner.answers().await else { return Ok(()) };
        Err(if self.inner.trouble.is_refusal() { Problem::Refused(error) } else { Problem::Away(error) })
    }
}

fn unusable(reason: &dyn std::fmt::Display) -> Error {
    Error::Broker { reason: format!("the Kafka client cannot be set up: {reason}"), retryable: false }
}

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").field("brokers", &self.inner.options.brokers).finish_non_exhaustive()
    }
}

impl Inner {
    /// The name of a topic or group in Kafka.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.options.prefix)
    }

    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.closed.is_cancelled() { Err(closed()) } else { Ok(()) }
    }

    pub(crate) fn topics(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Nothing panics while it is held, so a poisoned set is a whole one.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call of librdkafka that blocks, beside the runtime.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(self);
        let called = tokio::task::spawn_blocking(move || call(&inner)).await;
        called.map_err(|_| unavailable("the call was given up because the program ends".to_owned()))
    }

    /// The producer; another one in place of one that broke.
    fn producer(&self) -> Result<Arc<Producer>, Error> {
        self.open()?;
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if producer.is_broken() {
            tracing::warn!("the Kafka producer gave up and is replaced");
            let fresh = Producer::new(&self.options.producer(), &self.trouble, &self.on_their_way);
            let broken =
                std::mem::replace(&mut *producer, Arc::new(fresh.map_err(|error| unusable(&error))?));
            // Ending one takes a while.
            std::thread::spawn(move || drop(broken));
        }
        Ok(Arc::clone(&producer))
    }

    /// How many partitions a topic has, by its name in Kafka; `None`: it does not exist. Blocks.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<u32>, Error> {
        self.serve_events();
        let found = self.observer.fetch_metadata(Some(topic), self.options.request_timeout);
        self.serve_events();
        let metadata = found.map_err(|error| self.trouble.error("asking for a topic", &error))?;
        self.trouble.is_over();
        let Some(topic) = metadata.topics().first() else { return Ok(None) };
        match topic.error().map(Code::from) {
            None | Some(Code::LeaderNotAvailable) => {
                Ok(u32::try_from(topic.partitions().len()).ok().filter(|&n| n > 0))
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(unavailable(format!("topic {}: {}", topic.name(), self.trouble.explain(code)))),
        }
    }

    /// Takes notice of what happened to the observer's connections.
    fn serve_events(&self) {
        while let Some(event) = self.observer.poll(Duration::ZERO) {
            if let Err(error) = event {
                self.trouble.note(&error, "");
            }
        }
    }

    /// Whether Kafka answers, and has the topics that were asked for.
    pub(crate) async fn answers(self: &Arc<Self>) -> Result<(), Error> {
        self.open()?;
        let topic = self.topics().first().cloned();
        self.blocking(move |inner| match topic {
            Some(topic) => {
                let name = inner.name(&topic);
                let partitions = inner.partitions(&name)?;
                partitions.map(drop).ok_or_else(|| unavailable(missing_topic(&name)))
            }
            // Asked for nothing in particular, any answer will do.
            None => inner.partitions(&inner.name("any")).map(drop),
        })
        .await?
    }

    async fn publish(self: Arc<Self>, records: Vec<Record>) -> Vec<Result<Ack, PublishError>> {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(error) => {
                return records.iter().map(|_| Err(PublishError::Retryable(error.clone()))).collect();
            }
        };
        let mut sent: Vec<Sent> = records.iter().map(|record| self.send(&producer, record)).collect();
        let unknown: BTreeSet<String> = std::iter::zip(&records, &sent)
            .filter(|(_, sent)| matches!(sent, Sent::NoTopic))
            .map(|(record, _)| self.name(&record.topic))
            .collect();
        if !unknown.is_empty() {
            // librdkafka remembers that a topic was missing; it may be there by now.
            self.look_up(&producer, unknown).await;
            for (record, sent) in std::iter::zip(&records, &mut sent) {
                if matches!(sent, Sent::NoTopic) {
                    *sent = self.send(&producer, record);
                }
            }
        }
        let mut results = Vec::with_capacity(sent.len());
        for (record, sent) in std::iter::zip(&records, sent) {
            results.push(match sent {
                Sent::Away(answer) => answer.await.unwrap_or_else(|_| Err(PublishError::Retryable(closed()))),
                Sent::NoTopic => {
                    Err(self.trouble.publish_error(Code::UnknownTopic, &self.name(&record.topic)))
                }
                Sent::Failed(error) => Err(error),
            });
        }
        results
    }

    fn send(&self, producer: &Producer, record: &Record) -> Sent {
        let size = record.key.len() + record.payload.len();
        if size > self.options.max_record {
            let reason =
                format!("the record has {size} bytes, at most {} are allowed", self.options.max_record);
            return Sent::Failed(PublishError::Refused(Error::Broker { reason, retryable: false }));
        }
        producer.send(&self.name(&record.topic), record)
    }

    async fn look_up(self: &Arc<Self>, producer: &Arc<Producer>, topics: BTreeSet<String>) {
        let producer = Arc::clone(producer);
        let looked_up = self.blocking(move |inner| {
            for topic in topics {
                if matches!(inner.partitions(&topic), Ok(Some(_))) {
                    producer.look_up(&topic, inner.options.request_timeout).ok();
                }
            }
        });
        looked_up.await.ok();
    }

    async fn flush(&self) {
        // The counter lives as long as `self`.
        self.on_their_way.subscribe().wait_for(|count| *count == 0).await.ok();
    }
}

pub(crate) fn closed() -> Error {
    Error::Closed("kafka")
}

impl Broker for Kafka {
    fn system(&self) -> &'static str {
        "kafka"
    }

    fn ensure_topics(&self, topics: Vec<TopicSpec>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(topics::ensure(&self.inner, topics))
    }

    fn publish(&self, records: Vec<Record>) -> BoxFuture<'_, Vec<Result<Ack, PublishError>>> {
        Box::pin(Arc::clone(&self.inner).publish(records))
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, Error>> {
        Box::pin(async move {
            self.inner.open()?;
            let consumer = GroupConsumer::join(&self.inner, group, topic).await?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.inner.answers())
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.inner.open()?;
            self.inner.flush().await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.inner.closed.cancel();
            // Every record gets its answer within the publish time-out.
            self.inner.flush().await;
        })
    }
}
