//! A part of a unit that belongs to another database of the same file.

use std::fmt::{self, Debug};
use std::sync::Arc;

use super::file::OpenFile;
use super::{Database, Shared, Unit};
use crate::Error;

type Part<A> = dyn FnOnce(&mut Unit<'_>, A) -> Result<(), Error> + Send;

/// What is to be done in one database together with what is done in another: in the same unit when both are in one file, and so
/// with it or not at all. When they are not, whoever asked does it by itself.
///
/// `A`: what the other unit tells it of what it has done.
pub struct Companion<A> {
    file: Arc<OpenFile>,
    shared: Arc<Shared>,
    is_traced: bool,
    part: Box<Part<A>>,
}

impl<A> Companion<A> {
    /// This part of a unit, in this database.
    pub fn new(
        database: &Database,
        part: impl FnOnce(&mut Unit<'_>, A) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        let Database { file, shared, is_traced, .. } = database;
        Self {
            file: Arc::clone(file),
            shared: Arc::clone(shared),
            is_traced: *is_traced,
            part: Box::new(part),
        }
    }

    /// Whether it can be part of a unit of this database.
    pub fn fits(&self, database: &Database) -> bool {
        Arc::ptr_eq(&self.file, &database.file)
    }

    /// Does it, inside of a unit of a database that it [fits](Companion::fits). Its statements stand on the unit's span if its own
    /// database has spans.
    ///
    /// # Errors
    /// [`Error::Closed`] when its own database is closed, and what its statements fail with. The unit has to fail then.
    pub fn run(self, unit: &mut Unit<'_>, told: A) -> Result<(), Error> {
        let Self { shared, is_traced, part, .. } = self;
        if shared.membership.is_over() {
            return Err(Error::Closed(shared.name));
        }
        unit.of(&shared, is_traced, |unit| part(unit, told))
    }
}

impl<A> Debug for Companion<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Companion").field("database", &self.shared.name).finish_non_exhaustive()
    }
}
