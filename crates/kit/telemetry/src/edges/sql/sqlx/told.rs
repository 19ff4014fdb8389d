//! What sqlx tells: of its pools how many connections there are, of its errors what they mean.

use std::borrow::Cow;

use sqlx::{Database, Error, Pool};

use super::super::pool_metrics::Counted;
use super::super::running::{DriverError, Meaning};

impl<DB: Database> Counted for Pool<DB> {
    fn size(&self) -> i64 {
        self.size().into()
    }

    fn idle(&self) -> i64 {
        i64::try_from(self.num_idle()).unwrap_or(i64::MAX)
    }

    fn max(&self) -> Option<i64> {
        Some(self.options().get_max_connections().into())
    }

    fn min(&self) -> Option<i64> {
        Some(self.options().get_min_connections().into())
    }
}

impl DriverError for Error {
    fn status_code(&self) -> Option<Cow<'static, str>> {
        let Error::Database(said) = self else { return None };
        said.code().map(|code| Cow::Owned(code.into_owned()))
    }

    fn meaning(&self) -> Meaning {
        if matches!(self, Error::RowNotFound) { Meaning::NoRow } else { Meaning::Failure }
    }
}
