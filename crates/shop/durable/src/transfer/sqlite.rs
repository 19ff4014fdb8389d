//! Rows of a SQLite file.

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};

use super::TransferError;
use super::file::{Cell, Reader, Writer, canonical};
use super::tables::{Column, Content, Kind, Order, Table, quoted};
use crate::database::open_alone;
use crate::{Error, database};

/// Rows that are read of the file at once.
const BATCH: usize = 256;

pub(super) fn export(path: &Path, content: &Content, writer: &mut Writer) -> Result<(), TransferError> {
    let mut alone = open_alone(path)?;
    let state = alone.connection.transaction().map_err(Error::from)?;
    for table in content.tables {
        let sql = format!("SELECT {} FROM {} ORDER BY {}", table.list(), quoted(table.sqlite), order(table));
        let mut statement = state.prepare(&sql).map_err(Error::from)?;
        let mut rows = statement.query(()).map_err(Error::from)?;
        while let Some(row) = rows.next().map_err(Error::from)? {
            let cells = table.columns.iter().enumerate().map(|(place, Column(_, kind))| {
                let value = row.get_ref(place).map_err(Error::from)?;
                cell(value, *kind).ok_or(Error::Malformed { what: table.name })
            });
            writer.row(table, cells.collect::<Result<Vec<Cell>, Error>>()?)?;
        }
    }
    Ok(())
}

pub(super) fn is_empty(path: &Path, content: &Content) -> Result<bool, TransferError> {
    let alone = open_alone(path)?;
    Ok(occupied(&alone.connection, content)?.is_none())
}

pub(super) fn import(path: &Path, content: &Content, mut reader: Reader) -> Result<u64, TransferError> {
    let mut alone = open_alone(path)?;
    let unit =
        alone.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::from)?;
    if let Some(table) = occupied(&unit, content)? {
        return Err(TransferError::NotEmpty { name: content.name, table });
    }
    for table in content.tables.iter().filter(|table| table.is_seeded) {
        unit.execute(&format!("DELETE FROM {}", quoted(table.sqlite)), ()).map_err(Error::from)?;
    }
    let mut imported = 0;
    while let Some((number, rows)) = reader.rows(BATCH)? {
        let Some(table) = content.tables.get(number) else { break };
        imported += rows.len() as u64;
        insert(&unit, table, rows)?;
    }
    unit.commit().map_err(Error::from).map_err(|error| database::explain(path, error))?;
    Ok(imported)
}

fn insert(unit: &Transaction<'_>, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), Error> {
    let places: Vec<String> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
    let (name, columns) = (quoted(table.sqlite), table.list());
    let sql = format!("INSERT INTO {name} ({columns}) VALUES ({})", places.join(", "));
    let mut insert = unit.prepare_cached(&sql)?;
    for row in rows {
        insert.execute(params_from_iter(row.into_iter().map(value)))?;
    }
    Ok(())
}

/// A table that has rows which the schema did not put there.
fn occupied(connection: &Connection, content: &Content) -> Result<Option<&'static str>, Error> {
    for table in content.tables.iter().filter(|table| !table.is_seeded) {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(table.sqlite));
        if connection.query_row(&sql, (), |row| row.get(0))? {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

fn order(table: &Table) -> String {
    match table.order {
        Order::Key(columns) => {
            let names: Vec<String> =
                table.columns.iter().take(columns).map(|Column(name, _)| quoted(name)).collect();
            names.join(", ")
        }
        Order::Arrival { sqlite, .. } => sqlite.to_owned(),
    }
}

fn cell(value: ValueRef<'_>, kind: Kind) -> Option<Cell> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => Cell::Null,
        (ValueRef::Text(text), Kind::Text) => Cell::Text(String::from_utf8(text.to_vec()).ok()?),
        (ValueRef::Text(text), Kind::Json) => Cell::Text(canonical(std::str::from_utf8(text).ok()?)?),
        (ValueRef::Blob(bytes), Kind::Bytes) => Cell::Bytes(bytes.to_vec()),
        (ValueRef::Integer(number), Kind::Number | Kind::Position | Kind::Time) => Cell::Number(number),
        (ValueRef::Integer(flag @ (0 | 1)), Kind::Flag) => Cell::Flag(flag == 1),
        _ => return None,
    })
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::Text(text),
        Cell::Number(number) => Value::Integer(number),
        Cell::Flag(flag) => Value::Integer(i64::from(flag)),
        Cell::Bytes(bytes) => Value::Blob(bytes),
    }
}
