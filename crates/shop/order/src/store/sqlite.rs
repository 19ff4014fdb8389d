//! The embedded store: SQLite behind one writer thread.
//!
//! A unit of a saga writes without reading first: the runner knows the order as of the last row of its journal, and
//! the `UPDATE` finds the order only if that is still the last row.

mod operator;
mod retention;
mod rows;
mod schema;

use self::{
    rows::{StoredOrder, malformed, moment, number, parsed, select_order},
    schema::MIGRATIONS,
};
use super::{
    Answer, Cancelling, Kept, Lease, Placed, Placement, Progress, RUNNER_SEPARATOR, Store, Taken, Unfinished,
    operator::OperatorStore,
};
use crate::{
    Error,
    domain::{Cursor, Fact, Move, Order, Origin, TokenKey, Viewer},
};
use rusqlite::params;
use std::{sync::Arc, time::Duration};
use waypost_api::{ErrorCode, OrderId, Timestamp, TransactionId, UserId};
use waypost_durable::{
    BoxFuture, Clock, Database, DatabaseOptions, Epoch, Files, Sharing, SqliteMigrator, Unit,
    idempotency::{self, Claim, Key},
    outbox::{self, Outbox, SqliteOutbox},
    saga::{Entry, Log, Phase},
};
use waypost_telemetry::Telemetry;

/// The name of the database: of its file and in spans.
const DATABASE: &str = "order";

/// Keys that are forgotten in one transaction.
const PURGE_BATCH: u32 = 500;

/// Orders of which something is deleted in one transaction.
const RETENTION_BATCH: u32 = 200;

/// Orders in one SQLite database.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    /// The same database without spans, for polling in the background.
    untraced: Database,
}

impl SqliteStore {
    /// Opens the database and migrates it. Blocks the thread meanwhile.
    pub fn open(files: &Files, telemetry: &Telemetry) -> Result<SqliteStore, Error> {
        Self::open_by(files, telemetry, Clock::system())
    }

    /// As [`SqliteStore::open`], with a clock for the database.
    pub fn open_by(files: &Files, telemetry: &Telemetry, clock: Clock) -> Result<SqliteStore, Error> {
        let options =
            DatabaseOptions { clock, ..DatabaseOptions::new(files.database(DATABASE), DATABASE, telemetry) };
        let database = Database::open(options, MIGRATIONS)?;
        Ok(SqliteStore { untraced: database.untraced(), database })
    }

    /// What brings the database to its schema without opening the store.
    pub(super) fn migrator(files: &Files) -> SqliteMigrator {
        SqliteMigrator::new(files.database(DATABASE), DATABASE, Sharing::Exclusive, MIGRATIONS)
    }
}

impl Store for SqliteStore {
    fn place(&self, placement: Placement) -> Answer<'_, Placed> {
        Box::pin(self.database.write("place", move |unit| place(unit, &placement)))
    }

    fn placed_before(&self, key: Key) -> Answer<'_, Option<Placed>> {
        Box::pin(self.database.read("placed_before", move |unit| placed_before(unit, &key)))
    }

    fn find(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Order>> {
        Box::pin(self.database.read("find", move |unit| find(unit, &id, &viewer)))
    }

    fn page(&self, user: UserId, viewer: Viewer, after: Option<Cursor>, max: u32) -> Answer<'_, Vec<Order>> {
        Box::pin(self.database.scan("page", move |unit| page(unit, &user, &viewer, after.as_ref(), max)))
    }

    fn cancel(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Cancelling>> {
        Box::pin(self.database.write("cancel", move |unit| cancel(unit, &id, &viewer)))
    }

    fn advance(&self, progress: Progress) -> Answer<'_, bool> {
        Box::pin(self.database.write("advance", move |unit| advance(unit, &progress)))
    }

    fn take_over(&self, id: OrderId, runner: String, lasts: Duration) -> Answer<'_, Option<Taken>> {
        Box::pin(self.database.write("take_over", move |unit| take_over(unit, &id, &runner, lasts)))
    }

    fn reload(&self, id: OrderId, epoch: Epoch) -> Answer<'_, Option<Taken>> {
        Box::pin(self.database.read("reload", move |unit| taken(unit, &id, epoch)))
    }

    fn unfinished(&self, max: u32) -> Answer<'_, Vec<Unfinished>> {
        Box::pin(self.untraced.scan("unfinished", move |unit| unfinished(unit, max)))
    }

    fn end_leases(&self, node: String) -> Answer<'_, ()> {
        Box::pin(self.untraced.write("end_leases", move |unit| {
            unit.execute(
                "UPDATE orders SET lease_until = 0 \
                 WHERE phase NOT IN ('ended', 'stuck') AND substr(runner, 1, length(?1)) = ?1",
                [format!("{node}{RUNNER_SEPARATOR}")],
            )?;
            Ok(())
        }))
    }

    fn renew(&self, held: Vec<(OrderId, Epoch)>, lasts: Duration) -> Answer<'_, Vec<OrderId>> {
        Box::pin(self.untraced.write("renew", move |unit| {
            let (mut lost, until) = (Vec::new(), lease_until(unit, lasts));
            for (id, epoch) in held {
                let (order, epoch) = (id.as_str(), number(epoch.number()));
                let renewed = unit.execute(
                    "UPDATE orders SET lease_until = ?3 WHERE order_id = ?1 AND lease_epoch = ?2 \
                     AND phase NOT IN ('ended', 'stuck')",
                    params![order, epoch, until],
                )?;
                let has_it = "SELECT 1 FROM orders WHERE order_id = ?1 AND lease_epoch = ?2";
                if renewed == 0 && unit.query_optional(has_it, params![order, epoch], |_| Ok(()))?.is_none() {
                    lost.push(id);
                }
            }
            Ok(lost)
        }))
    }

    fn purge_keys(&self) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("purge_keys", purge_keys))
    }

    fn token_key(&self) -> Answer<'_, TokenKey> {
        Box::pin(self.untraced.write("token_key", token_key))
    }

    fn delete_ended(&self, kept: Kept) -> Answer<'_, usize> {
        Box::pin(
            self.untraced
                .write("delete_ended", move |unit| retention::delete_ended(unit, kept, RETENTION_BATCH)),
        )
    }

    fn history(&self, id: OrderId) -> Answer<'_, Vec<Move>> {
        Box::pin(self.database.read("history", move |unit| history(unit, &id)))
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(SqliteOutbox::new(&self.database))
    }

    fn operator(&self) -> Arc<dyn OperatorStore> {
        Arc::new(self.clone())
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.untraced.read("ping", |unit| Ok(unit.query_row("SELECT 1", (), |_| Ok(()))?)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

/// The time by the database's clock.
fn now(unit: &mut Unit<'_>) -> Timestamp {
    Timestamp::from(unit.now())
}

/// When a lease of this length ends that is written now.
fn lease_until(unit: &mut Unit<'_>, lasts: Duration) -> i64 {
    now(unit).plus(lasts).unix_millis()
}

fn place(unit: &mut Unit<'_>, placement: &Placement) -> Result<Placed, Error> {
    let Placement { order, facts, lease, key } = placement;
    if let Some(key) = key {
        // The order is what the key stands for from here on: it commits with the key or not at all.
        let result = order.id.as_str().as_bytes();
        let claim = idempotency::claim_with(unit, key, result)?;
        if let Some(before) = placed(unit, &claim)? {
            return Ok(before);
        }
        if matches!(claim, Claim::Done { .. }) {
            // Its order is not kept any more, so neither is the key.
            idempotency::forget(unit, key)?;
            idempotency::claim_with(unit, key, result)?;
        }
    }
    let until = lease_until(unit, lease.lasts);
    unit.execute(
        "INSERT INTO orders (order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, \
         status, created_at, updated_at, version, trace_id, traceparent, tracestate, phase, journal_rows, runner, \
         lease_until) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 'forward', 1, ?16, ?17)",
        params![
            order.id.as_str(),
            order.user.as_str(),
            order.product.as_str(),
            order.quantity,
            order.unit_price.ten_thousandths(),
            order.amount.ten_thousandths(),
            order.amount.currency().as_str(),
            order.payment_method,
            order.status.as_str(),
            order.created_at.unix_millis(),
            order.updated_at.unix_millis(),
            number(order.version),
            order.origin.trace_id,
            order.origin.traceparent,
            order.origin.tracestate,
            lease.runner,
            until,
        ],
    )?;
    append_history(unit, &order.id, &order.last_move())?;
    append_journal(unit, &order.id, 1, facts)?;
    Ok(Placed::New)
}

fn placed_before(unit: &mut Unit<'_>, key: &Key) -> Result<Option<Placed>, Error> {
    let claim = idempotency::find(unit, key)?;
    match claim {
        Some(claim) => placed(unit, &claim),
        None => Ok(None),
    }
}

/// Forgets the keys whose order ended a day ago, and those whose order is not kept any more. Both ages are told by the
/// clock of the database, so that replicas agree on them.
fn purge_keys(unit: &mut Unit<'_>) -> Result<usize, Error> {
    let before = Timestamp::from(unit.ago(idempotency::RETENTION)).unix_millis();
    Ok(unit.execute(
        "DELETE FROM idempotency WHERE (principal, route, key) IN ( \
         SELECT principal, route, key FROM idempotency \
         LEFT JOIN orders ON order_id = CAST(result AS TEXT) \
         WHERE idempotency.created_at <= ?1 AND result IS NOT NULL \
         AND (order_id IS NULL OR ended_at <= ?1) LIMIT ?2)",
        params![before, PURGE_BATCH],
    )?)
}

/// The key of page tokens; made when there is none. Who makes it reads it as everybody else does.
fn token_key(unit: &mut Unit<'_>) -> Result<TokenKey, Error> {
    let mut key: [u8; 32] = [0; 32];
    getrandom::fill(&mut key).map_err(|_| ErrorCode::Internal)?;
    unit.execute("INSERT INTO page_token_key (id, key) VALUES (1, ?1) ON CONFLICT DO NOTHING", [key])?;
    Ok(TokenKey::new(unit.query_row("SELECT key FROM page_token_key", (), |row| row.get(0))?))
}

/// What an older claim of a key means; `None` when the key is new, or its order is not kept any more.
fn placed(unit: &mut Unit<'_>, claim: &Claim) -> Result<Option<Placed>, Error> {
    let id = match claim {
        Claim::New { .. } => return Ok(None),
        Claim::Mismatch => return Ok(Some(Placed::KeyReused)),
        Claim::Done { result } => std::str::from_utf8(result).ok().and_then(|id| OrderId::parse(id).ok()),
        // Claim and result commit together, so there is no such row.
        Claim::InFlight { .. } => None,
    };
    let id = id.ok_or_else(|| malformed("idempotency.result"))?;
    Ok(order_by_id(unit, &id)?.map(|order| Placed::Before(Box::new(order))))
}

fn find(unit: &mut Unit<'_>, id: &OrderId, viewer: &Viewer) -> Result<Option<Order>, Error> {
    let row = unit.query_optional(
        select_order!("WHERE order_id = ?1 AND (user_id = ?2 OR ?3)"),
        params![id.as_str(), viewer.user.as_str(), viewer.is_admin],
        StoredOrder::read,
    )?;
    row.map(Order::try_from).transpose()
}

fn order_by_id(unit: &mut Unit<'_>, id: &OrderId) -> Result<Option<Order>, Error> {
    let row = unit.query_optional(select_order!("WHERE order_id = ?1"), [id.as_str()], StoredOrder::read)?;
    row.map(Order::try_from).transpose()
}

fn page(
    unit: &mut Unit<'_>,
    user: &UserId,
    viewer: &Viewer,
    after: Option<&Cursor>,
    max: u32,
) -> Result<Vec<Order>, Error> {
    let (user, viewer_user, is_admin) = (user.as_str(), viewer.user.as_str(), viewer.is_admin);
    let rows = match after {
        None => unit.query_all(
            select_order!(
                "WHERE user_id = ?1 AND (user_id = ?2 OR ?3) ORDER BY created_at DESC, order_id DESC LIMIT ?4"
            ),
            params![user, viewer_user, is_admin, max],
            StoredOrder::read,
        )?,
        Some(cursor) => unit.query_all(
            select_order!(
                "WHERE user_id = ?1 AND (user_id = ?2 OR ?3) AND (created_at, order_id) < (?5, ?6) \
                 ORDER BY created_at DESC, order_id DESC LIMIT ?4"
            ),
            params![user, viewer_user, is_admin, max, cursor.created_at.unix_millis(), cursor.id.as_str()],
            StoredOrder::read,
        )?,
    };
    rows.into_iter().map(Order::try_from).collect()
}

fn cancel(unit: &mut Unit<'_>, id: &OrderId, viewer: &Viewer) -> Result<Option<Cancelling>, Error> {
    let turned = unit.query_optional(
        "UPDATE orders SET phase = 'back', journal_rows = journal_rows + 1 \
         WHERE order_id = ?1 AND (user_id = ?2 OR ?3) AND phase = 'forward' RETURNING journal_rows",
        params![id.as_str(), viewer.user.as_str(), viewer.is_admin],
        |row| row.get::<_, u32>(0),
    )?;
    if let Some(journal_rows) = turned {
        append_journal(unit, id, journal_rows.into(), &[Entry::CancelRequested])?;
    }
    let Some(order) = find(unit, id, viewer)? else { return Ok(None) };
    if turned.is_some() {
        return Ok(Some(Cancelling::Noted(order)));
    }
    let is_on_its_way_back = unit.query_row(
        "SELECT phase IN ('back', 'stuck') AND status = 'pending' FROM orders WHERE order_id = ?1",
        [id.as_str()],
        |row| row.get::<_, bool>(0),
    )?;
    Ok(Some(if is_on_its_way_back { Cancelling::TurnedBack(order) } else { Cancelling::TooLate(order) }))
}

fn advance(unit: &mut Unit<'_>, progress: &Progress) -> Result<bool, Error> {
    let Progress { order, rows_before, facts, phase, lease, moved, event } = progress;
    if !update_order(unit, order, *rows_before, *phase, Some(lease))? {
        return Ok(false);
    }
    append_journal(unit, &order.id, rows_before + 1, facts)?;
    if let Some(moved) = moved {
        append_history(unit, &order.id, moved)?;
    }
    if let Some(event) = event {
        outbox::append(unit, event)?;
    }
    Ok(true)
}

/// Writes an order as it is after one more row of its journal. `lease` is that of its runner; without one the order must
/// be parked. False, with nothing changed, when the journal has other rows than expected or the order is another's.
fn update_order(
    unit: &mut Unit<'_>,
    order: &Order,
    rows_before: u64,
    phase: Phase,
    lease: Option<&Lease>,
) -> Result<bool, Error> {
    let until = lease.map(|lease| lease_until(unit, lease.lasts));
    let ended_at = now(unit).unix_millis();
    let changed = unit.execute(
        "UPDATE orders SET status = ?3, failure_code = ?4, decline_code = ?5, transaction_id = ?6, updated_at = ?7, \
         version = ?8, phase = ?9, journal_rows = journal_rows + 1, lease_until = coalesce(?11, lease_until), \
         charge = ?12, ended_at = CASE ?9 WHEN 'ended' THEN ?13 END \
         WHERE order_id = ?1 AND journal_rows = ?2 \
         AND CASE WHEN ?10 IS NULL THEN phase = 'stuck' ELSE lease_epoch = ?10 END",
        params![
            order.id.as_str(),
            number(rows_before),
            order.status.as_str(),
            order.failure_code.map(ErrorCode::as_str),
            order.decline_code,
            order.transaction.as_ref().map(TransactionId::as_str),
            order.updated_at.unix_millis(),
            number(order.version),
            phase.as_str(),
            lease.map(|lease| number(lease.epoch.number())),
            until,
            order.charge.as_str(),
            ended_at,
        ],
    )?;
    Ok(changed > 0)
}

fn take_over(
    unit: &mut Unit<'_>,
    id: &OrderId,
    runner: &str,
    lasts: Duration,
) -> Result<Option<Taken>, Error> {
    let (now, until) = (now(unit).unix_millis(), lease_until(unit, lasts));
    let taken_over = unit.query_optional(
        "UPDATE orders SET runner = ?2, lease_until = ?3, lease_epoch = lease_epoch + 1, \
         journal_rows = journal_rows + 1 \
         WHERE order_id = ?1 AND phase <> 'ended' AND lease_until <= ?4 RETURNING journal_rows, lease_epoch",
        params![id.as_str(), runner, until, now],
        |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)),
    )?;
    let Some((journal_rows, epoch)) = taken_over else { return Ok(None) };
    append_journal(unit, id, journal_rows.into(), &[Entry::Resumed])?;
    taken(unit, id, Epoch::new(epoch.into()))
}

fn taken(unit: &mut Unit<'_>, id: &OrderId, epoch: Epoch) -> Result<Option<Taken>, Error> {
    let row = unit.query_optional(
        select_order!("WHERE order_id = ?1 AND lease_epoch = ?2"),
        params![id.as_str(), number(epoch.number())],
        StoredOrder::read,
    )?;
    let Some(row) = row else { return Ok(None) };
    let rows = unit.query_all(
        "SELECT facts FROM order_journal WHERE order_id = ?1 ORDER BY row",
        [id.as_str()],
        |row| row.get::<_, String>(0),
    )?;
    let journal_rows = rows.len() as u64;
    let facts = rows
        .iter()
        .map(|facts| serde_json::from_str::<Vec<Fact>>(facts).map_err(|_| malformed("order_journal.facts")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Taken { order: row.try_into()?, epoch, log: Log::new(facts.concat(), journal_rows) }))
}

fn unfinished(unit: &mut Unit<'_>, max: u32) -> Result<Vec<Unfinished>, Error> {
    let now = now(unit).unix_millis();
    let rows = unit.query_all(
        "SELECT order_id, trace_id, traceparent, tracestate FROM orders \
         WHERE phase <> 'ended' AND lease_until <= ?1 ORDER BY lease_until LIMIT ?2",
        params![now, max],
        |row| {
            let origin = Origin { trace_id: row.get(1)?, traceparent: row.get(2)?, tracestate: row.get(3)? };
            Ok((row.get::<_, String>(0)?, origin))
        },
    )?;
    let read =
        |(id, origin): (String, Origin)| Ok(Unfinished { id: parsed(&id, "orders.order_id")?, origin });
    rows.into_iter().map(read).collect()
}

fn append_history(unit: &mut Unit<'_>, id: &OrderId, moved: &Move) -> Result<(), Error> {
    unit.execute(
        "INSERT INTO order_history (order_id, version, status, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            id.as_str(),
            number(moved.version),
            moved.to.as_str(),
            moved.reason.map(ErrorCode::as_str),
            moved.at.unix_millis(),
        ],
    )?;
    Ok(())
}

fn append_journal(unit: &mut Unit<'_>, id: &OrderId, row: u64, facts: &[Fact]) -> Result<(), Error> {
    let now = now(unit).unix_millis();
    let facts = serde_json::to_string(facts).map_err(|_| malformed("order_journal.facts"))?;
    unit.execute(
        "INSERT INTO order_journal (order_id, row, facts, at) VALUES (?1, ?2, ?3, ?4)",
        params![id.as_str(), number(row), facts, now],
    )?;
    Ok(())
}

fn history(unit: &mut Unit<'_>, id: &OrderId) -> Result<Vec<Move>, Error> {
    let rows = unit.query_all(
        "SELECT version, status, reason, at FROM order_history WHERE order_id = ?1 ORDER BY version",
        [id.as_str()],
        |row| {
            let reason: Option<String> = row.get(2)?;
            Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?, reason, row.get::<_, i64>(3)?))
        },
    )?;
    let read = |(version, status, reason, at): (u32, String, Option<String>, i64)| {
        Ok(Move {
            to: parsed(&status, "order_history.status")?,
            version: version.into(),
            reason: reason.map(|code| parsed(&code, "order_history.reason")).transpose()?,
            at: moment(at, "order_history.at")?,
        })
    };
    rows.into_iter().map(read).collect()
}
