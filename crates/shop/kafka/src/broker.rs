//! The broker port over Kafka: what its calls become.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waypost_durable::Error;
use waypost_durable::broker::{Ack, Broker, Consumer, PublishError, Record, TopicSpec};

use crate::consumer::GroupConsumer;
use crate::dead_letters::Notes;
use crate::options::KafkaOptions;
use crate::producer::{Answer, Producer, Sent};
use crate::topics;
use crate::trouble::{Events, Trouble, missing_topic, unavailable};

/// How long a readiness check waits: less than who asks for it.
const READY_TIMEOUT: Duration = Duration::from_millis(500);

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
    /// Publishes records one in a batch; made when one is refused.
    single_producer: Mutex<Option<Arc<Producer>>>,
    on_their_way: watch::Sender<usize>,
    /// Asks what is where; belongs to no group.
    pub(crate) observer: BaseConsumer<Events>,
    /// The topics that were asked for, by the names that they have here.
    topics: Mutex<BTreeSet<String>>,
    pub(crate) closed: CancellationToken,
    /// Notes of replays as they were last read, and where they ended.
    pub(crate) notes: Mutex<Option<(i64, Arc<Notes>)>>,
    /// Held while this process replays a dead letter.
    pub(crate) replays: tokio::sync::Mutex<()>,
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
        if let Some(tls) = &options.tls {
            tls.readable().map_err(|reason| unusable(&reason))?;
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
            single_producer: Mutex::default(),
            on_their_way,
            observer: observer.map_err(|error| unusable(&error))?,
            topics: Mutex::default(),
            closed: CancellationToken::new(),
            notes: Mutex::default(),
            replays: tokio::sync::Mutex::default(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks whether Kafka answers and lets this program in; for a start that wants to say what is wrong.
    pub async fn check(&self) -> Result<(), Problem> {
        let Err(error) = self.inner.answers(self.inner.options.request_timeout).await else { return Ok(()) };
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

    pub(crate) fn new_producer(&self, config: &ClientConfig) -> Result<Producer, KafkaError> {
        Producer::new(config, &self.trouble, &self.on_their_way)
    }

    /// The producer; another one in place of one that broke.
    fn producer(&self) -> Result<Arc<Producer>, Error> {
        self.open()?;
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if producer.is_broken() {
            tracing::warn!("the Kafka producer gave up and is replaced");
            let fresh = self.new_producer(&self.options.producer());
            let broken =
                std::mem::replace(&mut *producer, Arc::new(fresh.map_err(|error| unusable(&error))?));
            // Ending one takes a while.
            std::thread::spawn(move || drop(broken));
        }
        Ok(Arc::clone(&producer))
    }

    /// How many partitions a topic has, by its name in Kafka; `None`: it does not exist. Blocks.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<u32>, Error> {
        self.partitions_within(topic, self.options.request_timeout)
    }

    fn partitions_within(&self, topic: &str, timeout: Duration) -> Result<Option<u32>, Error> {
        let metadata = self.metadata(topic, timeout)?;
        let Some(topic) = metadata.topics().first() else { return Ok(None) };
        match topic.error().map(Code::from) {
            None | Some(Code::LeaderNotAvailable) => {
                Ok(u32::try_from(topic.partitions().len()).ok().filter(|&count| count > 0))
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(unavailable(format!("topic {}: {}", topic.name(), self.trouble.explain(code)))),
        }
    }

    /// Asks in portions, because librdkafka does not tell before its time is over that this program is not let in.
    pub(crate) fn metadata(&self, topic: &str, timeout: Duration) -> Result<Metadata, Error> {
        const PORTION: Duration = Duration::from_millis(500);
        let give_up = Instant::now() + timeout;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let answer = self.observer.fetch_metadata(Some(topic), left.min(PORTION));
            // Takes notice of what happened to the connections meanwhile.
            while self.observer.poll(Duration::from_millis(1)).is_some() {}
            match answer {
                Ok(metadata) => {
                    self.trouble.is_over();
                    return Ok(metadata);
                }
                Err(error) if left <= PORTION || self.trouble.is_refusal() => {
                    return Err(self.trouble.error("asking for a topic", &error));
                }
                Err(_) => self.open()?,
            }
        }
    }

    /// Whether Kafka answers, and has the topics that were asked for.
    pub(crate) async fn answers(self: &Arc<Self>, timeout: Duration) -> Result<(), Error> {
        self.open()?;
        let topic = self.topics().first().cloned();
        self.blocking(move |inner| match topic {
            Some(topic) => {
                let name = inner.name(&topic);
                let partitions = inner.partitions_within(&name, timeout)?;
                partitions.map(drop).ok_or_else(|| unavailable(missing_topic(&name)))
            }
            // Asked for nothing in particular, any answer will do.
            None => inner.partitions_within(&inner.name("any"), timeout).map(drop),
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
                Sent::Away(answer) => match answered(answer).await {
                    // Kafka refuses a batch as a whole; in one of its own the record shows whether it is at fault.
                    Err(PublishError::Refused(_)) => self.publish_single(record).await,
                    result => result,
                },
                Sent::NoTopic => {
                    Err(self.trouble.publish_error(Code::UnknownTopic, &self.name(&record.topic)))
                }
                Sent::Failed(error) => Err(error),
            });
        }
        results
    }

    async fn publish_single(&self, record: &Record) -> Result<Ack, PublishError> {
        let producer = self.single_producer().map_err(PublishError::Retryable)?;
        match self.send(&producer, record) {
            Sent::Away(answer) => answered(answer).await,
            Sent::NoTopic => Err(self.trouble.publish_error(Code::UnknownTopic, &self.name(&record.topic))),
            Sent::Failed(error) => Err(error),
        }
    }

    fn single_producer(&self) -> Result<Arc<Producer>, Error> {
        self.open()?;
        let mut producer = self.single_producer.lock().unwrap_or_else(PoisonError::into_inner);
        match &*producer {
            Some(producer) if !producer.is_broken() => Ok(Arc::clone(producer)),
            _ => {
                let fresh = self.new_producer(&self.options.single_producer());
                let fresh = Arc::new(fresh.map_err(|error| unusable(&error))?);
                let broken = producer.replace(Arc::clone(&fresh));
                std::thread::spawn(move || drop(broken));
                Ok(fresh)
            }
        }
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

async fn answered(answer: Answer) -> Result<Ack, PublishError> {
    answer.await.unwrap_or_else(|_| Err(PublishError::Retryable(closed())))
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
        Box::pin(self.inner.answers(READY_TIMEOUT))
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
