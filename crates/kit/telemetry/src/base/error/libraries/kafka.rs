//! Errors of rdkafka.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType, known};

impl ErrorType for rdkafka::error::KafkaError {
    /// The code of Kafka or librdkafka, for example `unknown_topic_or_partition` or `message_timed_out`; without one what
    /// failed: `client_config`, `canceled`.
    fn error_type(&self) -> Cow<'static, str> {
        use rdkafka::error::KafkaError;
        if let Some(code) = self.rdkafka_error_code() {
            return known::snake_case(&format!("{code:?}")).into();
        }
        match self {
            KafkaError::AdminOpCreation(_) => "admin_op_creation".into(),
            KafkaError::Canceled => "canceled".into(),
            KafkaError::ClientConfig(..) => "client_config".into(),
            KafkaError::ClientCreation(_) => "client_creation".into(),
            KafkaError::NoMessageReceived => "no_message_received".into(),
            KafkaError::Nul(_) => "nul".into(),
            KafkaError::PartitionEOF(_) => "partition_eof".into(),
            KafkaError::PauseResume(_) => "pause_resume".into(),
            KafkaError::Seek(_) => "seek".into(),
            KafkaError::Subscription(_) => "subscription".into(),
            _ => "kafka".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
        match self.rdkafka_error_code() {
            Some(Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut) => {
                ErrorClass::Timeout
            }
            Some(Code::QueueFull) => ErrorClass::Overload,
            Some(_) => ErrorClass::Dependency,
            None if matches!(self, KafkaError::Canceled) => ErrorClass::Dependency,
            None => ErrorClass::Internal,
        }
    }
}
