//! Errors of the redis crate.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType, known};

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
