//! The schema of a database as a list of steps, each applied once and in order.
//!
//! For services, which list their steps per dialect, and for `waypost migrate`, which shows what is still to do. A step's
//! text is part of the record: a step that was applied must not change, because databases in the field would differ from
//! new ones without anybody knowing.
//!
//! The rule ([`Plan::of`]) is the same for every dialect; how the record is read and a step is applied is a [`Migrator`]'s.

mod sqlite;

pub use sqlite::SqliteMigrator;
pub(crate) use sqlite::{Record, apply};

use std::collections::HashSet;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::{Error, MigrationProblem};

/// Brings one database to the schema of this program.
pub trait Migrator: Debug + Send + Sync {
    /// Which database that is, for people: a file, or the name on a server.
    fn target(&self) -> String;

    /// Tells what [`Migrator::apply`] would do, without changing anything. A database that is missing lacks everything.
    fn plan(&self) -> BoxFuture<'_, Result<Plan, Error>>;

    /// Applies what is pending, each step whole or not at all, and tells which that were. Opening a store does the same.
    ///
    /// Of processes that do it at the same time one applies a step and the others wait, or are refused with
    /// [`Error::InUse`].
    ///
    /// Cancel safety: a step that was begun is carried out or leaves nothing.
    fn apply(&self) -> BoxFuture<'_, Result<Vec<&'static str>, Error>>;
}

/// One step of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its name in the record, such as `0001_orders`. Unique in a database.
    pub id: &'static str,
    /// Its statements. They run in one transaction.
    pub sql: &'static str,
}

impl Migration {
    /// A step.
    pub const fn new(id: &'static str, sql: &'static str) -> Migration {
        Migration { id, sql }
    }

    /// What the record keeps of its text: SHA-256 in lower-case hexadecimal.
    pub fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A step that a database has, as its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The step's id.
    pub id: String,
    /// The [`Migration::checksum`] that it had.
    pub checksum: String,
}

/// What a database has and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Applied steps, in the order of the list.
    pub applied: Vec<String>,
    /// Steps that are applied next, in order.
    pub pending: Vec<&'static str>,
}

impl Plan {
    /// The rule: what is recorded, in the order in which it was applied, must be the beginning of the list, text for text.
    pub fn of(recorded: &[Recorded], migrations: &[Migration]) -> Result<Plan, Error> {
        let mut ids = HashSet::new();
        if let Some(twice) = migrations.iter().find(|migration| !ids.insert(migration.id)) {
            return Err(problem(twice.id, MigrationProblem::Duplicate, None));
        }
        if let Some(unknown) = recorded.iter().find(|record| !ids.contains(record.id.as_str())) {
            return Err(problem(&unknown.id, MigrationProblem::Unknown, None));
        }
        for (record, migration) in recorded.iter().zip(migrations) {
            if record.id != migration.id {
                return Err(problem(migration.id, MigrationProblem::OutOfOrder, None));
            }
            if record.checksum != migration.checksum() {
                return Err(problem(migration.id, MigrationProblem::Changed, None));
            }
        }
        Ok(Plan {
            applied: recorded.iter().map(|record| record.id.clone()).collect(),
            pending: migrations.iter().skip(recorded.len()).map(|migration| migration.id).collect(),
        })
    }
}

pub(crate) fn problem(id: &str, problem: MigrationProblem, source: Option<Error>) -> Error {
    Error::Migration { id: id.to_owned(), problem, source: source.map(Arc::new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Migration = Migration::new("0001_one", "CREATE TABLE one (a INTEGER)");
    const TWO: Migration = Migration::new("0002_two", "CREATE TABLE two (a INTEGER)");

    fn recorded(migration: Migration) -> Recorded {
        Recorded { id: migration.id.to_owned(), checksum: migration.checksum() }
    }

    fn refused(recorded: &[Recorded], migrations: &[Migration]) -> (String, MigrationProblem) {
        match Plan::of(recorded, migrations) {
            Err(Error::Migration { id, problem, .. }) => (id, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_recorded_is_pending() {
        let plan = |recorded: &[Recorded]| Plan::of(recorded, &[ONE, TWO]).unwrap().pending;
        assert_eq!(plan(&[]), ["0001_one", "0002_two"]);
        assert_eq!(plan(&[recorded(ONE)]), ["0002_two"]);
        assert!(plan(&[recorded(ONE), recorded(TWO)]).is_empty());
    }

    #[test]
    fn a_record_that_is_not_the_beginning_of_the_list_is_refused() {
        let changed = Recorded { checksum: TWO.checksum(), ..recorded(ONE) };
        for (record, list, id, problem) in [
            (recorded(TWO), &[ONE, TWO][..], "0001_one", MigrationProblem::OutOfOrder),
            (recorded(TWO), &[ONE], "0002_two", MigrationProblem::Unknown),
            (changed, &[ONE], "0001_one", MigrationProblem::Changed),
            (recorded(ONE), &[ONE, ONE], "0001_one", MigrationProblem::Duplicate),
        ] {
            assert_eq!(refused(&[record], list), (id.to_owned(), problem));
        }
    }
}
