//! What an error of tokio-postgres means.

use std::borrow::Cow;

use tokio_postgres::Error;

use super::super::running::{DriverError, Meaning};
use crate::base::error::is_row_count;

impl DriverError for Error {
    fn status_code(&self) -> Option<Cow<'static, str>> {
        self.code().map(|code| Cow::Owned(code.code().to_owned()))
    }

    fn meaning(&self) -> Meaning {
        if is_row_count(self) { Meaning::OtherRows } else { Meaning::Failure }
    }
}
