//! The store on PostgreSQL.
//!
//! Whoever judges an order's payment locks the order first (an advisory lock, because it may have no row yet) and reads in a
//! further statement, so that it sees what was committed meanwhile. It is the only lock that a unit waits for. Units of
//! several orders that are ready together share a transaction (`groups`).

mod groups;
mod retention;
mod rows;

use super::{Answer, Begun, BegunRefund, Due, RefundOutcome, Store};
use crate::{
    Error,
    domain::{
        self, AuthorizeStep, Contradiction, Finding, Generation, Intent, NewRefund, Payment, Refund, Refusal,
        ReviewTimes, Totals, VoidStep,
    },
};
use groups::{Beginning, Recording};
use rows::{
    StoredRefund, at, epoch_row, insert_payment, malformed, payment_of_row, see, select_payment,
    select_refund, write_change,
};
use std::time::Duration;
use waypost_api::{Currency, OrderId, Timestamp};
use waypost_durable::{
    BoxFuture, Epoch, Migration,
    postgres::{
        Database, PostgresMigrator, Server, Unit,
        group::{Group, Kind, Name, Way},
        params,
    },
};
use waypost_telemetry::Telemetry;

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_payments", include_str!("../../migrations/postgres/0001_payments.sql")),
    Migration::new("0002_one_message", include_str!("../../migrations/postgres/0002_one_message.sql")),
];

/// The name of the service: of its schema and in spans.
const DATABASE: &str = "payment";

/// Payments that are deleted in one transaction.
const DELETED_AT_ONCE: u32 = 200;

/// Payments in one schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    times: ReviewTimes,
    beginning: Group<Beginning, Begun, Error>,
    finding: Group<OrderId, Option<Payment>, Error>,
    recording: Group<Recording, Recorded, Error>,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    pub async fn open(
        server: &Server,
        telemetry: &Telemetry,
        times: ReviewTimes,
    ) -> Result<PostgresStore, Error> {
        let database = Database::open(server, DATABASE, telemetry, MIGRATIONS).await?;
        let beginning = database.group(Kind {
            name: |_| Name { operation: "begin", summary: "INSERT payments" },
            subject: |(intent, _): &Beginning| intent.order.to_string(),
            way: Way::LockedStatement(|(intent, _)| lock(&intent.order)),
            together: |unit, intents| Box::pin(groups::begin(unit, intents)),
            alone: |unit, (intent, times)| Box::pin(begin(unit, intent, times)),
        });
        let finding = database.group(Kind {
            name: |_| Name { operation: "newest", summary: "SELECT payments" },
            subject: OrderId::to_string,
            way: Way::Read,
            together: |unit, orders| Box::pin(groups::newest(unit, orders)),
            alone: |unit, order| Box::pin(newest(unit, order)),
        });
        let recording = database.group(Kind {
            name: |_| Name { operation: "record", summary: "UPDATE payments; INSERT ledger_entries" },
            subject: |(known, ..): &Recording| known.order.to_string(),
            way: Way::LockedStatement(|(known, ..)| lock(&known.order)),
            together: |unit, findings| Box::pin(groups::record(unit, findings)),
            alone: |unit, (known, finding, times)| {
                Box::pin(async move {
                    let payment = payment(unit, &known.order, known.generation).await?;
                    record(unit, &payment, finding, times).await
                })
            },
        });
        Ok(PostgresStore { database, times, beginning, finding, recording })
    }

    /// What brings the schema up to date without opening the store.
    pub(super) fn migrator(server: &Server) -> PostgresMigrator {
        PostgresMigrator::new(server, DATABASE, MIGRATIONS)
    }
}

impl Store for PostgresStore {
    fn begin(&self, intent: Intent) -> Answer<'_, Begun> {
        Box::pin(self.beginning.run((intent, self.times)))
    }

    fn newest(&self, order: OrderId) -> Answer<'_, Option<Payment>> {
        Box::pin(self.finding.run(order))
    }

    fn admit(&self, order: OrderId, epoch: Epoch) -> Answer<'_, Option<Payment>> {
        Box::pin(self.database.write("admit", (order, epoch), |unit, (order, epoch)| {
            Box::pin(async move { admit(unit, order, *epoch).await })
        }))
    }

    fn give_up(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Answer<'_, Option<Payment>> {
        let lock = lock(&order);
        let args = (order, generation, epoch, self.times);
        Box::pin(self.database.write_locked(
            "give_up",
            lock,
            args,
            |unit, (order, generation, epoch, times)| {
                Box::pin(give_up(unit, order, *generation, *epoch, times))
            },
        ))
    }

    fn record(&self, order: OrderId, generation: Generation, finding: Finding) -> Answer<'_, Payment> {
        let lock = lock(&order);
        let args = (order, generation, finding, self.times);
        let unit =
            self.database.write_locked("record", lock, args, |unit, (order, generation, finding, times)| {
                Box::pin(async move {
                    let payment = payment(unit, order, *generation).await?;
                    record(unit, &payment, finding, times).await
                })
            });
        Box::pin(async move { Ok(unit.await??) })
    }

    fn record_of(&self, known: Payment, finding: Finding) -> Answer<'_, Payment> {
        let unit = self.recording.run((known, finding, self.times));
        Box::pin(async move { Ok(unit.await??) })
    }

    fn begin_refund(&self, request: NewRefund, epoch: Option<Epoch>) -> Answer<'_, BegunRefund> {
        Box::pin(self.database.write_locked(
            "begin_refund",
            lock(&request.order),
            (request, epoch, self.times),
            |unit, (request, epoch, times)| Box::pin(begin_refund(unit, request, *epoch, times)),
        ))
    }

    fn end_refund(&self, key: String, number: u32, outcome: RefundOutcome) -> Answer<'_, Payment> {
        let args = (key, number, outcome, self.times);
        let unit = self.database.write("end_refund", args, |unit, (key, number, outcome, times)| {
            Box::pin(end_refund(unit, key, *number, outcome, times))
        });
        Box::pin(async move { Ok(unit.await??) })
    }

    fn contradictions(&self) -> Answer<'_, u64> {
        let database = self.database.untraced();
        Box::pin(async move {
            let count = database.read("contradictions", (), |unit, ()| {
                Box::pin(async move {
                    let count = "SELECT count(*) FROM payments WHERE contradicted_at IS NOT NULL";
                    Ok(unit.query_row(count, params![], |row| row.number(0)).await?)
                })
            });
            count.await
        })
    }

    fn due(&self, max: u32) -> Answer<'_, Due> {
        Box::pin(self.database.snapshot("due", max, |unit, max| Box::pin(due(unit, *max))))
    }

    fn delete_ended(&self, age: Duration) -> Answer<'_, usize> {
        let database = self.database.untraced();
        Box::pin(async move {
            let delete = database.write("delete_ended", age, |unit, age| {
                Box::pin(async move {
                    let before = unit.ago(*age).await?;
                    retention::delete_ended(unit, before, DELETED_AT_ONCE).await
                })
            });
            delete.await
        })
    }

    fn totals(&self, currency: Currency) -> Answer<'_, Totals> {
        Box::pin(
            self.database.snapshot("totals", currency, |unit, currency| Box::pin(totals(unit, *currency))),
        )
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.database.ping().await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

/// The lock that keeps everybody else from judging this order's payment until the unit ends.
fn lock(order: &OrderId) -> String {
    format!(" order {order}")
}

async fn begin(unit: &mut Unit, intent: &Intent, times: &ReviewTimes) -> Result<Begun, Error> {
    let newest = newest(unit, &intent.order).await?;
    let voided = unit.query_optional(
        "SELECT generation, lease_epoch FROM voided_orders WHERE order_id = $1",
        params![intent.order.as_str()],
        |row| Ok((Generation::new(row.number(0)?), Epoch::new(row.number(1)?))),
    );
    let (generation, voided_in) = voided.await?.unzip();
    let seen = voided_in.max(newest.as_ref().map(|newest| newest.epoch)).unwrap_or(Epoch::NONE);
    domain::admit(&intent.order, seen, intent.epoch)?;
    let step = domain::authorize(newest.as_ref(), generation, intent)?;
    if let (AuthorizeStep::Repeat, Some(mut payment)) = (step, newest) {
        see(unit, &mut payment, intent.epoch).await?;
        // Its own, of a run whose commit was not answered: nobody has asked the provider yet.
        let is_new = unit.may_be_done() && payment.id == intent.id;
        return Ok(Begun { payment, is_new });
    }
    let payment = Payment::begin(intent.clone(), Timestamp::from(unit.now().await?), times);
    insert_payment(unit, &payment).await?;
    Ok(Begun { payment, is_new: true })
}

/// The order must be locked.
async fn admit(unit: &mut Unit, order: &OrderId, epoch: Epoch) -> Result<Option<Payment>, Error> {
    let Some(mut payment) = newest(unit, order).await? else { return Ok(None) };
    domain::admit(order, payment.epoch, epoch)?;
    see(unit, &mut payment, epoch).await?;
    Ok(Some(payment))
}

async fn give_up(
    unit: &mut Unit,
    order: &OrderId,
    generation: Generation,
    epoch: Epoch,
    times: &ReviewTimes,
) -> Result<Option<Payment>, Error> {
    let now = Timestamp::from(unit.now().await?);
    let newest = newest(unit, order).await?;
    let step = domain::void(newest.as_ref(), generation);
    let voided_in = unit.query_row(
        "INSERT INTO voided_orders AS voided (order_id, generation, voided_at, lease_epoch) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (order_id) DO UPDATE SET generation = greatest(voided.generation, excluded.generation), \
         lease_epoch = greatest(voided.lease_epoch, excluded.lease_epoch) RETURNING lease_epoch",
        params![order.as_str(), i64::from(generation.number()), at(now), epoch_row(epoch)],
        |row| Ok(Epoch::new(row.number(0)?)),
    );
    let voided_in = voided_in.await?;
    // A refusal rolls the mark back as well.
    let seen = newest.as_ref().map_or(voided_in, |newest| newest.epoch.max(voided_in));
    domain::admit(order, seen, epoch)?;
    let Some(mut payment) = newest.filter(|newest| newest.generation <= generation) else { return Ok(None) };
    see(unit, &mut payment, epoch).await?;
    if step == VoidStep::Forbid {
        return Ok(Some(payment));
    }
    let change = payment.given_up(now, times);
    write_change(unit, &payment, &change).await?;
    Ok(Some(change.payment))
}

/// What a unit has written, or the contradiction that it has marked.
type Recorded = Result<Payment, Contradiction>;

/// The order must be locked.
async fn record(
    unit: &mut Unit,
    payment: &Payment,
    finding: &Finding,
    times: &ReviewTimes,
) -> Result<Recorded, Error> {
    let now = Timestamp::from(unit.now().await?);
    let (order, generation) = (payment.order.as_str(), i64::from(payment.generation.number()));
    match payment.after(finding, now, times) {
        Ok(change) => {
            write_change(unit, payment, &change).await?;
            if *finding != Finding::NoAnswer {
                unit.execute(
                    "UPDATE payments SET contradicted_at = NULL \
                     WHERE order_id = $1 AND generation = $2 AND contradicted_at IS NOT NULL",
                    params![order, generation],
                )
                .await?;
            }
            Ok(Ok(change.payment))
        }
        Err(contradiction) => {
            unit.execute(
                "UPDATE payments SET contradicted_at = $3 \
                 WHERE order_id = $1 AND generation = $2 AND contradicted_at IS NULL",
                params![order, generation, at(now)],
            )
            .await?;
            Ok(Err(contradiction))
        }
    }
}

async fn begin_refund(
    unit: &mut Unit,
    request: &NewRefund,
    epoch: Option<Epoch>,
    times: &ReviewTimes,
) -> Result<BegunRefund, Error> {
    let now = Timestamp::from(unit.now().await?);
    if let Some(epoch) = epoch {
        admit(unit, &request.order, epoch).await?;
    }
    let (new, payment) = match refund(unit, &request.key).await? {
        Some((before, _)) if before.request != *request => return Err(Refusal::KeyReused.into()),
        Some((before, payment)) => {
            let Some(anew) = before.anew(now, times) else {
                return Ok(BegunRefund { refund: before, payment, is_new: false, as_of: now });
            };
            (anew, Some(payment))
        }
        None => (Refund::begin(request.clone(), now), newest(unit, &request.order).await?),
    };
    let pending = unit.query_row(
        "SELECT coalesce(sum(amount), 0)::bigint FROM refunds WHERE order_id = $1 AND state = 'pending'",
        params![request.order.as_str()],
        |row| row.get(0),
    );
    domain::refund(request, payment.as_ref(), pending.await?)?;
    let Some(payment) = payment else { return Err(Refusal::NoPayment(request.order.clone()).into()) };
    let inserted = unit.execute(
        "INSERT INTO refunds \
         (step_key, order_id, generation, amount, state, number, review_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $7) \
         ON CONFLICT (step_key) DO UPDATE SET state = 'pending', number = excluded.number, reviews = 0, \
         review_at = excluded.review_at, created_at = excluded.created_at, updated_at = excluded.updated_at \
         WHERE refunds.order_id = excluded.order_id",
        params![
            &request.key,
            request.order.as_str(),
            i64::from(payment.generation.number()),
            request.amount.ten_thousandths(),
            i64::from(new.number),
            at(now.plus(times.unknown_after)),
            at(now),
        ],
    );
    if inserted.await? == 0 {
        // Another order has begun a refund of this key since.
        return Err(Refusal::KeyReused.into());
    }
    Ok(BegunRefund { refund: new, payment, is_new: true, as_of: now })
}

async fn end_refund(
    unit: &mut Unit,
    key: &str,
    number: u32,
    outcome: &RefundOutcome,
    times: &ReviewTimes,
) -> Result<Recorded, Error> {
    let now = Timestamp::from(unit.now().await?);
    // A refund stays its order's.
    let order =
        unit.query_optional("SELECT order_id FROM refunds WHERE step_key = $1", params![key], |row| {
            row.get::<&str>(0)?
                .parse()
                .map_err(|_| waypost_durable::Error::Malformed { what: "refunds.order_id" })
        });
    let Some(order) = order.await? else { return Err(malformed("refunds.step_key")) };
    unit.lock(&lock(&order)).await?;
    let Some((refund, payment)) = refund(unit, key).await? else { return Err(malformed("refunds.step_key")) };
    let number = i64::from(number);
    match outcome {
        RefundOutcome::NoAnswer => {
            let again_at = now.plus(times.pause(times.unknown_after, refund.reviews));
            unit.execute(
                "UPDATE refunds SET reviews = reviews + 1, updated_at = $3, review_at = $4 \
                 WHERE step_key = $1 AND number = $2 AND state = 'pending'",
                params![key, number, at(now), at(again_at)],
            )
            .await?;
            Ok(Ok(payment))
        }
        RefundOutcome::Done(charge) => {
            let recorded = record(unit, &payment, &Finding::Charge(charge.clone()), times).await?;
            if recorded.is_err() {
                // Whether it was done is as doubtful as the rest of the answer.
                return Ok(recorded);
            }
            unit.execute(
                "UPDATE refunds SET state = 'done', updated_at = $3, review_at = NULL \
                 WHERE step_key = $1 AND number = $2 AND state <> 'done'",
                params![key, number, at(now)],
            )
            .await?;
            Ok(recorded)
        }
        RefundOutcome::Rejected => {
            unit.execute(
                "UPDATE refunds SET state = 'rejected', updated_at = $3, review_at = NULL \
                 WHERE step_key = $1 AND number = $2 AND state = 'pending'",
                params![key, number, at(now)],
            )
            .await?;
            Ok(Ok(payment))
        }
    }
}

async fn due(unit: &mut Unit, max: u32) -> Result<Due, Error> {
    let now = Timestamp::from(unit.now().await?);
    let payments = unit
        .query_all(
            select_payment!("WHERE review_at IS NOT NULL AND review_at <= $1 ORDER BY review_at LIMIT $2"),
            params![at(now), i64::from(max)],
            payment_of_row,
        )
        .await?;
    let stored = unit
        .query_all(
            select_refund!("WHERE review_at IS NOT NULL AND review_at <= $1 ORDER BY review_at LIMIT $2"),
            params![at(now), i64::from(max)],
            StoredRefund::read,
        )
        .await?;
    let mut refunds = Vec::new();
    for stored in stored {
        let (order, generation) = stored.payment();
        let payment = payment(unit, &order, generation).await?;
        refunds.push(BegunRefund { refund: stored.of(&payment), payment, is_new: false, as_of: now });
    }
    Ok(Due { payments, refunds })
}

async fn newest(unit: &mut Unit, order: &OrderId) -> Result<Option<Payment>, Error> {
    let sql = select_payment!("WHERE order_id = $1 ORDER BY generation DESC LIMIT 1");
    Ok(unit.query_optional(sql, params![order.as_str()], payment_of_row).await?)
}

async fn payment(unit: &mut Unit, order: &OrderId, generation: Generation) -> Result<Payment, Error> {
    let sql = select_payment!("WHERE order_id = $1 AND generation = $2");
    let params = params![order.as_str(), i64::from(generation.number())];
    Ok(unit.query_row(sql, params, payment_of_row).await?)
}

/// The refund of a key, with its payment.
async fn refund(unit: &mut Unit, key: &str) -> Result<Option<(Refund, Payment)>, Error> {
    let sql = select_refund!("WHERE step_key = $1");
    let Some(stored) = unit.query_optional(sql, params![key], StoredRefund::read).await? else {
        return Ok(None);
    };
    let (order, generation) = stored.payment();
    let payment = payment(unit, &order, generation).await?;
    Ok(Some((stored.of(&payment), payment)))
}

async fn totals(unit: &mut Unit, currency: Currency) -> Result<Totals, Error> {
    let (charges, captured, refunded) = unit
        .query_row(
            "SELECT coalesce(sum(charges), 0)::bigint, coalesce(sum(captured), 0)::bigint, \
             coalesce(sum(refunded), 0)::bigint FROM ( \
             SELECT (transaction_id IS NOT NULL AND state <> 'declined')::int AS charges, captured, refunded \
             FROM payments WHERE currency = $1 \
             UNION ALL SELECT charges, captured, refunded FROM payments_brought_forward WHERE currency = $1) AS every",
            params![currency.as_str()],
            |row| Ok((row.number(0)?, row.number(1)?, row.number(2)?)),
        )
        .await?;
    let (debits, credits, receivable) = unit
        .query_row(
            "SELECT coalesce(sum(debit), 0)::bigint, coalesce(sum(credit), 0)::bigint, \
             coalesce(sum(debit - credit) FILTER (WHERE account = 'provider_receivable'), 0)::bigint \
             FROM (SELECT account, debit, credit FROM ledger_entries WHERE currency = $1 \
             UNION ALL SELECT account, debit, credit FROM ledger_brought_forward WHERE currency = $1) AS entry",
            params![currency.as_str()],
            |row| Ok((row.number(0)?, row.number(1)?, row.number(2)?)),
        )
        .await?;
    let unbalanced_orders = unit
        .query_row(
            "SELECT count(*) FROM (SELECT 1 FROM ledger_entries WHERE currency = $1 \
             GROUP BY order_id HAVING sum(debit) <> sum(credit)) AS unbalanced",
            params![currency.as_str()],
            |row| row.number(0),
        )
        .await?;
    Ok(Totals { charges, captured, refunded, debits, credits, receivable, unbalanced_orders })
}
