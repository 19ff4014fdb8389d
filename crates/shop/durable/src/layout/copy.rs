//! Copying a store from one file into another, in one transaction.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::tables;
use crate::Error;
use crate::migration::Record;

/// Copies the store that is alone in a file into the file of this connection, where others are.
pub(super) fn into_shared(shared: &mut Connection, from: &Path, store: &'static str) -> Result<(), Error> {
    attached(shared, from, |shared| {
        let unit = shared.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let names = tables::all(&unit, SOURCE)?;
        copy(&unit, &names, &Record::own(), &Record::of(store))?;
        tables::note(&unit, store)?;
        Ok(unit.commit()?)
    })
}

/// Copies a store out of a file in which others are, into the empty file of this connection.
pub(super) fn out_of_shared(own: &mut Connection, from: &Path, store: &'static str) -> Result<(), Error> {
    attached(own, from, |own| {
        let unit = own.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let names = tables::of(&unit, SOURCE, store)?;
        copy(&unit, &names, &Record::of(store), &Record::own())?;
        Ok(unit.commit()?)
    })
}

/// Takes the tables of a store out of a file in which others are.
pub(super) fn drop_from_shared(shared: &mut Connection, store: &str) -> Result<(), Error> {
    let unit = shared.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for name in tables::of(&unit, "main", store)? {
        unit.execute_batch(&format!("DROP TABLE \"{name}\""))?;
    }
    tables::note(&unit, store)?;
    Ok(unit.commit()?)
}

/// What the other file is called while it is attached.
const SOURCE: &str = "source";

fn attached(
    connection: &mut Connection,
    from: &Path,
    copy: impl FnOnce(&mut Connection) -> Result<(), Error>,
) -> Result<(), Error> {
    connection.execute(&format!("ATTACH ?1 AS {SOURCE}"), [from.to_string_lossy()])?;
    let copied = copy(connection);
    let detached = connection.execute_batch(&format!("DETACH {SOURCE}"));
    copied.and(detached.map_err(Error::from))
}

/// Tables with their rows first, then what looks at rows: indexes and triggers.
fn copy(unit: &Transaction<'_>, names: &[String], from: &Record, to: &Record) -> Result<(), Error> {
    for name in names {
        if name == from.table() {
            unit.execute_batch(&to.schema())?;
            rows(unit, name, to.table())?;
        } else {
            for schema in texts(unit, "type = 'table' AND name = ?1", name)? {
                unit.execute_batch(&schema)?;
            }
            rows(unit, name, name)?;
        }
    }
    for kind in ["index", "trigger"] {
        for name in names {
            // What SQLite made by itself, for a key, has no text.
            for schema in
                texts(unit, &format!("type = '{kind}' AND tbl_name = ?1 AND sql IS NOT NULL"), name)?
            {
                unit.execute_batch(&schema)?;
            }
        }
    }
    Ok(())
}

fn texts(unit: &Transaction<'_>, condition: &str, name: &str) -> Result<Vec<String>, Error> {
    let select = format!("SELECT sql FROM {SOURCE}.sqlite_schema WHERE {condition} ORDER BY rowid");
    let mut statement = unit.prepare(&select)?;
    let texts = statement.query_map([name], |row| row.get(0))?;
    Ok(texts.collect::<rusqlite::Result<_>>()?)
}

/// The rows of a table, and up to which number its rows were counted: an id that was given is not given again.
fn rows(unit: &Transaction<'_>, from: &str, to: &str) -> Result<(), Error> {
    unit.execute(&format!("INSERT INTO main.\"{to}\" SELECT * FROM {SOURCE}.\"{from}\""), ())?;
    for schema in ["main", SOURCE] {
        let has_counts =
            format!("SELECT EXISTS (SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'sqlite_sequence')");
        let has_counts: bool = unit.query_row(&has_counts, (), |row| row.get(0))?;
        if !has_counts {
            return Ok(());
        }
    }
    unit.execute("DELETE FROM main.sqlite_sequence WHERE name = ?1", [to])?;
    unit.execute(
        &format!(
            "INSERT INTO main.sqlite_sequence (name, seq)
             SELECT ?2, seq FROM {SOURCE}.sqlite_sequence WHERE name = ?1"
        ),
        [from, to],
    )?;
    Ok(())
}
