//! Rows as another clock would find them: the clock of a machine cannot be moved by a test, the rows can.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, TransactionBehavior};

/// Makes every time in every database of a data folder this much older, or younger, and tells how many times there were.
/// The databases may be open.
pub(crate) fn age(data: &Path, milliseconds: i64) -> anyhow::Result<u64> {
    let mut aged = 0;
    for file in std::fs::read_dir(data)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "db") {
            aged += age_database(&path, milliseconds).with_context(|| path.display().to_string())?;
        }
    }
    Ok(aged)
}

fn age_database(path: &Path, milliseconds: i64) -> anyhow::Result<u64> {
    let mut database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(30))?;
    let unit = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let pairs = |sql: &str| -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = unit.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    // Some tables refuse every change; a clock that moves changes no row.
    let triggers = pairs("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")?;
    let columns = pairs(
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%' AND columns.type = 'INTEGER'",
    )?;
    for (name, _) in &triggers {
        unit.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    let mut aged = 0;
    for (table, column) in columns {
        // What lies in this range is milliseconds since 1970 of these years, whatever the column is named.
        let sql = format!(
            "UPDATE {table} SET {column} = {column} - ?1 WHERE {column} BETWEEN 1600000000000 AND 2200000000000"
        );
        aged += u64::try_from(unit.execute(&sql, [milliseconds])?)?;
    }
    for (_, sql) in &triggers {
        unit.execute_batch(sql)?;
    }
    unit.commit()?;
    // All rows went through the log just now, which nothing else does.
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
    Ok(aged)
}
