//! Errors of hyper.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

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
