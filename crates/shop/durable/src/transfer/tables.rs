//! What a store consists of, whichever database it is in.

use sha2::{Digest as _, Sha256};

/// The tables of a store, each behind those that it refers to.
#[derive(Debug)]
pub struct Content {
    /// The store: of its service, its file and its schema.
    pub name: &'static str,
    /// Its tables.
    pub tables: &'static [Table],
}

/// A table, in databases of both kinds.
#[derive(Debug)]
pub struct Table {
    /// Its name, also in files of rows.
    pub name: &'static str,
    /// Its name in SQLite, where stores of several services may be in one file.
    pub sqlite: &'static str,
    /// What of it is moved.
    pub columns: &'static [Column],
    /// In which order its rows are read.
    pub order: Order,
    /// Whether the schema begins with rows in it. What is imported takes their place.
    pub is_seeded: bool,
}

/// In which order rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By their first columns, so many.
    Key(usize),
    /// In that in which they came, which each kind of database knows by a column of its own. They are put in in this order.
    Arrival {
        /// In SQLite.
        sqlite: &'static str,
        /// In PostgreSQL, where it is an identity column.
        postgres: &'static str,
    },
}

/// A column: its name and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column(pub &'static str, pub Kind);

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A whole number that the database gives: an identity column in PostgreSQL, the row's id in SQLite.
    Position,
    /// Yes or no: `boolean`, or 0 and 1.
    Flag,
    /// A time: `timestamptz`, or milliseconds since 1970.
    Time,
    /// Bytes.
    Bytes,
    /// JSON: `jsonb`, or text.
    Json,
}

impl Table {
    /// A table whose rows are known by its first `key` columns.
    pub const fn new(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
        Table { name, sqlite: name, columns, order: Order::Key(key), is_seeded: false }
    }

    /// The same, with another name in SQLite.
    #[must_use]
    pub const fn in_sqlite(self, name: &'static str) -> Table {
        Table { sqlite: name, ..self }
    }

    /// The same, into which the schema puts rows.
    #[must_use]
    pub const fn seeded(self) -> Table {
        Table { is_seeded: true, ..self }
    }

    /// The same, whose rows are read in the order in which they came.
    #[must_use]
    pub const fn by_arrival(self, sqlite: &'static str, postgres: &'static str) -> Table {
        Table { order: Order::Arrival { sqlite, postgres }, ..self }
    }

    /// Its columns as a list.
    pub(super) fn list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|Column(name, _)| quoted(name)).collect();
        names.join(", ")
    }
}

impl Content {
    /// What tells this content from that of other versions: tables, columns and what they hold, hashed.
    pub fn form(&self) -> String {
        let mut hash = Sha256::new();
        for table in self.tables {
            hash.update(format!("{};", table.name));
            for Column(name, kind) in table.columns {
                hash.update(format!("{name} {kind:?},"));
            }
        }
        hexadecimal(&hash.finalize())
    }
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS.get(usize::from(half)).copied().unwrap_or(b'?'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What hexadecimal digits stand for; `None` when they are none.
pub(super) fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair.first()?)? * 16 + digit(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_hexadecimal_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes_of(&hexadecimal(&bytes)), Some(bytes));
        assert_eq!((bytes_of("0"), bytes_of("zz"), bytes_of("")), (None, None, Some(Vec::new())));
    }

    #[test]
    fn another_column_is_another_form() {
        const ONE: &[Table] = &[Table::new("orders", 1, &[Column("id", Kind::Text)])];
        const TWO: &[Table] = &[Table::new("orders", 1, &[Column("id", Kind::Bytes)])];
        let form = |tables| Content { name: "order", tables }.form();
        assert_eq!(form(ONE), form(ONE));
        assert_ne!(form(ONE), form(TWO));
    }
}
