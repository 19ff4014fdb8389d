//! What librdkafka says about its connections, kept for the errors that follow from it; and those errors.
//!
//! librdkafka works in the background and goes on trying by itself. So a call that fails says little ("timed out"), and
//! why was said before, by an event. The last such event is remembered and told with the error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use waypost_durable::Error;
use waypost_durable::broker::PublishError;

/// How long an event is an explanation of what fails.
const RECENT: Duration = Duration::from_mins(1);

/// The last event that explains a failure. Shared by all clients of one [`crate::Kafka`].
#[derive(Debug)]
pub(crate) struct Trouble {
    addresses: String,
    last: Mutex<Option<Event>>,
}

#[derive(Clone, Debug)]
struct Event {
    code: Code,
    reason: String,
    at: Instant,
}

impl Trouble {
    pub(crate) fn new(addresses: &[String]) -> Self {
        Self { addresses: addresses.join(","), last: Mutex::new(None) }
    }

    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason);
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = last.as_ref().is_some_and(|event| event.at.elapsed() < RECENT);
        // It sums up what was said before, and says less.
        if code == Code::AllBrokersDown && is_recent {
            return;
        }
        *last = Some(Event { code, reason: reason.to_owned(), at: Instant::now() });
    }

    /// Kafka answers.
    pub(crate) fn is_over(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn recent(&self) -> Option<Event> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|event| event.at.elapsed() < RECENT)
    }

    /// Whether Kafka, or what stands at its address, said no to this program: waiting will not help.
    pub(crate) fn is_refusal(&self) -> bool {
        self.recent().is_some_and(|event| {
            matches!(event.code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
        })
    }

    /// Why Kafka does not answer, and what to do about it.
    pub(crate) fn unreachable(&self) -> String {
        let Self { addresses, .. } = self;
        let Some(Event { code, reason, .. }) = self.recent() else {
            return format!("no broker answers at {addresses}; check `brokers` and that Kafka runs there");
        };
        match code {
            Code::Authentication | Code::SaslAuthenticationFailed => {
                format!(
                    "it does not let this program in ({reason}); check the SASL mechanism, user and password"
                )
            }
            Code::SSL => format!(
                "TLS with it fails ({reason}); check the certificates, the name in `brokers`, and that its listener speaks TLS"
            ),
            Code::Resolve => format!("its address is not known ({reason}); check `brokers`"),
            _ => format!(
                "no broker answers at {addresses} ({reason}); check `brokers`, that Kafka runs there, and whether its \
                 listener wants TLS or SASL"
            ),
        }
    }

    /// An error of a call that is not about one record.
    pub(crate) fn error(&self, attempted: &str, error: &KafkaError) -> Error {
        let reason = match error.rdkafka_error_code() {
            Some(code) => self.explain(code),
            None => error.to_string(),
        };
        unavailable(format!("{attempted}: {reason}"))
    }

    /// Why a record was not taken.
    pub(crate) fn publish_error(&self, code: Code, topic: &str) -> PublishError {
        let refused = |reason: String| PublishError::Refused(Error::Broker { reason, retryable: false });
        match code {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                refused(format!(
                    "the record is larger than topic {topic} allows; raise its `max.message.bytes`, or send less"
                ))
            }
            Code::InvalidTimestamp => refused(format!(
                "topic {topic} does not allow the record's timestamp (`message.timestamp.before.max.ms`, `after.max.ms`)"
            )),
            Code::InvalidRecord
            | Code::InvalidMessage
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat => {
                refused(format!("topic {topic} refuses the record: {code}"))
            }
            // What is left is mended by waiting, or by somebody who sets Kafka up; the record is as good as before.
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                PublishError::Retryable(unavailable(missing_topic(topic)))
            }
            Code::TopicAuthorizationFailed => PublishError::Retryable(unavailable(format!(
                "this program's user may not write to topic {topic}; allow it Write and Describe"
            ))),
            code => PublishError::Retryable(unavailable(format!(
                "topic {topic} did not take the record: {}",
                self.explain(code)
            ))),
        }
    }

    /// What an error code means, and what to do about it.
    pub(crate) fn explain(&self, code: Code) -> String {
        match code {
            Code::TopicAuthorizationFailed => {
                "this program's user may not use the topic; allow it Read, Write and Describe".to_owned()
            }
            Code::GroupAuthorizationFailed => {
                "this program's user may not use the consumer group; allow it Read".to_owned()
            }
            Code::ClusterAuthorizationFailed => {
                "this program's user may not do this in the cluster; allow it Create and Alter on the topics, or set \
                 `create_topics = false`, and IdempotentWrite where Kafka is older than 3.0"
                    .to_owned()
            }
            Code::TransactionalIdAuthorizationFailed => {
                "this program's user may not use transactions; allow it Write on the transactional id".to_owned()
            }
            Code::InvalidReplicationFactor => {
                "the cluster has fewer brokers than `replication_factor`; lower it, or add brokers".to_owned()
            }
            Code::InvalidSessionTimeout => {
                "the cluster does not allow `session_timeout` (its `group.min.session.timeout.ms` and \
                 `group.max.session.timeout.ms`)"
                    .to_owned()
            }
            Code::InconsistentGroupProtocol => {
                "the consumer group has members that share partitions in another way than cooperative-sticky; stop them, \
                 or give this installation a `prefix`"
                    .to_owned()
            }
            Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
                "fewer copies are in sync than `min.insync.replicas` asks for".to_owned()
            }
            Code::LeaderNotAvailable | Code::NotLeaderForPartition => "a partition has no leader just now".to_owned(),
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::SSL
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::MessageTimedOut
            | Code::OperationTimedOut
            | Code::TimedOutQueue => self.unreachable(),
            code => code.to_string(),
        }
    }
}

/// What to do about a topic that is not there.
pub(crate) fn missing_topic(topic: &str) -> String {
    format!(
        "topic {topic} does not exist; make it (kafka-topics.sh --create --topic {topic}), or set `create_topics = true`"
    )
}

/// Waiting helps, or somebody who sets Kafka up.
pub(crate) fn unavailable(reason: String) -> Error {
    Error::Broker { reason, retryable: true }
}

/// The context of a client that only has to tell what happens to its connections.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) trouble: Arc<Trouble>,
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(&error, reason);
    }
}

impl ConsumerContext for Events {}

/// librdkafka tries on by itself; who waits for it says why.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
}
