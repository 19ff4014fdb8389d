//! Errors of the standard library, of tokio and of gRPC, and the search for a known error along the sources.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;

use super::{ErrorClass, ErrorType, fingerprint_of};

/// The first error of a known type in a chain that begins with `error`.
pub(super) fn first_in<'a>(error: Option<&'a (dyn Error + 'static)>) -> Option<&'a dyn ErrorType> {
    std::iter::successors(error, |error| (*error).source()).find_map(of)
}

/// The error itself, if its type is known.
pub(super) fn of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn ErrorType> {
    macro_rules! look {
        ($($(#[$only:meta])* $known:ty),+) => {$(
            $(#[$only])*
            if let Some(known) = error.downcast_ref::<$known>() {
                return Some(known);
            }
        )+};
    }
    look!(
        #[cfg(feature = "_tonic")]
        tonic::Status,
        tokio::time::error::Elapsed,
        #[cfg(feature = "kafka")]
        rdkafka::error::KafkaError,
        #[cfg(feature = "nats")]
        async_nats::PublishError,
        #[cfg(feature = "nats")]
        async_nats::RequestError,
        #[cfg(feature = "nats")]
        async_nats::SubscribeError,
        #[cfg(feature = "nats")]
        async_nats::jetstream::context::PublishError,
        #[cfg(feature = "nats")]
        async_nats::jetstream::consumer::StreamError,
        #[cfg(feature = "nats")]
        async_nats::jetstream::consumer::pull::BatchError,
        #[cfg(feature = "nats")]
        async_nats::jetstream::consumer::pull::MessagesError,
        #[cfg(feature = "rabbitmq")]
        lapin::Error,
        #[cfg(feature = "mongodb")]
        mongodb::error::Error,
        #[cfg(feature = "sqlx")]
        sqlx::Error,
        #[cfg(feature = "rusqlite")]
        rusqlite::Error,
        #[cfg(feature = "tokio-postgres")]
        tokio_postgres::Error,
        #[cfg(feature = "diesel")]
        diesel::result::Error,
        #[cfg(feature = "diesel")]
        diesel::ConnectionError,
        #[cfg(feature = "memcached")]
        async_memcached::Error,
        #[cfg(feature = "redis")]
        redis::RedisError,
        #[cfg(feature = "reqwest")]
        reqwest::Error,
        #[cfg(feature = "reqwest-middleware")]
        reqwest_middleware::Error,
        #[cfg(feature = "serde_json")]
        serde_json::Error,
        #[cfg(feature = "hyper")]
        hyper::Error
    );
    let io = error.downcast_ref::<std::io::Error>()?;
    // An error made by `io::Error::other` is only a parcel.
    let parcel = io.get_ref().and_then(|content| of_content(content));
    Some(parcel.unwrap_or(io))
}

fn of_content<'a>(content: &'a (dyn Error + Send + Sync + 'static)) -> Option<&'a dyn ErrorType> {
    of(content)
}

/// `connection_refused` of `ConnectionRefused`, `io_error` of `IOError`.
pub(super) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| letters.get(index));
        let begins_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                let next_is_small = letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
                *before != '_' && (!before.is_ascii_uppercase() || next_is_small)
            });
        if begins_word {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

impl ErrorType for Infallible {
    fn error_type(&self) -> Cow<'static, str> {
        match *self {}
    }
}

impl ErrorType for std::io::Error {
    /// The kind in snake case, for example `connection_refused`.
    fn error_type(&self) -> Cow<'static, str> {
        snake_case(&format!("{:?}", self.kind())).into()
    }

    fn class(&self) -> ErrorClass {
        use std::io::ErrorKind;
        match self.kind() {
            ErrorKind::TimedOut => ErrorClass::Timeout,
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe => ErrorClass::Dependency,
            _ => ErrorClass::Internal,
        }
    }
}

impl ErrorType for tokio::time::error::Elapsed {
    fn error_type(&self) -> Cow<'static, str> {
        "timeout".into()
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Timeout
    }
}

impl ErrorType for tokio::task::JoinError {
    /// `panic` or `cancelled`.
    fn error_type(&self) -> Cow<'static, str> {
        if self.is_panic() { "panic".into() } else { "cancelled".into() }
    }
}

#[cfg(feature = "_tonic")]
impl ErrorType for tonic::Status {
    /// The code's name as on the wire's documentation, for example `NOT_FOUND`.
    fn error_type(&self) -> Cow<'static, str> {
        grpc_code_name(self.code()).into()
    }

    fn is_failure(&self) -> bool {
        self.code() != tonic::Code::Ok
    }

    fn class(&self) -> ErrorClass {
        use tonic::Code;
        match self.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::OutOfRange
            | Code::Cancelled => ErrorClass::Caller,
            Code::FailedPrecondition | Code::Aborted => ErrorClass::Refused,
            Code::Unavailable => ErrorClass::Dependency,
            Code::DeadlineExceeded => ErrorClass::Timeout,
            Code::ResourceExhausted => ErrorClass::Overload,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
                ErrorClass::Internal
            }
        }
    }

    /// The message alone; the code is the `error.type`.
    fn text(&self) -> String {
        self.message().to_owned()
    }

    /// The message alone, which an error that was turned into a status shares with it.
    fn fingerprint(&self) -> u64 {
        fingerprint_of(self.message())
    }
}

#[cfg(feature = "_tonic")]
/// The name of a gRPC code in the conventions: `OK`, `NOT_FOUND`.
pub(crate) fn grpc_code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
