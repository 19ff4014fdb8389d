//! Idempotency keys in PostgreSQL; see [`crate::idempotency`] for their rules, which are used here as they are there.

use super::{At, Row, Unit, params};
use crate::Error;
use crate::clock::{from_millis, millis};
use crate::idempotency::{self as rules, Claim, Fence, Key, held, judge};

/// The table, for a service's list of migrations.
pub const SCHEMA: &str = "\
CREATE TABLE idempotency (
    principal text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    fence bigint NOT NULL CHECK (fence > 0),
    lease_until timestamptz NOT NULL,
    recovery_point bytea,
    result bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (principal, route, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);
";

/// As [`crate::idempotency::find`]. Locks nothing.
pub async fn find(unit: &mut Unit, key: &Key) -> Result<Option<Claim>, Error> {
    let found = unit
        .query_optional(
            "SELECT fingerprint, fence, lease_until, recovery_point, result, waypost_now() FROM idempotency
             WHERE principal = $1 AND route = $2 AND key = $3",
            params![&key.principal, &key.route, &key.key],
            |row| Ok((read(row)?, row.time(5)?)),
        )
        .await?;
    let claim = found.map(|(row, now)| judge(Some(&row), &key.fingerprint, now));
    Ok(claim.filter(|claim| !matches!(claim, Claim::New { .. })))
}

/// As [`crate::idempotency::claim`]. One that inserts the same key at the same time is waited for; its row is then locked
/// until this unit ends.
pub async fn claim(unit: &mut Unit, key: &Key) -> Result<Claim, Error> {
    let now = unit.now().await?;
    let first = judge(None, &key.fingerprint, now);
    if let Claim::New { fence, .. } = &first {
        let inserted = unit
            .execute(
                "INSERT INTO idempotency (principal, route, key, fingerprint, fence, lease_until, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (principal, route, key) DO NOTHING",
                params![
                    &key.principal,
                    &key.route,
                    &key.key,
                    &key.fingerprint,
                    fence.0,
                    At(from_millis(rules::lease_until(now))),
                    At(now)
                ],
            )
            .await?;
        if inserted > 0 {
            return Ok(first);
        }
    }
    let row = unit
        .query_optional(
            "SELECT fingerprint, fence, lease_until, recovery_point, result FROM idempotency
             WHERE principal = $1 AND route = $2 AND key = $3 FOR UPDATE",
            params![&key.principal, &key.route, &key.key],
            read,
        )
        .await?;
    let claim = judge(row.as_ref(), &key.fingerprint, now);
    if let Claim::New { fence, .. } = &claim {
        // Deleted between the two statements: neither inserted nor there. Whoever asks again inserts it.
        let before = row.map_or(0, |row| row.fence);
        let taken_over = unit
            .execute(
                "UPDATE idempotency SET fence = $5, lease_until = $6
                 WHERE principal = $1 AND route = $2 AND key = $3 AND fence = $4 AND result IS NULL",
                params![
                    &key.principal,
                    &key.route,
                    &key.key,
                    before,
                    fence.0,
                    At(from_millis(rules::lease_until(now)))
                ],
            )
            .await?;
        held(taken_over > 0, key)?;
    }
    Ok(claim)
}

/// As [`crate::idempotency::record`].
pub async fn record(unit: &mut Unit, key: &Key, fence: Fence, recovery_point: &[u8]) -> Result<(), Error> {
    let until = At(from_millis(rules::lease_until(unit.now().await?)));
    let changed = unit
        .execute(
            "UPDATE idempotency SET recovery_point = $5, lease_until = $6
             WHERE principal = $1 AND route = $2 AND key = $3 AND fence = $4 AND result IS NULL",
            params![&key.principal, &key.route, &key.key, fence.0, recovery_point, until],
        )
        .await?;
    held(changed > 0, key)
}

/// As [`crate::idempotency::finish`].
pub async fn finish(unit: &mut Unit, key: &Key, fence: Fence, result: &[u8]) -> Result<(), Error> {
    let changed = unit
        .execute(
            "UPDATE idempotency SET result = $5
             WHERE principal = $1 AND route = $2 AND key = $3 AND fence = $4 AND result IS NULL",
            params![&key.principal, &key.route, &key.key, fence.0, result],
        )
        .await?;
    held(changed > 0, key)
}

/// As [`crate::idempotency::abandon`].
pub async fn abandon(unit: &mut Unit, key: &Key, fence: Fence) -> Result<(), Error> {
    let changed = unit
        .execute(
            "DELETE FROM idempotency
             WHERE principal = $1 AND route = $2 AND key = $3 AND fence = $4 AND result IS NULL",
            params![&key.principal, &key.route, &key.key, fence.0],
        )
        .await?;
    held(changed > 0, key)
}

/// As [`crate::idempotency::forget`].
pub async fn forget(unit: &mut Unit, key: &Key) -> Result<(), Error> {
    unit.execute(
        "DELETE FROM idempotency WHERE principal = $1 AND route = $2 AND key = $3 AND result IS NOT NULL",
        params![&key.principal, &key.route, &key.key],
    )
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<rules::Row, Error> {
    Ok(rules::Row {
        fingerprint: row.get(0)?,
        fence: row.get(1)?,
        lease_until: millis(row.time(2)?),
        recovery_point: row.get(3)?,
        result: row.get(4)?,
    })
}
