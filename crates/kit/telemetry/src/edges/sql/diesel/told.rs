//! What errors of diesel mean. It keeps the SQLSTATE to itself.

use std::borrow::Cow;

use diesel::ConnectionError;
use diesel::result::Error;

use super::super::running::{DriverError, Meaning};

impl DriverError for Error {
    fn status_code(&self) -> Option<Cow<'static, str>> {
        None
    }

    fn meaning(&self) -> Meaning {
        if matches!(self, Self::NotFound) { Meaning::NoRow } else { Meaning::Failure }
    }
}

impl DriverError for ConnectionError {
    fn status_code(&self) -> Option<Cow<'static, str>> {
        None
    }

    fn meaning(&self) -> Meaning {
        Meaning::Failure
    }
}
