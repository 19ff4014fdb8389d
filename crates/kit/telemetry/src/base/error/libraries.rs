//! Errors of other crates, each behind the cargo feature of its name.
//!
//! `error.type` is from a small fixed set: codes and variants, never texts, names of columns or addresses.

#[cfg(any(
    feature = "kafka",
    feature = "sqlx",
    feature = "redis",
    feature = "rusqlite",
    feature = "reqwest",
    feature = "hyper"
))]
use super::ErrorClass;
#[cfg(any(feature = "kafka", feature = "redis", feature = "rusqlite", feature = "serde_json"))]
use super::known;
#[cfg(any(
    feature = "kafka",
    feature = "sqlx",
    feature = "redis",
    feature = "rusqlite",
    feature = "reqwest",
    feature = "hyper",
    feature = "serde_json"
))]
use {super::ErrorType, std::borrow::Cow};

#[cfg(feature = "sqlx")]
impl ErrorType for sqlx::Error {
    /// The SQLSTATE (SQLite: the extended result code) if the database gave one, else what failed, for example
    /// `pool_timed_out`.
    fn error_type(&self) -> Cow<'static, str> {
        use sqlx::Error;
        match self {
            Error::Database(error) => match error.code() {
                Some(code) => code.into_owned().into(),
                None => "database".into(),
            },
            Error::Io(error) => error.error_type(),
            Error::Configuration(_) => "configuration".into(),
            Error::InvalidArgument(_) => "invalid_argument".into(),
            Error::Tls(_) => "tls".into(),
            Error::Protocol(_) => "protocol".into(),
            Error::RowNotFound => "row_not_found".into(),
            Error::TypeNotFound { .. } => "type_not_found".into(),
            Error::ColumnIndexOutOfBounds { .. } => "column_index_out_of_bounds".into(),
            Error::ColumnNotFound(_) => "column_not_found".into(),
            Error::ColumnDecode { .. } => "column_decode".into(),
            Error::Encode(_) => "encode".into(),
            Error::Decode(_) => "decode".into(),
            Error::PoolTimedOut => "pool_timed_out".into(),
            Error::PoolClosed => "pool_closed".into(),
            Error::WorkerCrashed => "worker_crashed".into(),
            _ => "sqlx".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use sqlx::Error;
        match self {
            Error::PoolTimedOut => ErrorClass::Overload,
            Error::Io(_) | Error::Tls(_) | Error::PoolClosed | Error::Protocol(_) => ErrorClass::Dependency,
            _ => ErrorClass::Internal,
        }
    }
}

#[cfg(feature = "kafka")]
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

#[cfg(feature = "redis")]
impl ErrorType for redis::RedisError {
    /// The word that the server's answer begins with, for example `WRONGTYPE`; else what failed: `timeout`, the kind of
    /// an input or output error, for example `connection_refused`, or the step: `authentication_failed`, `parse`.
    fn error_type(&self) -> Cow<'static, str> {
        if self.is_timeout() {
            return "timeout".into();
        }
        if let Some(code) = self.code() {
            // The server's own words are few; what a script made up is not one of them.
            let is_word =
                code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            return if is_word { code.to_owned().into() } else { "_OTHER".into() };
        }
        if self.is_connection_refusal() {
            return "connection_refused".into();
        }
        if self.is_connection_dropped() {
            return "connection_dropped".into();
        }
        match self.kind() {
            redis::ErrorKind::Server(_) => "server".into(),
            kind => known::snake_case(&format!("{kind:?}")).into(),
        }
    }

    /// False for what the protocol asks a client to do next: load the script, ask another node.
    fn is_failure(&self) -> bool {
        !matches!(self.code(), Some("NOSCRIPT" | "MOVED" | "ASK"))
    }

    fn class(&self) -> ErrorClass {
        if self.is_timeout() {
            ErrorClass::Timeout
        } else if matches!(self.code(), Some("OOM" | "LOADING" | "BUSY")) {
            ErrorClass::Overload
        } else {
            ErrorClass::Dependency
        }
    }

    /// The category alone: what the server says may hold a value.
    fn text(&self) -> String {
        self.category().to_owned()
    }
}

#[cfg(feature = "rusqlite")]
impl ErrorType for rusqlite::Error {
    /// SQLite's result code, for example `constraint_violation`, or what was wrong with the call.
    fn error_type(&self) -> Cow<'static, str> {
        use rusqlite::Error;
        match self {
            Error::SqliteFailure(error, _) => known::snake_case(&format!("{:?}", error.code)).into(),
            Error::QueryReturnedNoRows => "query_returned_no_rows".into(),
            Error::QueryReturnedMoreThanOneRow => "query_returned_more_than_one_row".into(),
            Error::FromSqlConversionFailure(..) => "from_sql_conversion_failure".into(),
            Error::ToSqlConversionFailure(_) => "to_sql_conversion_failure".into(),
            Error::IntegralValueOutOfRange(..) => "integral_value_out_of_range".into(),
            Error::InvalidColumnIndex(_) => "invalid_column_index".into(),
            Error::InvalidColumnName(_) => "invalid_column_name".into(),
            Error::InvalidColumnType(..) => "invalid_column_type".into(),
            Error::InvalidParameterName(_) => "invalid_parameter_name".into(),
            Error::InvalidParameterCount(..) => "invalid_parameter_count".into(),
            Error::InvalidPath(_) => "invalid_path".into(),
            Error::ExecuteReturnedResults => "execute_returned_results".into(),
            Error::StatementChangedRows(_) => "statement_changed_rows".into(),
            Error::MultipleStatement => "multiple_statement".into(),
            Error::InvalidQuery => "invalid_query".into(),
            _ => "rusqlite".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                ErrorClass::Overload
            }
            _ => ErrorClass::Internal,
        }
    }
}

#[cfg(feature = "reqwest")]
impl ErrorType for reqwest::Error {
    /// `timeout`, the status code where `error_for_status` made the error, or the step that failed: `connect`,
    /// `redirect`, `body`, `decode`, `builder`, `request`.
    fn error_type(&self) -> Cow<'static, str> {
        if self.is_timeout() {
            return "timeout".into();
        }
        if let Some(status) = self.status() {
            return status.as_u16().to_string().into();
        }
        let steps = [
            (self.is_connect(), "connect"),
            (self.is_redirect(), "redirect"),
            (self.is_builder(), "builder"),
            (self.is_body(), "body"),
            (self.is_decode(), "decode"),
            (self.is_upgrade(), "upgrade"),
            (self.is_request(), "request"),
        ];
        steps.into_iter().find(|(failed, _)| *failed).map_or("reqwest", |(_, step)| step).into()
    }

    fn class(&self) -> ErrorClass {
        if self.is_timeout() {
            ErrorClass::Timeout
        } else if self.is_builder() {
            ErrorClass::Internal
        } else {
            ErrorClass::Dependency
        }
    }

    /// Without the address, whose query may hold secrets.
    fn text(&self) -> String {
        let text = self.to_string();
        match self.url() {
            Some(url) => text.replace(&format!(" for url ({url})"), ""),
            None => text,
        }
    }
}

/// What reqwest says below it; `middleware` where one of the middlewares failed by itself.
#[cfg(feature = "reqwest-middleware")]
impl ErrorType for reqwest_middleware::Error {
    fn error_type(&self) -> Cow<'static, str> {
        of_reqwest(self).map_or("middleware".into(), ErrorType::error_type)
    }

    fn class(&self) -> ErrorClass {
        of_reqwest(self).map_or(ErrorClass::Internal, ErrorType::class)
    }

    /// Without the address, whose query may hold secrets.
    fn text(&self) -> String {
        let text = self.to_string();
        match of_reqwest(self).and_then(reqwest::Error::url) {
            Some(url) => text.replace(&format!(" for url ({url})"), ""),
            None => text,
        }
    }
}

#[cfg(feature = "reqwest-middleware")]
fn of_reqwest(error: &reqwest_middleware::Error) -> Option<&reqwest::Error> {
    use reqwest_middleware::Error;
    match error {
        Error::Reqwest(error) => Some(error),
        Error::Middleware(error) => error.chain().find_map(|error| match error.downcast_ref::<Error>() {
            Some(error) => of_reqwest(error),
            None => error.downcast_ref::<reqwest::Error>(),
        }),
    }
}

#[cfg(feature = "serde_json")]
impl ErrorType for serde_json::Error {
    /// `io`, `syntax`, `data` or `eof`, as serde_json groups them.
    fn error_type(&self) -> Cow<'static, str> {
        known::snake_case(&format!("{:?}", self.classify())).into()
    }
}

#[cfg(feature = "hyper")]
impl ErrorType for hyper::Error {
    /// `timeout`, `canceled`, `closed`, `incomplete_message`, `parse`, `user`, or `hyper`.
    fn error_type(&self) -> Cow<'static, str> {
        let kinds = [
            (self.is_timeout(), "timeout"),
            (self.is_canceled(), "canceled"),
            (self.is_closed(), "closed"),
            (self.is_incomplete_message(), "incomplete_message"),
            (self.is_body_write_aborted(), "body_write_aborted"),
            (self.is_parse(), "parse"),
            (self.is_user(), "user"),
        ];
        kinds.into_iter().find(|(is_so, _)| *is_so).map_or("hyper", |(_, kind)| kind).into()
    }

    fn class(&self) -> ErrorClass {
        if self.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Dependency }
    }
}
