//! The store on PostgreSQL.
//!
//! A unit of a saga writes without reading first: the runner knows the order as of the last row of its journal, and the
//! `UPDATE` finds the order only if that is still the last row. New orders and steps of sagas that are ready together are one
//! statement (`groups`).

mod groups;
mod operator;
mod retention;
mod rows;

use self::rows::{Read, at, facts, malformed, number, order_of_row, parsed, select_order};
use super::{
    Answer, Cancelling, Kept, Lease, Placed, Placement, Progress, RUNNER_SEPARATOR, Store, Taken, Unfinished,
    operator::OperatorStore,
};
use crate::{
    Error,
    domain::{Cursor, Fact, Move, Order, Origin, TokenKey, Viewer},
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use waypost_api::{ErrorCode, OrderId, TransactionId, UserId};
use waypost_durable::{
    BoxFuture, Epoch, Migration,
    idempotency::{self as keys, Claim, Key},
    outbox::Outbox,
    postgres::{
        At, Database, PostgresMigrator, Server, Unit,
        group::{Group, Kind, Name, Way},
        idempotency, millis_of, outbox,
        outbox::PostgresOutbox,
        params,
    },
    saga::{Entry, Log, Phase},
};
use waypost_telemetry::Telemetry;

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_orders", include_str!("../../migrations/postgres/0001_orders.sql")),
    Migration::new("0002_idempotency", idempotency::SCHEMA),
    Migration::new("0003_outbox", outbox::SCHEMA),
];

/// The name of the service: of its schema and in spans.
const DATABASE: &str = "order";

/// Keys that are forgotten in one transaction.
const PURGE_BATCH: u32 = 500;

/// Orders of which something is deleted in one transaction.
const RETENTION_BATCH: u32 = 200;

/// Orders in one schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    /// For what is asked over and over by nobody in particular.
    untraced: Database,
    placing: Group<Placement, Placed, Error>,
    advancing: Group<Progress, bool, Error>,
    /// One for all who ask for it: it listens, and knows whether its relay leads.
    outbox: Arc<OnceLock<PostgresOutbox>>,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    pub async fn open(server: &Server, telemetry: &Telemetry) -> Result<PostgresStore, Error> {
        let database = Database::open(server, DATABASE, telemetry, MIGRATIONS).await?;
        let placing = database.group(Kind {
            name: |_| Name {
                operation: "place",
                summary: "INSERT orders; INSERT order_history; INSERT order_journal",
            },
            subject: groups::placed_under,
            way: Way::Statement,
            together: |unit, placements| Box::pin(groups::place(unit, placements)),
            alone: |unit, placement| Box::pin(place(unit, placement)),
        });
        let advancing = database.group(Kind {
            name: |_| Name { operation: "advance", summary: "UPDATE orders; INSERT order_journal" },
            subject: groups::order_of,
            way: Way::Statement,
            together: |unit, steps| Box::pin(groups::advance(unit, steps)),
            alone: |unit, progress| Box::pin(advance_and_tell(unit, progress)),
        });
        Ok(PostgresStore {
            untraced: database.untraced(),
            database,
            placing,
            advancing,
            outbox: Arc::default(),
        })
    }

    /// What brings the schema up to date without opening the store.
    pub(super) fn migrator(server: &Server) -> PostgresMigrator {
        PostgresMigrator::new(server, DATABASE, MIGRATIONS)
    }
}

impl Store for PostgresStore {
    fn place(&self, placement: Placement) -> Answer<'_, Placed> {
        Box::pin(self.placing.run(placement))
    }

    fn placed_before(&self, key: Key) -> Answer<'_, Option<Placed>> {
        Box::pin(self.database.snapshot("placed_before", key, |unit, key| Box::pin(placed_before(unit, key))))
    }

    fn find(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Order>> {
        Box::pin(
            self.database.read("find", (id, viewer), |unit, (id, viewer)| Box::pin(find(unit, id, viewer))),
        )
    }

    fn page(&self, user: UserId, viewer: Viewer, after: Option<Cursor>, max: u32) -> Answer<'_, Vec<Order>> {
        Box::pin(self.database.read(
            "page",
            (user, viewer, after, max),
            |unit, (user, viewer, after, max)| Box::pin(page(unit, user, viewer, after.as_ref(), *max)),
        ))
    }

    fn cancel(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Cancelling>> {
        Box::pin(
            self.database
                .write("cancel", (id, viewer), |unit, (id, viewer)| Box::pin(cancel(unit, id, viewer))),
        )
    }

    fn advance(&self, progress: Progress) -> Answer<'_, bool> {
        Box::pin(self.advancing.run(progress))
    }

    fn take_over(&self, id: OrderId, runner: String, lasts: Duration) -> Answer<'_, Option<Taken>> {
        Box::pin(self.database.write("take_over", (id, runner, lasts), |unit, (id, runner, lasts)| {
            Box::pin(take_over(unit, id, runner, *lasts))
        }))
    }

    fn reload(&self, id: OrderId, epoch: Epoch) -> Answer<'_, Option<Taken>> {
        Box::pin(
            self.database
                .snapshot("reload", (id, epoch), |unit, (id, epoch)| Box::pin(taken(unit, id, *epoch))),
        )
    }

    fn unfinished(&self, max: u32) -> Answer<'_, Vec<Unfinished>> {
        Box::pin(self.untraced.read("unfinished", max, |unit, max| Box::pin(unfinished(unit, *max))))
    }

    fn end_leases(&self, node: String) -> Answer<'_, ()> {
        let prefix = format!("{node}{RUNNER_SEPARATOR}");
        Box::pin(self.untraced.write("end_leases", prefix, |unit, prefix| {
            Box::pin(async move {
                unit.execute(
                    "UPDATE orders SET lease_until = to_timestamp(0) \
                     WHERE phase <> 'ended' AND phase <> 'stuck' AND starts_with(runner, $1)",
                    params![prefix],
                )
                .await?;
                Ok(())
            })
        }))
    }

    fn renew(&self, held: Vec<(OrderId, Epoch)>, lasts: Duration) -> Answer<'_, Vec<OrderId>> {
        Box::pin(
            self.untraced
                .statement("renew", (held, lasts), |unit, (held, lasts)| Box::pin(renew(unit, held, *lasts))),
        )
    }

    fn purge_keys(&self) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("purge_keys", (), |unit, ()| Box::pin(purge_keys(unit))))
    }

    fn token_key(&self) -> Answer<'_, TokenKey> {
        Box::pin(self.untraced.write("token_key", (), |unit, ()| Box::pin(token_key(unit))))
    }

    fn delete_ended(&self, kept: Kept) -> Answer<'_, usize> {
        Box::pin(self.untraced.write("delete_ended", kept, |unit, kept| {
            Box::pin(retention::delete_ended(unit, *kept, RETENTION_BATCH))
        }))
    }

    fn history(&self, id: OrderId) -> Answer<'_, Vec<Move>> {
        Box::pin(self.database.read("history", id, |unit, id| Box::pin(history(unit, id))))
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.outbox.get_or_init(|| PostgresOutbox::new(&self.database)).clone())
    }

    fn operator(&self) -> Arc<dyn OperatorStore> {
        Arc::new(self.clone())
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.untraced.ping().await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

async fn place(unit: &mut Unit, placement: &Placement) -> Result<Placed, Error> {
    let Placement { order, facts, lease, key } = placement;
    if let Some(key) = key {
        let mut claim = idempotency::claim(unit, key).await?;
        match placed(unit, &claim).await? {
            // Its own, of a run whose commit was not answered.
            Some(Placed::Before(before)) if unit.may_be_done() && before.id == order.id => {
                return Ok(Placed::New);
            }
            Some(before) => return Ok(before),
            None => {}
        }
        if matches!(claim, Claim::Done { .. }) {
            // Its order is not kept any more, so neither is the key.
            idempotency::forget(unit, key).await?;
            claim = idempotency::claim(unit, key).await?;
        }
        // The order is what the key stands for from here on: it commits with the key or not at all.
        if let Claim::New { fence, .. } = claim {
            idempotency::finish(unit, key, fence, order.id.as_str().as_bytes()).await?;
        }
    }
    let first = order.last_move();
    let placed = unit.execute(
        "WITH placed AS ( \
           INSERT INTO orders (order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, \
             status, created_at, updated_at, version, trace_id, traceparent, tracestate, phase, journal_rows, runner, \
             lease_until) \
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'forward', 1, $16, \
             waypost_now() + $17 * interval '1 millisecond') \
           ON CONFLICT (order_id) DO NOTHING RETURNING order_id), \
         history AS ( \
           INSERT INTO order_history (order_id, version, status, reason, at) \
           SELECT order_id, $18, $19, $20, $21 FROM placed) \
         INSERT INTO order_journal (order_id, row, facts, at) \
         SELECT order_id, 1, $22::text::jsonb, waypost_now() FROM placed",
        params![
            order.id.as_str(),
            order.user.as_str(),
            order.product.as_str(),
            i64::from(order.quantity),
            order.unit_price.ten_thousandths(),
            order.amount.ten_thousandths(),
            order.amount.currency().as_str(),
            &order.payment_method,
            order.status.as_str(),
            at(order.created_at),
            at(order.updated_at),
            number(order.version),
            &order.origin.trace_id,
            &order.origin.traceparent,
            &order.origin.tracestate,
            &lease.runner,
            millis_of(lease.lasts),
            number(first.version),
            first.to.as_str(),
            first.reason.map(ErrorCode::as_str),
            at(first.at),
            text(facts)?,
        ],
    );
    if placed.await? == 0 && !unit.may_be_done() {
        // The id is new for every order.
        return Err(malformed("orders.order_id"));
    }
    Ok(Placed::New)
}

async fn placed_before(unit: &mut Unit, key: &Key) -> Result<Option<Placed>, Error> {
    match idempotency::find(unit, key).await? {
        Some(claim) => placed(unit, &claim).await,
        None => Ok(None),
    }
}

/// What an older claim of a key means; `None` when the key is new, or its order is not kept any more.
async fn placed(unit: &mut Unit, claim: &Claim) -> Result<Option<Placed>, Error> {
    let id = match claim {
        Claim::New { .. } => return Ok(None),
        Claim::Mismatch => return Ok(Some(Placed::KeyReused)),
        Claim::Done { result } => std::str::from_utf8(result).ok().and_then(|id| OrderId::parse(id).ok()),
        // Claim and result commit together, so there is no such row.
        Claim::InFlight { .. } => None,
    };
    let id = id.ok_or_else(|| malformed("idempotency.result"))?;
    Ok(order_by_id(unit, &id).await?.map(|order| Placed::Before(Box::new(order))))
}

/// Forgets the keys whose order ended a day ago, and those whose order is not kept any more. Both ages are told by the
/// clock of the database, so that replicas agree on them.
async fn purge_keys(unit: &mut Unit) -> Result<usize, Error> {
    let before = unit.ago(keys::RETENTION).await?;
    let deleted = unit.execute(
        // By their places, as they are locked: however many there are, no others are read.
        "DELETE FROM idempotency WHERE ctid = ANY(ARRAY( \
         SELECT idempotency.ctid FROM idempotency \
         LEFT JOIN orders ON order_id = convert_from(result, 'UTF8') \
         WHERE idempotency.created_at <= $1 AND result IS NOT NULL \
         AND (order_id IS NULL OR ended_at <= $1) LIMIT $2 FOR UPDATE OF idempotency SKIP LOCKED))",
        params![At(before), i64::from(PURGE_BATCH)],
    );
    Ok(usize::try_from(deleted.await?).unwrap_or(usize::MAX))
}

/// The key of page tokens; made when there is none. Who makes it reads it as everybody else does.
async fn token_key(unit: &mut Unit) -> Result<TokenKey, Error> {
    let mut key: [u8; 32] = [0; 32];
    getrandom::fill(&mut key).map_err(|_| ErrorCode::Internal)?;
    unit.execute(
        "INSERT INTO page_token_key (id, key) VALUES (1, $1) ON CONFLICT DO NOTHING",
        params![&key[..]],
    )
    .await?;
    let stored: Vec<u8> =
        unit.query_row("SELECT key FROM page_token_key", params![], |row| row.get(0)).await?;
    Ok(TokenKey::new(stored.try_into().map_err(|_| malformed("page_token_key.key"))?))
}

async fn find(unit: &mut Unit, id: &OrderId, viewer: &Viewer) -> Result<Option<Order>, Error> {
    let found = unit.query_optional(
        select_order!("WHERE order_id = $1 AND (user_id = $2 OR $3)"),
        params![id.as_str(), viewer.user.as_str(), viewer.is_admin],
        order_of_row,
    );
    Ok(found.await?)
}

async fn order_by_id(unit: &mut Unit, id: &OrderId) -> Result<Option<Order>, Error> {
    Ok(unit.query_optional(select_order!("WHERE order_id = $1"), params![id.as_str()], order_of_row).await?)
}

async fn page(
    unit: &mut Unit,
    user: &UserId,
    viewer: &Viewer,
    after: Option<&Cursor>,
    max: u32,
) -> Result<Vec<Order>, Error> {
    let (user, viewer_user, is_admin) = (user.as_str(), viewer.user.as_str(), viewer.is_admin);
    let max = i64::from(max);
    let rows = match after {
        None => {
            let sql = select_order!(
                "WHERE user_id = $1 AND (user_id = $2 OR $3) ORDER BY created_at DESC, order_id DESC LIMIT $4"
            );
            unit.query_all(sql, params![user, viewer_user, is_admin, max], order_of_row).await?
        }
        Some(cursor) => {
            let sql = select_order!(
                "WHERE user_id = $1 AND (user_id = $2 OR $3) AND (created_at, order_id) < ($5, $6) \
                 ORDER BY created_at DESC, order_id DESC LIMIT $4"
            );
            let params = params![user, viewer_user, is_admin, max, at(cursor.created_at), cursor.id.as_str()];
            unit.query_all(sql, params, order_of_row).await?
        }
    };
    Ok(rows)
}

async fn cancel(unit: &mut Unit, id: &OrderId, viewer: &Viewer) -> Result<Option<Cancelling>, Error> {
    let turned: Option<u64> = unit
        .query_optional(
            "UPDATE orders SET phase = 'back', journal_rows = journal_rows + 1 \
             WHERE order_id = $1 AND (user_id = $2 OR $3) AND phase = 'forward' RETURNING journal_rows",
            params![id.as_str(), viewer.user.as_str(), viewer.is_admin],
            |row| row.number(0),
        )
        .await?;
    if let Some(journal_rows) = turned {
        append_journal(unit, id, journal_rows, &[Entry::CancelRequested]).await?;
    }
    let Some(order) = find(unit, id, viewer).await? else { return Ok(None) };
    if turned.is_some() {
        return Ok(Some(Cancelling::Noted(order)));
    }
    let is_on_its_way_back = unit
        .query_row(
            "SELECT phase IN ('back', 'stuck') AND status = 'pending' FROM orders WHERE order_id = $1",
            params![id.as_str()],
            |row| row.get::<bool>(0),
        )
        .await?;
    Ok(Some(if is_on_its_way_back { Cancelling::TurnedBack(order) } else { Cancelling::TooLate(order) }))
}

/// Order, journal and history in one statement.
async fn advance(unit: &mut Unit, progress: &Progress) -> Result<bool, Error> {
    let Progress { order, rows_before, facts, phase, lease, moved, event: _ } = progress;
    let advanced: i64 = unit
        .query_row(
            "WITH advanced AS ( \
               UPDATE orders SET status = $3, failure_code = $4, decline_code = $5, transaction_id = $6, \
                 updated_at = $7, version = $8, phase = $9, journal_rows = journal_rows + 1, \
                 lease_until = waypost_now() + $11 * interval '1 millisecond', charge = $12, \
                 ended_at = CASE WHEN $9 = 'ended' THEN waypost_now() END \
               WHERE order_id = $1 AND journal_rows = $2 AND lease_epoch = $10 RETURNING order_id), \
             journal AS ( \
               INSERT INTO order_journal (order_id, row, facts, at) \
               SELECT order_id, $2 + 1, $13::text::jsonb, waypost_now() FROM advanced), \
             history AS ( \
               INSERT INTO order_history (order_id, version, status, reason, at) \
               SELECT order_id, $14, $15, $16, $17 FROM advanced WHERE $14::bigint IS NOT NULL) \
             SELECT count(*) FROM advanced",
            params![
                order.id.as_str(),
                number(*rows_before),
                order.status.as_str(),
                order.failure_code.map(ErrorCode::as_str),
                &order.decline_code,
                order.transaction.as_ref().map(TransactionId::as_str),
                at(order.updated_at),
                number(order.version),
                phase.as_str(),
                number(lease.epoch.number()),
                millis_of(lease.lasts),
                order.charge.as_str(),
                text(facts)?,
                moved.as_ref().map(|moved| number(moved.version)),
                moved.as_ref().map(|moved| moved.to.as_str()),
                moved.as_ref().and_then(|moved| moved.reason).map(ErrorCode::as_str),
                moved.as_ref().map(|moved| at(moved.at)),
            ],
            |row| row.get(0),
        )
        .await?;
    Ok(advanced > 0)
}

async fn advance_and_tell(unit: &mut Unit, progress: &Progress) -> Result<bool, Error> {
    if !advance(unit, progress).await? {
        return Ok(unit.may_be_done() && has_advanced(unit, progress).await?);
    }
    if let Some(event) = &progress.event {
        outbox::append(unit, event).await?;
    }
    Ok(true)
}

/// Whether the row of the journal is there that this unit writes: of a run whose commit was not answered. Whoever has the
/// order in this epoch is the only one who writes such facts; a wish to cancel is the only other row.
async fn has_advanced(unit: &mut Unit, progress: &Progress) -> Result<bool, Error> {
    let found = unit.query_row(
        "SELECT EXISTS ( \
           SELECT 1 FROM order_journal JOIN orders USING (order_id) \
           WHERE order_id = $1 AND order_journal.row = $2 AND order_journal.facts = $3::text::jsonb AND lease_epoch = $4)",
        params![
            progress.order.id.as_str(),
            number(progress.rows_before + 1),
            text(&progress.facts)?,
            number(progress.lease.epoch.number()),
        ],
        |row| row.get(0),
    );
    let has_advanced = found.await?;
    if has_advanced && progress.event.is_some() {
        outbox::appended(unit);
    }
    Ok(has_advanced)
}

/// Writes an order as it is after one more row of its journal. `lease` is that of its runner; without one the order must
/// be parked. False, with nothing changed, when the journal has other rows than expected or the order is another's.
async fn update_order(
    unit: &mut Unit,
    order: &Order,
    rows_before: u64,
    phase: Phase,
    lease: Option<&Lease>,
) -> Result<bool, Error> {
    let changed = unit.execute(
        "UPDATE orders SET status = $3, failure_code = $4, decline_code = $5, transaction_id = $6, updated_at = $7, \
         version = $8, phase = $9, journal_rows = journal_rows + 1, \
         lease_until = coalesce(waypost_now() + $11 * interval '1 millisecond', lease_until), charge = $12, \
         ended_at = CASE WHEN $9 = 'ended' THEN waypost_now() END \
         WHERE order_id = $1 AND journal_rows = $2 \
         AND CASE WHEN $10::bigint IS NULL THEN phase = 'stuck' ELSE lease_epoch = $10 END",
        params![
            order.id.as_str(),
            number(rows_before),
            order.status.as_str(),
            order.failure_code.map(ErrorCode::as_str),
            &order.decline_code,
            order.transaction.as_ref().map(TransactionId::as_str),
            at(order.updated_at),
            number(order.version),
            phase.as_str(),
            lease.map(|lease| number(lease.epoch.number())),
            lease.map(|lease| millis_of(lease.lasts)),
            order.charge.as_str(),
        ],
    );
    Ok(changed.await? > 0)
}

async fn take_over(
    unit: &mut Unit,
    id: &OrderId,
    runner: &str,
    lasts: Duration,
) -> Result<Option<Taken>, Error> {
    let taken_over: Option<(u64, u64)> = unit
        .query_optional(
            "UPDATE orders SET runner = $2, lease_until = waypost_now() + $3 * interval '1 millisecond', \
             lease_epoch = lease_epoch + 1, journal_rows = journal_rows + 1 \
             WHERE order_id = $1 AND phase <> 'ended' AND lease_until <= waypost_now() \
             RETURNING journal_rows, lease_epoch",
            params![id.as_str(), runner, millis_of(lasts)],
            |row| Ok((row.number(0)?, row.number(1)?)),
        )
        .await?;
    let Some((journal_rows, epoch)) = taken_over else { return Ok(None) };
    append_journal(unit, id, journal_rows, &[Entry::Resumed]).await?;
    taken(unit, id, Epoch::new(epoch)).await
}

async fn taken(unit: &mut Unit, id: &OrderId, epoch: Epoch) -> Result<Option<Taken>, Error> {
    let order = unit
        .query_optional(
            select_order!("WHERE order_id = $1 AND lease_epoch = $2"),
            params![id.as_str(), number(epoch.number())],
            order_of_row,
        )
        .await?;
    let Some(order) = order else { return Ok(None) };
    let rows = unit
        .query_all(
            "SELECT facts::text FROM order_journal WHERE order_id = $1 ORDER BY row",
            params![id.as_str()],
            |row| facts(row, 0),
        )
        .await?;
    Ok(Some(Taken { order, epoch, log: Log::new(rows.concat(), rows.len() as u64) }))
}

async fn unfinished(unit: &mut Unit, max: u32) -> Result<Vec<Unfinished>, Error> {
    let rows = unit.query_all(
        "SELECT order_id, trace_id, traceparent, tracestate FROM orders \
         WHERE phase <> 'ended' AND lease_until <= waypost_now() ORDER BY lease_until LIMIT $1",
        params![i64::from(max)],
        |row| {
            let origin = Origin { trace_id: row.get(1)?, traceparent: row.get(2)?, tracestate: row.get(3)? };
            Ok(Unfinished { id: parsed(row.get(0)?, "orders.order_id")?, origin })
        },
    );
    Ok(rows.await?)
}

/// One statement, which tells whose epoch was not found in the state that it began with.
async fn renew(unit: &mut Unit, held: &[(OrderId, Epoch)], lasts: Duration) -> Result<Vec<OrderId>, Error> {
    let orders: Vec<&str> = held.iter().map(|(id, _)| id.as_str()).collect();
    let epochs: Vec<i64> = held.iter().map(|(_, epoch)| number(epoch.number())).collect();
    let lost = unit.query_all(
        "WITH held AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS held (order_id, lease_epoch)), \
         renewed AS ( \
           UPDATE orders SET lease_until = waypost_now() + $3 * interval '1 millisecond' FROM held \
           WHERE orders.order_id = held.order_id AND orders.lease_epoch = held.lease_epoch \
           AND phase <> 'ended' AND phase <> 'stuck') \
         SELECT held.order_id FROM held LEFT JOIN orders USING (order_id, lease_epoch) \
         WHERE orders.runner IS NULL",
        params![orders, epochs, millis_of(lasts)],
        |row| parsed(row.get(0)?, "orders.order_id"),
    );
    Ok(lost.await?)
}

async fn append_history(unit: &mut Unit, id: &OrderId, moved: &Move) -> Result<(), Error> {
    unit.execute(
        "INSERT INTO order_history (order_id, version, status, reason, at) VALUES ($1, $2, $3, $4, $5)",
        params![
            id.as_str(),
            number(moved.version),
            moved.to.as_str(),
            moved.reason.map(ErrorCode::as_str),
            at(moved.at),
        ],
    )
    .await?;
    Ok(())
}

async fn append_journal(unit: &mut Unit, id: &OrderId, row: u64, facts: &[Fact]) -> Result<(), Error> {
    unit.execute(
        "INSERT INTO order_journal (order_id, row, facts, at) VALUES ($1, $2, $3::text::jsonb, waypost_now())",
        params![id.as_str(), number(row), text(facts)?],
    )
    .await?;
    Ok(())
}

async fn history(unit: &mut Unit, id: &OrderId) -> Result<Vec<Move>, Error> {
    let rows = unit.query_all(
        "SELECT version, status, reason, at FROM order_history WHERE order_id = $1 ORDER BY version",
        params![id.as_str()],
        |row| -> Read<Move> {
            let reason = row.get::<Option<&str>>(2)?;
            Ok(Move {
                to: parsed(row.get(1)?, "order_history.status")?,
                version: row.number(0)?,
                reason: reason.map(|code| parsed(code, "order_history.reason")).transpose()?,
                at: row.time(3)?.into(),
            })
        },
    );
    Ok(rows.await?)
}

/// Facts as they are written down.
fn text(facts: &[Fact]) -> Result<String, Error> {
    serde_json::to_string(facts).map_err(|_| malformed("order_journal.facts"))
}
