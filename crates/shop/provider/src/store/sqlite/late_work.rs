//! What is carried out later.

use std::time::Duration;

use rusqlite::params;
use waypost_durable::{Unit, clock};

use super::execute;
use crate::Error;
use crate::domain::Operation;
use crate::store::{Command, Late, WorkedOff};

pub(super) fn put_off(unit: &mut Unit<'_>, command: &Command, by: Duration) -> Result<bool, Error> {
    let answered =
        unit.query_optional("SELECT 1 FROM requests WHERE key = ?1", params![command.key], |_| Ok(()))?;
    if answered.is_some() {
        return Ok(false);
    }
    let operation =
        serde_json::to_string(&command.operation).map_err(|_| Error::Malformed { what: "operation" })?;
    let due_at = clock::millis(unit.now() + by);
    unit.execute(
        "INSERT INTO late_work (key, fingerprint, operation, due_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (key) DO NOTHING",
        params![command.key, command.fingerprint, operation, due_at],
    )?;
    Ok(true)
}

pub(super) fn put_off_work(unit: &mut Unit<'_>) -> Result<Vec<Late>, Error> {
    let now = clock::millis(unit.now());
    Ok(unit.query_all("SELECT key, due_at FROM late_work ORDER BY due_at", [], |row| {
        let left = row.get::<_, i64>(1)?.saturating_sub(now);
        Ok(Late { key: row.get(0)?, left: Duration::from_millis(u64::try_from(left).unwrap_or_default()) })
    })?)
}

pub(super) fn work_off(unit: &mut Unit<'_>, key: &str) -> Result<Option<WorkedOff>, Error> {
    let row = unit.query_optional(
        "DELETE FROM late_work WHERE key = ?1 RETURNING fingerprint, operation",
        params![key],
        |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)),
    )?;
    let Some((fingerprint, operation)) = row else { return Ok(None) };
    let operation: Operation =
        serde_json::from_str(&operation).map_err(|_| Error::Malformed { what: "operation" })?;
    let command = Command { key: key.to_owned(), fingerprint, operation };
    match execute(unit, &command) {
        Ok(answer) => Ok(Some(WorkedOff { operation: command.operation, answer })),
        // A rule's no is the end of it: nothing was written, and nobody is left to be told.
        Err(Error::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
