//! Errors of deadpool.

use std::borrow::Cow;

use super::super::{ErrorClass, ErrorType};

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
