//! Idempotency keys: one key, one effect, however often and from wherever it is sent.
//!
//! For stores whose commands carry a client's key. The key's row is claimed in the unit that makes the effect, so both
//! commit or neither does. A claim is a lease with a fencing number: when its holder dies, a later request with the
//! same key takes over and goes on from the recovery point, and the old holder, should it wake up, is refused.
//!
//! | row of the key                | same fingerprint              | other fingerprint   |
//! |-------------------------------|-------------------------------|---------------------|
//! | none                          | [`Claim::New`], fence 1       |                     |
//! | in flight, lease runs         | [`Claim::InFlight`]           | [`Claim::Mismatch`] |
//! | in flight, lease ran out      | [`Claim::New`], fence + 1     | [`Claim::Mismatch`] |
//! | done                          | [`Claim::Done`]               | [`Claim::Mismatch`] |
//!
//! The rules are pure functions ([`judge`], [`lease_until`], [`held`]), the same for every dialect. A unit of another
//! database follows [`claim`] statement by statement, which does not rest on there being one writer: it inserts the row, and
//! only who did not insert it reads (and locks) what is there; a take-over names the fence that it was decided on.
//!
//! ```
//! use waypost_durable::idempotency::{self, Claim, Key};
//! use waypost_durable::{Database, DatabaseOptions, Error, Location, Migration};
//! use waypost_telemetry::Telemetry;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let schema = [Migration::new("0001_idempotency", idempotency::SCHEMA)];
//! let database = Database::open(DatabaseOptions::new(Location::Ephemeral, "order", &Telemetry::disabled()), &schema)?;
//! let place = |key: Key| {
//!     database.write("place-order", move |unit| match idempotency::claim(unit, &key)? {
//!         Claim::New { fence, .. } => {
//!             // The order is written here, in the same unit.
//!             idempotency::finish(unit, &key, fence, b"order-1")?;
//!             Ok::<_, Error>(b"order-1".to_vec())
//!         }
//!         Claim::Done { result } => Ok(result),
//!         Claim::InFlight { .. } | Claim::Mismatch => Err(Error::Malformed { what: "answered 409 and 422 elsewhere" }),
//!     })
//! };
//! let key = Key {
//!     principal: "user123".to_owned(),
//!     route: "POST /api/orders".to_owned(),
//!     key: "a2f1".to_owned(),
//!     fingerprint: b"sha256 of the request".to_vec(),
//! };
//! assert_eq!(place(key.clone()).await?, place(key).await?);
//! # Ok::<(), Error>(())
//! # })?;
//! # Ok::<(), Error>(())
//! ```
//!
//! A row lives for as long as its effect goes on, and at least [`RETENTION`] after that; then the key is new again. Only the
//! owner of the table knows when an effect has ended, so it deletes the rows itself.

use std::time::{Duration, SystemTime};

use rusqlite::params;

use crate::clock::{millis, saturating_millis};
use crate::transfer::{Column, Kind, Table};
use crate::{Error, Unit};

/// The table, for a service's list of migrations.
pub const SCHEMA: &str = "\
CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    fence INTEGER NOT NULL CHECK (fence > 0),
    lease_until INTEGER NOT NULL,
    recovery_point BLOB,
    result BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (principal, route, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);
";

/// The table, for a service's list of what is moved to another database.
pub const TABLE: Table = Table::new(
    "idempotency",
    3,
    &[
        Column("principal", Kind::Text),
        Column("route", Kind::Text),
        Column("key", Kind::Text),
        Column("fingerprint", Kind::Bytes),
        Column("fence", Kind::Number),
        Column("lease_until", Kind::Time),
        Column("recovery_point", Kind::Bytes),
        Column("result", Kind::Bytes),
        Column("created_at", Kind::Time),
    ],
);

/// How long a claim holds before another request may take it over.
pub const LEASE: Duration = Duration::from_secs(30);

/// How long a key is remembered after what it stands for has ended.
pub const RETENTION: Duration = Duration::from_hours(24);

/// A client's key in its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose key it is; the same key of two principals is two keys.
    pub principal: String,
    /// Method and route template, such as `POST /api/orders`.
    pub route: String,
    /// The key as the client sent it.
    pub key: String,
    /// Hash of everything that makes requests different.
    pub fingerprint: Vec<u8>,
}

/// The number of a claim; it rises with each take-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub i64);

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller holds the key now and makes the effect.
    New {
        /// To be shown with [`record`], [`finish`] and [`abandon`].
        fence: Fence,
        /// What the holder before recorded; `None` when there was none. The caller goes on from there.
        recovery_point: Option<Vec<u8>>,
    },
    /// Another request holds it.
    InFlight {
        /// How long its lease still runs.
        lease_left: Duration,
        /// What it recorded so far.
        recovery_point: Option<Vec<u8>>,
    },
    /// The effect was made; this is its result.
    Done {
        /// As given to [`finish`].
        result: Vec<u8>,
    },
    /// The key belongs to another request.
    Mismatch,
}

/// What [`claim`] would say of a key that was used before, without claiming it; `None` when the key is free.
pub fn find(unit: &mut Unit<'_>, key: &Key) -> Result<Option<Claim>, Error> {
    let (row, now) = (row(unit, key)?, unit.now());
    Ok(Some(judge(row.as_ref(), &key.fingerprint, now)).filter(|claim| !matches!(claim, Claim::New { .. })))
}

/// Claims a key. Its lease runs by the database's clock.
///
/// Of claimers at the same time one gets [`Claim::New`]: it inserted the row, or took it over from the holder that it had
/// read.
pub fn claim(unit: &mut Unit<'_>, key: &Key) -> Result<Claim, Error> {
    match insert(unit, key, None)? {
        Some(new) => Ok(new),
        None => claim_known(unit, key),
    }
}

/// Claims a key and stores its result at once, for an effect that is made in the same unit: no other claim can come between
/// [`claim`] and [`finish`] then. After [`Claim::New`] the key has this result; any other answer is that of [`claim`].
pub fn claim_with(unit: &mut Unit<'_>, key: &Key, result: &[u8]) -> Result<Claim, Error> {
    if let Some(new) = insert(unit, key, Some(result))? {
        return Ok(new);
    }
    let claim = claim_known(unit, key)?;
    if let Claim::New { fence, .. } = claim {
        finish(unit, key, fence, result)?;
    }
    Ok(claim)
}

/// Claims a key that is free; `None` when there is a row of it.
fn insert(unit: &mut Unit<'_>, key: &Key, result: Option<&[u8]>) -> Result<Option<Claim>, Error> {
    let now = unit.now();
    let new = judge(None, &key.fingerprint, now);
    let Claim::New { fence, .. } = &new else { return Ok(None) };
    let inserted = unit.execute(
        "INSERT INTO idempotency (principal, route, key, fingerprint, fence, lease_until, created_at, result)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (principal, route, key) DO NOTHING",
        params![
            key.principal,
            key.route,
            key.key,
            key.fingerprint,
            fence.0,
            lease_until(now),
            millis(now),
            result
        ],
    )?;
    Ok((inserted > 0).then_some(new))
}

/// Claims a key that was claimed before, if its holder may be replaced.
fn claim_known(unit: &mut Unit<'_>, key: &Key) -> Result<Claim, Error> {
    let now = unit.now();
    let row = row(unit, key)?;
    let claim = judge(row.as_ref(), &key.fingerprint, now);
    if let (Claim::New { fence, .. }, Some(before)) = (&claim, &row) {
        let taken_over = unit.execute(
            "UPDATE idempotency SET fence = ?5, lease_until = ?6
             WHERE principal = ?1 AND route = ?2 AND key = ?3 AND fence = ?4 AND result IS NULL",
            params![key.principal, key.route, key.key, before.fence, fence.0, lease_until(now)],
        )?;
        held(taken_over > 0, key)?;
    }
    Ok(claim)
}

fn row(unit: &mut Unit<'_>, key: &Key) -> Result<Option<Row>, Error> {
    unit.query_optional(
        "SELECT fingerprint, fence, lease_until, recovery_point, result FROM idempotency
         WHERE principal = ?1 AND route = ?2 AND key = ?3",
        params![key.principal, key.route, key.key],
        |row| {
            Ok(Row {
                fingerprint: row.get(0)?,
                fence: row.get(1)?,
                lease_until: row.get(2)?,
                recovery_point: row.get(3)?,
                result: row.get(4)?,
            })
        },
    )
}

/// Records how far the holder of a key has come, and starts its lease anew. [`Error::Fenced`] when another took over.
pub fn record(unit: &mut Unit<'_>, key: &Key, fence: Fence, recovery_point: &[u8]) -> Result<(), Error> {
    let until = lease_until(unit.now());
    let changed = unit.execute(
        "UPDATE idempotency SET recovery_point = ?5, lease_until = ?6
         WHERE principal = ?1 AND route = ?2 AND key = ?3 AND fence = ?4 AND result IS NULL",
        params![key.principal, key.route, key.key, fence.0, recovery_point, until],
    )?;
    held(changed > 0, key)
}

/// Stores the result, which later requests with the key get. [`Error::Fenced`] when another took over.
pub fn finish(unit: &mut Unit<'_>, key: &Key, fence: Fence, result: &[u8]) -> Result<(), Error> {
    let changed = unit.execute(
        "UPDATE idempotency SET result = ?5
         WHERE principal = ?1 AND route = ?2 AND key = ?3 AND fence = ?4 AND result IS NULL",
        params![key.principal, key.route, key.key, fence.0, result],
    )?;
    held(changed > 0, key)
}

/// Forgets a claim that came to nothing, so that the key is new again. [`Error::Fenced`] when another took over.
pub fn abandon(unit: &mut Unit<'_>, key: &Key, fence: Fence) -> Result<(), Error> {
    let changed = unit.execute(
        "DELETE FROM idempotency
         WHERE principal = ?1 AND route = ?2 AND key = ?3 AND fence = ?4 AND result IS NULL",
        params![key.principal, key.route, key.key, fence.0],
    )?;
    held(changed > 0, key)
}

/// Forgets a key whose effect is not kept any more, so that it is new again.
pub fn forget(unit: &mut Unit<'_>, key: &Key) -> Result<(), Error> {
    unit.execute(
        "DELETE FROM idempotency WHERE principal = ?1 AND route = ?2 AND key = ?3 AND result IS NOT NULL",
        params![key.principal, key.route, key.key],
    )?;
    Ok(())
}

/// What is stored for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of the request that claimed it first.
    pub fingerprint: Vec<u8>,
    /// That of the last claim.
    pub fence: i64,
    /// Until when its holder has it: milliseconds since 1970.
    pub lease_until: i64,
    /// What its holder recorded last.
    pub recovery_point: Option<Vec<u8>>,
    /// Set once it is done.
    pub result: Option<Vec<u8>>,
}

/// The rule of the table above: what a claim at this time is answered when the row is this one.
pub fn judge(row: Option<&Row>, fingerprint: &[u8], now: SystemTime) -> Claim {
    let Some(row) = row else {
        return Claim::New { fence: Fence(1), recovery_point: None };
    };
    if row.fingerprint != fingerprint {
        return Claim::Mismatch;
    }
    if let Some(result) = &row.result {
        return Claim::Done { result: result.clone() };
    }
    let recovery_point = row.recovery_point.clone();
    match u64::try_from(row.lease_until - millis(now)) {
        Ok(left) if left > 0 => Claim::InFlight { lease_left: Duration::from_millis(left), recovery_point },
        _ => Claim::New { fence: Fence(row.fence + 1), recovery_point },
    }
}

/// Until when a claim of this moment holds: milliseconds since 1970.
pub fn lease_until(now: SystemTime) -> i64 {
    millis(now).saturating_add(saturating_millis(LEASE))
}

/// What a write that names key and fence is answered: [`Error::Fenced`] when it found no such row, because another has
/// taken over or it is done.
pub fn held(is_held: bool, key: &Key) -> Result<(), Error> {
    if is_held {
        return Ok(());
    }
    Err(Error::Fenced { what: format!("idempotency key {}", key.key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
    }

    fn in_flight(fence: i64, lease_until: i64) -> Row {
        let recovery_point = Some(b"half".to_vec());
        Row { fingerprint: b"body".to_vec(), fence, lease_until, recovery_point, result: None }
    }

    #[test]
    fn each_row_has_one_answer() {
        let recovery_point = || Some(b"half".to_vec());
        let (held, over) = (in_flight(3, lease_until(now())), in_flight(3, millis(now())));
        let done = Row { result: Some(b"order-1".to_vec()), ..over.clone() };
        for (row, answer) in [
            (None, Claim::New { fence: Fence(1), recovery_point: None }),
            (Some(&held), Claim::InFlight { lease_left: LEASE, recovery_point: recovery_point() }),
            (Some(&over), Claim::New { fence: Fence(4), recovery_point: recovery_point() }),
            (Some(&done), Claim::Done { result: b"order-1".to_vec() }),
        ] {
            assert_eq!(judge(row, b"body", now()), answer);
            let foreign = judge(row, b"another body", now());
            assert_eq!(foreign == Claim::Mismatch, row.is_some(), "{row:?}");
        }
    }

    #[test]
    fn a_write_that_found_no_row_of_its_claim_is_fenced() {
        let key =
            Key { principal: "p".into(), route: "r".into(), key: "k-1".into(), fingerprint: Vec::new() };
        assert!(held(true, &key).is_ok());
        let Err(Error::Fenced { what, .. }) = held(false, &key) else { panic!("it must be fenced") };
        assert_eq!(what, "idempotency key k-1");
    }
}
