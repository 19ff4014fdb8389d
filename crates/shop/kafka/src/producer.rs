//! Records on their way into Kafka.
//!
//! The producer is idempotent: a record that librdkafka sends again because an answer was lost is in its topic once, and
//! order within a partition is kept. Each record gets its own answer, by its delivery report, within the publish
//! time-out.

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Partitioner, Producer as _, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use waypost_durable::broker::{Ack, PublishError, Record, partition_of};
use waypost_durable::clock::millis;

use crate::record::headers;
use crate::trouble::{Trouble, log, unavailable};

/// What becomes of a record that was handed over.
pub(crate) type Answer = oneshot::Receiver<Result<Ack, PublishError>>;

/// How a record was handed over.
pub(crate) enum Sent {
    /// It is on its way.
    Away(Answer),
    /// Its topic is not known (any more).
    NoTopic,
    /// It was not taken.
    Failed(PublishError),
}

/// The producer.
pub(crate) struct Producer {
    native: ThreadedProducer<Reports, ByKey>,
    trouble: Arc<Trouble>,
    on_their_way: watch::Sender<usize>,
}

impl Producer {
    pub(crate) fn new(
        config: &ClientConfig,
        trouble: &Arc<Trouble>,
        on_their_way: &watch::Sender<usize>,
    ) -> Result<Self, KafkaError> {
        let context = Reports { trouble: Arc::clone(trouble), partitioner: ByKey };
        let native = ThreadedProducer::from_config_and_context(config, context)?;
        Ok(Self { native, trouble: Arc::clone(trouble), on_their_way: on_their_way.clone() })
    }

    /// Hands a record over. Does not block.
    pub(crate) fn send(&self, topic: &str, record: &Record) -> Sent {
        let (sender, answer) = oneshot::channel();
        let on_its_way = OnItsWay::new(&self.on_their_way);
        let report = Box::new(Report { topic: topic.to_owned(), answer: sender, _on_its_way: on_its_way });
        let mut message = BaseRecord::with_opaque_to(topic, report).payload(record.payload.as_slice());
        message = message.headers(headers(record));
        message.timestamp = record.timestamp.map(millis);
        // Clients of other languages tell "no key" by its absence.
        if !record.key.is_empty() {
            message = message.key(record.key.as_bytes());
        }
        match self.native.send(message) {
            Ok(()) => Sent::Away(answer),
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition) => {
                    Sent::NoTopic
                }
                Some(code) => Sent::Failed(self.trouble.publish_error(code, topic)),
                None => Sent::Failed(PublishError::Retryable(unavailable(error.to_string()))),
            },
        }
    }

    /// For transactions.
    pub(crate) fn native(&self) -> &impl rdkafka::producer::Producer<Reports, ByKey> {
        &self.native
    }

    /// Learns anew which partitions a topic has. Blocks.
    pub(crate) fn look_up(&self, topic: &str, timeout: Duration) -> Result<(), KafkaError> {
        self.native.client().fetch_metadata(Some(topic), timeout).map(drop)
    }

    /// Whether Kafka shut it out in favour of a newer one of its transactional id.
    pub(crate) fn is_fenced(&self) -> bool {
        let client: &Client<Reports> = self.native.client();
        client.fatal_error().is_some_and(|(code, _)| code == Code::Fenced)
    }

    /// Whether it will never send a record again.
    pub(crate) fn is_broken(&self) -> bool {
        let client: &Client<Reports> = self.native.client();
        client.fatal_error().is_some()
    }
}

/// The partition of a key, as every broker has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByKey;

impl Partitioner for ByKey {
    fn partition(&self, _: &str, key: Option<&[u8]>, partitions: i32, _: impl Fn(i32) -> bool) -> i32 {
        let key = String::from_utf8_lossy(key.unwrap_or_default());
        let partition = partition_of(&key, u32::try_from(partitions).unwrap_or_default());
        i32::try_from(partition).unwrap_or_default()
    }
}

/// Gets the delivery reports, on librdkafka's side.
#[derive(Debug)]
pub(crate) struct Reports {
    trouble: Arc<Trouble>,
    partitioner: ByKey,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(&error, reason);
    }
}

impl ProducerContext<ByKey> for Reports {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Box<Report>) {
        let answer = match result {
            Ok(message) => {
                self.trouble.is_over();
                Ok(Ack {
                    partition: u32::try_from(message.partition()).unwrap_or_default(),
                    offset: u64::try_from(message.offset()).unwrap_or_default(),
                })
            }
            Err((error, _)) => Err(match error.rdkafka_error_code() {
                Some(code) => self.trouble.publish_error(code, &report.topic),
                None => PublishError::Retryable(unavailable(error.to_string())),
            }),
        };
        // Whoever gave the future up does not want to know.
        report.answer.send(answer).ok();
    }

    fn get_custom_partitioner(&self) -> Option<&ByKey> {
        Some(&self.partitioner)
    }
}

/// What is kept of a record until its delivery report.
pub(crate) struct Report {
    topic: String,
    answer: oneshot::Sender<Result<Ack, PublishError>>,
    _on_its_way: OnItsWay,
}

/// Counts a record for as long as it is on its way.
struct OnItsWay(watch::Sender<usize>);

impl OnItsWay {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
