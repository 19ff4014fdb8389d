//! Which table of a shared file is whose, as the file itself says.

use rusqlite::Connection;

use crate::Error;

const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS store_tables (
    name  TEXT NOT NULL PRIMARY KEY,
    store TEXT NOT NULL
) STRICT, WITHOUT ROWID";

/// Notes that the tables that are nobody's are this store's, and forgets those that are gone. Part of the transaction that
/// made or dropped them.
pub(crate) fn note(transaction: &Connection, store: &str) -> Result<(), Error> {
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "DELETE FROM store_tables WHERE name NOT IN (SELECT name FROM sqlite_schema WHERE type = 'table')",
        (),
    )?;
    transaction.execute(
        "INSERT INTO store_tables (name, store)
         SELECT name, ?1 FROM sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> 'store_tables'
           AND name NOT IN (SELECT name FROM store_tables)",
        [store],
    )?;
    Ok(())
}

/// The tables of a store, each behind those that were made before it.
pub(super) fn of(connection: &Connection, schema: &str, store: &str) -> Result<Vec<String>, Error> {
    let select = format!(
        "SELECT name FROM {schema}.sqlite_schema AS tables
         WHERE type = 'table' AND name IN (SELECT name FROM {schema}.store_tables WHERE store = ?1)
         ORDER BY tables.rowid"
    );
    let mut statement = connection.prepare(&select)?;
    let names = statement.query_map([store], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// Whether the file has no store any more.
pub(super) fn are_none(connection: &Connection) -> Result<bool, Error> {
    connection.execute_batch(SCHEMA)?;
    let some = "SELECT EXISTS (SELECT 1 FROM store_tables)";
    let has_some: bool = connection.query_row(some, (), |row| row.get(0))?;
    Ok(!has_some)
}

/// Every table of a file that is a store's own.
pub(super) fn all(connection: &Connection, schema: &str) -> Result<Vec<String>, Error> {
    let select = format!(
        "SELECT name FROM {schema}.sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid"
    );
    let mut statement = connection.prepare(&select)?;
    let names = statement.query_map((), |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}
