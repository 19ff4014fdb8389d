//! Errors of bb8.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

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
