//! Errors of other crates, each behind the cargo feature of its name.
//!
//! `error.type` is from a small fixed set: codes and variants, never texts, names of columns or addresses.

#[cfg(any(
    feature = "kafka",
    feature = "mongodb",
    feature = "nats",
    feature = "rabbitmq",
    feature = "sqlx",
    feature = "redis",
    feature = "rusqlite",
    feature = "tokio-postgres",
    feature = "deadpool",
    feature = "bb8",
    feature = "diesel",
    feature = "memcached",
    feature = "reqwest",
    feature = "hyper"
))]
use super::ErrorClass;
#[cfg(any(
    feature = "diesel",
    feature = "kafka",
    feature = "nats",
    feature = "redis",
    feature = "rusqlite",
    feature = "serde_json"
))]
use super::known;
#[cfg(any(
    feature = "kafka",
    feature = "mongodb",
    feature = "nats",
    feature = "rabbitmq",
    feature = "sqlx",
    feature = "redis",
    feature = "rusqlite",
    feature = "tokio-postgres",
    feature = "deadpool",
    feature = "bb8",
    feature = "diesel",
    feature = "memcached",
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

#[cfg(feature = "nats")]
impl<Kind> ErrorType for async_nats::error::Error<Kind>
where
    Kind: Clone + std::fmt::Debug + std::fmt::Display + PartialEq,
{
    /// The kind that the client gives it, for example `timed_out` or `no_responders`.
    fn error_type(&self) -> Cow<'static, str> {
        // What a variant holds may be the server's word.
        let kind = format!("{:?}", self.kind());
        let end = kind.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(kind.len());
        known::snake_case(kind.get(..end).unwrap_or_default()).into()
    }

    fn class(&self) -> ErrorClass {
        match &*self.error_type() {
            "timed_out" => ErrorClass::Timeout,
            "max_ack_pending" => ErrorClass::Overload,
            "invalid_subject" | "max_payload_exceeded" => ErrorClass::Internal,
            _ => ErrorClass::Dependency,
        }
    }

    /// The kind alone: what the server says may hold a subject.
    fn text(&self) -> String {
        self.error_type().replace('_', " ")
    }
}

#[cfg(feature = "rabbitmq")]
impl ErrorType for lapin::Error {
    /// The protocol's name for the code that the broker gave, for example `not_found` or `precondition_failed`; the kind of
    /// an input or output error; else what failed: `invalid_channel_state`, `missing_heartbeat`.
    fn error_type(&self) -> Cow<'static, str> {
        use lapin::ErrorKind;
        match self.kind() {
            ErrorKind::ProtocolError(error) => match error.get_id() {
                311 => "content_too_large",
                312 => "no_route",
                313 => "no_consumers",
                320 => "connection_forced",
                402 => "invalid_path",
                403 => "access_refused",
                404 => "not_found",
                405 => "resource_locked",
                406 => "precondition_failed",
                501 => "frame_error",
                502 => "syntax_error",
                503 => "command_invalid",
                504 => "channel_error",
                505 => "unexpected_frame",
                506 => "resource_error",
                530 => "not_allowed",
                540 => "not_implemented",
                541 => "internal_error",
                _ => "protocol",
            }
            .into(),
            ErrorKind::IOError(error) | ErrorKind::RuntimeShutdownError(error) => error.error_type(),
            ErrorKind::ChannelsLimitReached => "channels_limit_reached".into(),
            ErrorKind::InvalidChannel(_) => "invalid_channel".into(),
            ErrorKind::InvalidChannelState(..) => "invalid_channel_state".into(),
            ErrorKind::InvalidConnectionState(_) => "invalid_connection_state".into(),
            ErrorKind::InvalidProtocolVersion(_) => "invalid_protocol_version".into(),
            ErrorKind::MissingHeartbeatError => "missing_heartbeat".into(),
            ErrorKind::AuthProviderError(_) => "auth_provider".into(),
            _ => "lapin".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        match &*self.error_type() {
            "content_too_large" | "syntax_error" | "command_invalid" | "not_allowed" => ErrorClass::Internal,
            "resource_error" | "channels_limit_reached" => ErrorClass::Overload,
            _ => ErrorClass::Dependency,
        }
    }

    /// The kind alone: what the broker says may hold names and parts of values.
    fn text(&self) -> String {
        self.error_type().replace('_', " ")
    }
}

#[cfg(feature = "mongodb")]
impl ErrorType for mongodb::error::Error {
    /// The code that the server gave, for example `11000`; the kind of an input or output error; else what failed:
    /// `server_selection`, `connection_pool_cleared`.
    fn error_type(&self) -> Cow<'static, str> {
        use mongodb::error::{ErrorKind, WriteFailure};
        match &*self.kind {
            ErrorKind::Command(error) => error.code.to_string().into(),
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code.to_string().into(),
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => error.code.to_string().into(),
            ErrorKind::InsertMany(error) => {
                let written = error.write_errors.iter().flatten().next().map(|error| error.code);
                let code = written.or_else(|| error.write_concern_error.as_ref().map(|error| error.code));
                code.map_or("insert_many".into(), |code| code.to_string().into())
            }
            ErrorKind::Io(error) => error.error_type(),
            ErrorKind::Authentication { .. } => "authentication".into(),
            ErrorKind::BulkWrite(_) => "bulk_write".into(),
            ErrorKind::ConnectionPoolCleared { .. } => "connection_pool_cleared".into(),
            ErrorKind::DnsResolve { .. } => "dns_resolve".into(),
            ErrorKind::IncompatibleServer { .. } => "incompatible_server".into(),
            ErrorKind::Internal { .. } => "internal".into(),
            ErrorKind::InvalidArgument { .. } => "invalid_argument".into(),
            ErrorKind::InvalidResponse { .. } => "invalid_response".into(),
            ErrorKind::InvalidTlsConfig { .. } => "invalid_tls_config".into(),
            ErrorKind::ServerSelection { .. } => "server_selection".into(),
            ErrorKind::SessionsNotSupported => "sessions_not_supported".into(),
            ErrorKind::Shutdown => "shutdown".into(),
            ErrorKind::Transaction { .. } => "transaction".into(),
            _ => "mongodb".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use mongodb::error::ErrorKind;
        match &*self.kind {
            ErrorKind::Command(error) if error.code == 50 => ErrorClass::Timeout,
            ErrorKind::InvalidArgument { .. } | ErrorKind::Internal { .. } => ErrorClass::Internal,
            _ => ErrorClass::Dependency,
        }
    }

    /// The kind alone: what the server says holds values, such as a key that is there already.
    fn text(&self) -> String {
        format!("mongodb: {}", self.error_type().replace('_', " "))
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

/// Whether this is the error of a question that was answered with another number of rows than it wants.
#[cfg(feature = "tokio-postgres")]
pub(crate) fn is_row_count(error: &tokio_postgres::Error) -> bool {
    step_of(error) == Some("row_count")
}

/// What failed. tokio-postgres keeps the kinds of its errors to itself, and shows each by a text of its own, in which
/// nothing but numbers and names of columns comes after the beginning.
#[cfg(feature = "tokio-postgres")]
fn step_of(error: &tokio_postgres::Error) -> Option<&'static str> {
    let steps = [
        ("timeout waiting for server", "timeout"),
        ("connection closed", "connection_closed"),
        ("error communicating with the server", "io"),
        ("error connecting to server", "connect"),
        ("error performing TLS handshake", "tls"),
        ("authentication error", "authentication"),
        ("unexpected message from server", "unexpected_message"),
        ("error serializing parameter", "to_sql"),
        ("error deserializing column", "from_sql"),
        ("invalid column", "column"),
        ("query returned an unexpected number of columns", "column_count"),
        ("query returned an unexpected number of rows", "row_count"),
        ("expected ", "parameters"),
        ("error parsing response from server", "parse"),
        ("error encoding message to server", "encode"),
        ("invalid con", "config"),
    ];
    let text = error.to_string();
    steps.into_iter().find(|(beginning, _)| text.starts_with(beginning)).map(|(_, step)| step)
}

#[cfg(feature = "tokio-postgres")]
impl ErrorType for tokio_postgres::Error {
    /// The SQLSTATE if the server gave one; the kind of an input or output error, for example `connection_refused`; else what
    /// failed: `timeout`, `connection_closed`, `authentication`, `row_count`.
    fn error_type(&self) -> Cow<'static, str> {
        if let Some(code) = self.code() {
            return code.code().to_owned().into();
        }
        let step = step_of(self);
        let cause = std::error::Error::source(self).and_then(<dyn std::error::Error>::downcast_ref);
        match (step, cause) {
            (Some("io" | "connect"), Some(cause)) => std::io::Error::error_type(cause),
            _ => step.unwrap_or("tokio_postgres").into(),
        }
    }

    fn class(&self) -> ErrorClass {
        // Classes of SQLSTATE: no room, an operator, the system; and what could not be done at once.
        let class = self.code().and_then(|code| code.code().get(..2));
        match (class, step_of(self)) {
            (Some("53"), _) => ErrorClass::Overload,
            (Some("08" | "57" | "58"), _) => ErrorClass::Dependency,
            (None, Some("timeout")) => ErrorClass::Timeout,
            (None, Some("connection_closed" | "io" | "connect" | "tls" | "unexpected_message")) => {
                ErrorClass::Dependency
            }
            _ => ErrorClass::Internal,
        }
    }
}

#[cfg(feature = "deadpool")]
impl<E: ErrorType + 'static> ErrorType for deadpool::managed::PoolError<E> {
    /// That of the connection's error, else `pool_timed_out`, `pool_closed`, `pool_hook` or `no_runtime_specified`.
    fn error_type(&self) -> Cow<'static, str> {
        use deadpool::managed::PoolError;
        match self {
            PoolError::Backend(error) => error.error_type(),
            PoolError::Timeout(_) => "pool_timed_out".into(),
            PoolError::Closed => "pool_closed".into(),
            PoolError::PostCreateHook(_) => "pool_hook".into(),
            PoolError::NoRuntimeSpecified => "no_runtime_specified".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use deadpool::managed::PoolError;
        match self {
            PoolError::Backend(error) => error.class(),
            PoolError::Timeout(_) => ErrorClass::Overload,
            PoolError::Closed | PoolError::PostCreateHook(_) => ErrorClass::Dependency,
            PoolError::NoRuntimeSpecified => ErrorClass::Internal,
        }
    }
}

#[cfg(feature = "bb8")]
impl<E: ErrorType + 'static> ErrorType for bb8::RunError<E> {
    /// That of the connection's error, else `pool_timed_out`.
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::User(error) => error.error_type(),
            Self::TimedOut => "pool_timed_out".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::User(error) => error.class(),
            Self::TimedOut => ErrorClass::Overload,
        }
    }
}

#[cfg(feature = "diesel")]
impl ErrorType for diesel::result::Error {
    /// diesel's kind of what the database said, for example `unique_violation`, `database` where it has none; else what
    /// failed: `not_found`, `deserialization`, `rollback_transaction`.
    fn error_type(&self) -> Cow<'static, str> {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Error::DatabaseError(DatabaseErrorKind::Unknown, _) => "database".into(),
            Error::DatabaseError(kind, _) => known::snake_case(&format!("{kind:?}")).into(),
            Error::NotFound => "not_found".into(),
            Error::InvalidCString(_) => "invalid_c_string".into(),
            Error::QueryBuilderError(_) => "query_builder".into(),
            Error::DeserializationError(_) => "deserialization".into(),
            Error::SerializationError(_) => "serialization".into(),
            Error::RollbackTransaction => "rollback_transaction".into(),
            Error::RollbackErrorOnCommit { commit_error, .. } => commit_error.error_type(),
            Error::AlreadyInTransaction => "already_in_transaction".into(),
            Error::NotInTransaction => "not_in_transaction".into(),
            Error::BrokenTransactionManager => "broken_transaction_manager".into(),
            _ => "diesel".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        use diesel::result::{DatabaseErrorKind, Error};
        match self {
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            ) => ErrorClass::Dependency,
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => ErrorClass::Overload,
            Error::NotFound => ErrorClass::Caller,
            Error::RollbackTransaction => ErrorClass::Refused,
            _ => ErrorClass::Internal,
        }
    }
}

#[cfg(feature = "diesel")]
impl ErrorType for diesel::ConnectionError {
    /// `bad_connection`, `invalid_connection_url`, `invalid_c_string`, or that of what it did first.
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::BadConnection(_) => "bad_connection".into(),
            Self::InvalidConnectionUrl(_) => "invalid_connection_url".into(),
            Self::InvalidCString(_) => "invalid_c_string".into(),
            Self::CouldntSetupConfiguration(error) => error.error_type(),
            _ => "diesel".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        if matches!(self, Self::BadConnection(_)) { ErrorClass::Dependency } else { ErrorClass::Internal }
    }

    /// Without the URL, which may hold a password.
    fn text(&self) -> String {
        match self {
            Self::BadConnection(_) => "the database cannot be reached".to_owned(),
            Self::InvalidConnectionUrl(_) | Self::InvalidCString(_) => "the URL is not valid".to_owned(),
            _ => "the connection cannot be set up".to_owned(),
        }
    }
}

#[cfg(feature = "memcached")]
impl ErrorType for async_memcached::Error {
    /// The word that the server's answer begins with, for example `SERVER_ERROR`; else what failed: the kind of an input or
    /// output error, for example `connection_refused`, `connection_closed`, `key_too_long`, `protocol`.
    fn error_type(&self) -> Cow<'static, str> {
        use async_memcached::{ErrorKind, Status};
        let status = match self {
            Self::Connect(error) | Self::Io(error) => return error.error_type(),
            Self::ConnectionClosed => return "connection_closed".into(),
            Self::ParseError(_) => return "protocol".into(),
            Self::Protocol(status) => status,
        };
        match status {
            Status::NotFound => "NOT_FOUND",
            Status::NotStored => "NOT_STORED",
            Status::Exists => "EXISTS",
            Status::Error(ErrorKind::NonexistentCommand) => "ERROR",
            Status::Error(ErrorKind::Client(_)) => "CLIENT_ERROR",
            Status::Error(ErrorKind::Server(_)) => "SERVER_ERROR",
            Status::Error(ErrorKind::KeyTooLong) => "key_too_long",
            Status::Error(ErrorKind::OpaqueTooLong) => "opaque_too_long",
            Status::Error(ErrorKind::Generic(_)) => "generic",
            _ => "protocol",
        }
        .into()
    }

    /// False for what is an answer: there is no such key, or there is one.
    fn is_failure(&self) -> bool {
        use async_memcached::Status;
        !matches!(self, Self::Protocol(Status::NotFound | Status::NotStored | Status::Exists))
    }

    fn class(&self) -> ErrorClass {
        use async_memcached::{ErrorKind, Status};
        match self {
            Self::Connect(_)
            | Self::Io(_)
            | Self::ConnectionClosed
            | Self::Protocol(Status::Error(ErrorKind::Server(_))) => ErrorClass::Dependency,
            _ => ErrorClass::Internal,
        }
    }

    /// Its kind alone: what the server says may hold a key.
    fn text(&self) -> String {
        match self {
            Self::Connect(_) => "the cache cannot be reached",
            Self::Io(_) => "the connection to the cache broke",
            Self::ConnectionClosed => "the connection to the cache is closed",
            Self::Protocol(_) => "the cache did not do it",
            Self::ParseError(_) => "the cache's answer cannot be read",
        }
        .to_owned()
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
