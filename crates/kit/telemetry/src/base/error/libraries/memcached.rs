//! Errors of async-memcached.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

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
