//! Summary and text of statements that come together again and again, put together once.
//!
//! A unit of work runs the same statements of the program's text each time, so they are found by their addresses. Kept for
//! the life of the process, and bounded: what no longer fits is put together each time.

use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use super::dialect::Dialect;
use crate::base::slots::Slots;

/// What is said of a unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) summary: &'static str,
    pub(super) text: &'static str,
}

#[derive(Debug)]
struct Key {
    dialect: Dialect,
    statements: Box<[&'static str]>,
}

static KEPT: LazyLock<Slots<Key, Unit>> = LazyLock::new(Slots::default);

/// What is said of these statements, which `make` puts together; `None` if there is no room.
pub(super) fn of(
    dialect: Dialect,
    statements: &(impl Iterator<Item = &'static str> + Clone),
    make: impl FnOnce() -> (String, String),
) -> Option<&'static Unit> {
    let asked = Asked { dialect, statements: statements.clone() };
    let is_it = |known: &Key| {
        let addresses = known.statements.iter().copied().map(address);
        known.dialect == dialect && addresses.eq(statements.clone().map(address))
    };
    if let Some(unit) = KEPT.find_with(&asked, is_it) {
        return Some(unit);
    }
    let key = Key { dialect, statements: statements.clone().collect() };
    if !KEPT.has_room(&key) {
        return None;
    }
    let (summary, text) = make();
    KEPT.keep(key, Unit { summary: summary.leak(), text: text.leak() });
    KEPT.find_with(&asked, is_it)
}

fn address(statement: &'static str) -> (usize, usize) {
    (statement.as_ptr() as usize, statement.len())
}

fn hash(dialect: Dialect, statements: impl Iterator<Item = &'static str>, state: &mut impl Hasher) {
    Hash::hash(&dialect, state);
    statements.map(address).for_each(|address| address.hash(state));
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let addresses = |key: &Self| key.statements.iter().copied().map(address).collect::<Vec<_>>();
        self.dialect == other.dialect && addresses(self) == addresses(other)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.dialect, self.statements.iter().copied(), state);
    }
}

/// A key that is looked for.
struct Asked<I> {
    dialect: Dialect,
    statements: I,
}

impl<I: Iterator<Item = &'static str> + Clone> Hash for Asked<I> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(self.dialect, self.statements.clone(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_statements_are_put_together_once() {
        let made = |statements: &[&'static str], dialect, text: &str| {
            let made = || (text.to_owned(), format!("text of {text}"));
            let unit = of(dialect, &statements.iter().copied(), made).unwrap();
            (unit.summary, unit.text)
        };
        let (one, other) = ("INSERT INTO a VALUES (?1)", "DELETE FROM b");
        let first = made(&[one, other], Dialect::Sqlite, "first");
        assert_eq!(first, ("first", "text of first"));
        assert_eq!(made(&[one, other], Dialect::Sqlite, "again"), first);
        assert_eq!(made(&[other, one], Dialect::Sqlite, "other order").0, "other order");
        assert_eq!(made(&[one], Dialect::Sqlite, "fewer").0, "fewer");
        assert_eq!(made(&[one, other], Dialect::Postgres, "other dialect").0, "other dialect");
    }
}
