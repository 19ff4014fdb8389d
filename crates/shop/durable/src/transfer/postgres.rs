//! Rows of a schema of a PostgreSQL server.

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::TransferError;
use super::file::{Cell, Reader, Writer, canonical};
use super::tables::{Column, Content, Kind, Order, Table, quoted};
use crate::Error;
use crate::clock::{from_millis, millis};
use crate::postgres::{At, Server, close_session, open_session};

/// Rows of one statement.
const BATCH: usize = 500;

pub(super) async fn export(
    server: &Server,
    content: &'static Content,
    writer: &mut Writer,
) -> Result<(), TransferError> {
    let mut session = open_session(server, content.name).await?;
    let exported = export_on(&mut session, content, writer).await;
    close_session(session).await;
    exported
}

async fn export_on(
    session: &mut PgConnection,
    content: &'static Content,
    writer: &mut Writer,
) -> Result<(), TransferError> {
    // One state of all tables, however long it takes to read them.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";
    session.execute(sqlx::raw_sql(begin)).await.map_err(Error::from)?;
    for table in content.tables {
        let columns: Vec<String> = table.columns.iter().map(read).collect();
        let (name, order) = (quoted(table.name), order(table));
        let sql = format!("SELECT {} FROM {name} ORDER BY {order}", columns.join(", "));
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut *session);
        while let Some(row) = rows.try_next().await.map_err(Error::from)? {
            let cells =
                table.columns.iter().enumerate().map(|(place, Column(_, kind))| cell(&row, place, *kind));
            writer.row(table, cells.collect::<Result<Vec<Cell>, sqlx::Error>>().map_err(Error::from)?)?;
        }
    }
    session.execute("COMMIT").await.map_err(Error::from)?;
    Ok(())
}

pub(super) async fn is_empty(server: &Server, content: &'static Content) -> Result<bool, TransferError> {
    let mut session = open_session(server, content.name).await?;
    let occupied = occupied(&mut session, content).await;
    close_session(session).await;
    Ok(occupied.map_err(Error::from)?.is_none())
}

pub(super) async fn import(
    server: &Server,
    content: &'static Content,
    mut reader: Reader,
) -> Result<u64, TransferError> {
    let mut session = open_session(server, content.name).await?;
    let imported = import_on(&mut session, content, &mut reader).await;
    // Without a commit its end undoes everything.
    close_session(session).await;
    imported
}

async fn import_on(
    session: &mut PgConnection,
    content: &'static Content,
    reader: &mut Reader,
) -> Result<u64, TransferError> {
    let mut unit = session.begin().await.map_err(Error::from)?;
    (&mut *unit).execute("SET LOCAL statement_timeout = 0").await.map_err(Error::from)?;
    for table in content.tables {
        // Whoever writes waits until it is known whether there is something.
        let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", quoted(table.name));
        (&mut *unit).execute(AssertSqlSafe(lock)).await.map_err(Error::from)?;
    }
    if let Some(table) = occupied(&mut unit, content).await.map_err(Error::from)? {
        return Err(TransferError::NotEmpty { name: content.name, table });
    }
    for table in content.tables.iter().filter(|table| table.is_seeded) {
        let delete = format!("DELETE FROM {}", quoted(table.name));
        (&mut *unit).execute(AssertSqlSafe(delete)).await.map_err(Error::from)?;
    }
    let mut imported = 0;
    while let Some((number, rows)) = reader.rows(BATCH)? {
        let Some(table) = content.tables.get(number) else { break };
        imported += rows.len() as u64;
        insert(&mut unit, table, rows).await.map_err(Error::from)?;
    }
    for table in content.tables {
        for Column(name, _) in table.columns.iter().filter(|Column(_, kind)| *kind == Kind::Position) {
            // What comes next stands behind what is there.
            let (table, column) = (quoted(table.name), quoted(name));
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{name}'), max({column})) FROM {table}
                 HAVING count(*) > 0"
            );
            (&mut *unit).execute(AssertSqlSafe(next)).await.map_err(Error::from)?;
        }
    }
    unit.commit().await.map_err(Error::from)?;
    Ok(imported)
}

/// One statement for many rows, which are an array for each column.
async fn insert(unit: &mut PgConnection, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), sqlx::Error> {
    let (mut arguments, mut arrays, mut aliases, mut values) =
        (PgArguments::default(), Vec::new(), Vec::new(), Vec::new());
    let mut columns: Vec<Vec<Cell>> = table.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    for ((place, Column(_, kind)), cells) in (1..).zip(table.columns).zip(columns) {
        let (array, value) = match kind {
            Kind::Text => ("text", format!("c{place}")),
            Kind::Json => ("text", format!("c{place}::jsonb")),
            Kind::Number | Kind::Position => ("bigint", format!("c{place}")),
            Kind::Time => ("timestamptz", format!("c{place}")),
            Kind::Flag => ("boolean", format!("c{place}")),
            Kind::Bytes => ("bytea", format!("c{place}")),
        };
        bind(&mut arguments, *kind, cells).map_err(sqlx::Error::Encode)?;
        arrays.push(format!("${place}::{array}[]"));
        aliases.push(format!("c{place}"));
        values.push(value);
    }
    let sql = format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE
         SELECT {} FROM unnest({}) WITH ORDINALITY AS rows ({}, place) ORDER BY place",
        quoted(table.name),
        table.list(),
        values.join(", "),
        arrays.join(", "),
        aliases.join(", ")
    );
    sqlx::query_with(AssertSqlSafe(sql), arguments).execute(unit).await.map(drop)
}

fn bind(arguments: &mut PgArguments, kind: Kind, cells: Vec<Cell>) -> Result<(), sqlx::error::BoxDynError> {
    let texts = |cell| if let Cell::Text(text) = cell { Some(text) } else { None };
    let numbers = |cell| if let Cell::Number(number) = cell { Some(number) } else { None };
    let flags = |cell| if let Cell::Flag(flag) = cell { Some(flag) } else { None };
    let bytes = |cell| if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None };
    let cells = cells.into_iter();
    match kind {
        Kind::Text | Kind::Json => arguments.add(cells.map(texts).collect::<Vec<Option<String>>>()),
        Kind::Number | Kind::Position => arguments.add(cells.map(numbers).collect::<Vec<Option<i64>>>()),
        Kind::Time => {
            arguments.add(cells.map(|cell| numbers(cell).map(|at| At(from_millis(at)))).collect::<Vec<_>>())
        }
        Kind::Flag => arguments.add(cells.map(flags).collect::<Vec<Option<bool>>>()),
        Kind::Bytes => arguments.add(cells.map(bytes).collect::<Vec<Option<Vec<u8>>>>()),
    }
}

/// A table that has rows which the schema did not put there.
async fn occupied(
    session: &mut PgConnection,
    content: &'static Content,
) -> Result<Option<&'static str>, sqlx::Error> {
    for table in content.tables.iter().filter(|table| !table.is_seeded) {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(table.name));
        if sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *session).await?.try_get(0)? {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

/// A column as it is read.
fn read(Column(name, kind): &Column) -> String {
    let name = quoted(name);
    match kind {
        Kind::Number | Kind::Position => format!("{name}::bigint"),
        Kind::Json => format!("{name}::text"),
        Kind::Text | Kind::Flag | Kind::Time | Kind::Bytes => name,
    }
}

/// By bytes, as SQLite does.
fn order(table: &Table) -> String {
    match table.order {
        Order::Key(columns) => {
            let by = |Column(name, kind): &Column| match kind {
                Kind::Text => format!("{} COLLATE \"C\"", quoted(name)),
                _ => quoted(name),
            };
            let columns: Vec<String> = table.columns.iter().take(columns).map(by).collect();
            columns.join(", ")
        }
        Order::Arrival { postgres, .. } => quoted(postgres),
    }
}

fn cell(row: &PgRow, place: usize, kind: Kind) -> Result<Cell, sqlx::Error> {
    let cell = match kind {
        Kind::Text => row.try_get::<Option<String>, _>(place)?.map(Cell::Text),
        Kind::Json => {
            let json: Option<String> = row.try_get(place)?;
            json.map(|json| Cell::Text(canonical(&json).unwrap_or(json)))
        }
        Kind::Number | Kind::Position => row.try_get::<Option<i64>, _>(place)?.map(Cell::Number),
        Kind::Flag => row.try_get::<Option<bool>, _>(place)?.map(Cell::Flag),
        Kind::Time => row.try_get::<Option<At>, _>(place)?.map(|at| Cell::Number(millis(at.0))),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(place)?.map(Cell::Bytes),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
