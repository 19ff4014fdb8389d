//! What is carried out later.

use std::time::Duration;

use waypost_durable::postgres::{At, Unit, params};

use super::execute;
use crate::Error;
use crate::domain::Operation;
use crate::store::{Command, Late, WorkedOff};

pub(super) async fn put_off(unit: &mut Unit, command: &Command, by: Duration) -> Result<bool, Error> {
    let answered =
        unit.query_optional("SELECT 1 FROM requests WHERE key = $1", params![&command.key], |_| Ok(()));
    if answered.await?.is_some() {
        return Ok(false);
    }
    let operation =
        serde_json::to_string(&command.operation).map_err(|_| Error::Malformed { what: "operation" })?;
    let due_at = unit.now().await? + by;
    unit.execute(
        "INSERT INTO late_work (key, fingerprint, operation, due_at) VALUES ($1, $2, $3::text::jsonb, $4)
         ON CONFLICT (key) DO NOTHING",
        params![&command.key, &command.fingerprint, operation, At(due_at)],
    )
    .await?;
    Ok(true)
}

pub(super) async fn put_off_work(unit: &mut Unit) -> Result<Vec<Late>, Error> {
    let work = unit.query_all(
        "SELECT key, due_at, waypost_now() FROM late_work ORDER BY due_at",
        params![],
        |row| {
            let left = row.time(1)?.duration_since(row.time(2)?).unwrap_or_default();
            Ok(Late { key: row.get(0)?, left })
        },
    );
    Ok(work.await?)
}

pub(super) async fn work_off(unit: &mut Unit, key: &str) -> Result<Option<WorkedOff>, Error> {
    let row = unit.query_optional(
        "DELETE FROM late_work WHERE key = $1 RETURNING fingerprint, operation::text",
        params![key],
        |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<String>(1)?)),
    );
    let Some((fingerprint, operation)) = row.await? else { return Ok(None) };
    let operation: Operation =
        serde_json::from_str(&operation).map_err(|_| Error::Malformed { what: "operation" })?;
    let command = Command { key: key.to_owned(), fingerprint, operation };
    match execute(unit, &command).await {
        Ok(answer) => Ok(Some(WorkedOff { operation: command.operation, answer })),
        // A rule's no is the end of it: nothing was written, and nobody is left to be told.
        Err(Error::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
