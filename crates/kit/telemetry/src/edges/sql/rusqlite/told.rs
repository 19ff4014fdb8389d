//! What an error of rusqlite means.

use std::borrow::Cow;

use rusqlite::Error;

use super::super::running::{DriverError, Meaning};

impl DriverError for Error {
    /// The extended result code.
    fn status_code(&self) -> Option<Cow<'static, str>> {
        self.sqlite_error().map(|error| error.extended_code.to_string().into())
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::QueryReturnedNoRows => Meaning::NoRow,
            Self::QueryReturnedMoreThanOneRow => Meaning::OtherRows,
            _ => Meaning::Failure,
        }
    }
}
