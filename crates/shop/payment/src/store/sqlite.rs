//! The embedded store: SQLite behind one writer thread.

mod retention;
mod schema;

use self::schema::MIGRATIONS;
use super::{
    Answer, Begun, BegunRefund, Due, RefundOutcome, Store,
    rows::{
        StoredPayment, StoredRefund, epoch_row, insert_payment, malformed, payment_columns, refund_columns,
        see, write_change,
    },
};
use crate::{
    Error,
    domain::{
        self, AuthorizeStep, Contradiction, Finding, Generation, Intent, NewRefund, Payment, Refund, Refusal,
        ReviewTimes, Totals, VoidStep,
    },
};
use rusqlite::params;
use std::time::Duration;
use waypost_api::{Currency, OrderId, Timestamp};
use waypost_durable::{
    BoxFuture, Clock, Database, DatabaseOptions, Epoch, Files, Sharing, SqliteMigrator, Unit,
};
use waypost_telemetry::Telemetry;

/// The name of the database: of its file and in spans.
const DATABASE: &str = "payment";

/// Payments that are deleted in one transaction.
const DELETED_AT_ONCE: u32 = 200;

/// Payments in one SQLite database.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
    times: ReviewTimes,
}

impl SqliteStore {
    /// Opens the database and migrates it. Blocks the thread meanwhile.
    pub fn open(files: &Files, telemetry: &Telemetry, times: ReviewTimes) -> Result<SqliteStore, Error> {
        Self::open_by(files, telemetry, times, Clock::system())
    }

    /// As [`SqliteStore::open`], with a clock for the database.
    pub fn open_by(
        files: &Files,
        telemetry: &Telemetry,
        times: ReviewTimes,
        clock: Clock,
    ) -> Result<SqliteStore, Error> {
        let options =
            DatabaseOptions { clock, ..DatabaseOptions::new(files.database(DATABASE), DATABASE, telemetry) };
        Ok(SqliteStore { database: Database::open(options, MIGRATIONS)?, times })
    }

    /// What brings the database to its schema without opening the store.
    pub(super) fn migrator(files: &Files) -> SqliteMigrator {
        SqliteMigrator::new(files.database(DATABASE), DATABASE, Sharing::Exclusive, MIGRATIONS)
    }
}

impl Store for SqliteStore {
    fn begin(&self, intent: Intent) -> Answer<'_, Begun> {
        let times = self.times;
        Box::pin(self.database.write("begin", move |unit| begin(unit, intent, &times)))
    }

    fn newest(&self, order: OrderId) -> Answer<'_, Option<Payment>> {
        Box::pin(self.database.read("newest", move |unit| newest(unit, &order)))
    }

    fn admit(&self, order: OrderId, epoch: Epoch) -> Answer<'_, Option<Payment>> {
        Box::pin(self.database.write("admit", move |unit| admit(unit, &order, epoch)))
    }

    fn give_up(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Answer<'_, Option<Payment>> {
        let times = self.times;
        Box::pin(self.database.write("give_up", move |unit| give_up(unit, &order, generation, epoch, &times)))
    }

    fn record(&self, order: OrderId, generation: Generation, finding: Finding) -> Answer<'_, Payment> {
        let times = self.times;
        let unit = self.database.write("record", move |unit| {
            let payment = payment(unit, &order, generation)?;
            record(unit, &payment, &finding, &times)
        });
        Box::pin(async move { Ok(unit.await??) })
    }

    fn begin_refund(&self, request: NewRefund, epoch: Option<Epoch>) -> Answer<'_, BegunRefund> {
        let times = self.times;
        Box::pin(self.database.write("begin_refund", move |unit| begin_refund(unit, request, epoch, &times)))
    }

    fn end_refund(&self, key: String, number: u32, outcome: RefundOutcome) -> Answer<'_, Payment> {
        let times = self.times;
        let unit =
            self.database.write("end_refund", move |unit| end_refund(unit, &key, number, outcome, &times));
        Box::pin(async move { Ok(unit.await??) })
    }

    fn contradictions(&self) -> Answer<'_, u64> {
        let database = self.database.untraced();
        Box::pin(async move {
            let count = "SELECT count(*) FROM payments WHERE contradicted_at IS NOT NULL";
            database
                .read("contradictions", move |unit| unit.query_row(count, (), |row| row.get::<_, u32>(0)))
                .await
                .map(u64::from)
                .map_err(Error::from)
        })
    }

    fn due(&self, max: u32) -> Answer<'_, Due> {
        Box::pin(self.database.read("due", move |unit| due(unit, max)))
    }

    fn delete_ended(&self, age: Duration) -> Answer<'_, usize> {
        let database = self.database.untraced();
        let delete = move |unit: &mut Unit<'_>| {
            let before = Timestamp::from(unit.ago(age));
            retention::delete_ended(unit, before, DELETED_AT_ONCE)
        };
        Box::pin(async move { database.write("delete_ended", delete).await })
    }

    fn totals(&self, currency: Currency) -> Answer<'_, Totals> {
        Box::pin(self.database.scan("totals", move |unit| totals(unit, currency)))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.database.read("ping", |unit| Ok(unit.query_row("SELECT 1", (), |_| Ok(()))?)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

/// The time by the database's clock.
fn now(unit: &mut Unit<'_>) -> Timestamp {
    Timestamp::from(unit.now())
}

fn begin(unit: &mut Unit<'_>, intent: Intent, times: &ReviewTimes) -> Result<Begun, Error> {
    let newest = newest(unit, &intent.order)?;
    let voided = unit.query_optional(
        "SELECT generation, lease_epoch FROM voided_orders WHERE order_id = ?1",
        [intent.order.as_str()],
        |row| Ok((Generation::new(row.get(0)?), Epoch::new(row.get::<_, u32>(1)?.into()))),
    )?;
    let (generation, voided_in) = voided.unzip();
    let seen = voided_in.max(newest.as_ref().map(|newest| newest.epoch)).unwrap_or(Epoch::NONE);
    domain::admit(&intent.order, seen, intent.epoch)?;
    let step = domain::authorize(newest.as_ref(), generation, &intent)?;
    if let (AuthorizeStep::Repeat, Some(mut payment)) = (step, newest) {
        see(unit, &mut payment, intent.epoch)?;
        return Ok(Begun { payment, is_new: false });
    }
    let payment = Payment::begin(intent, now(unit), times);
    insert_payment(unit, &payment)?;
    Ok(Begun { payment, is_new: true })
}

fn admit(unit: &mut Unit<'_>, order: &OrderId, epoch: Epoch) -> Result<Option<Payment>, Error> {
    let Some(mut payment) = newest(unit, order)? else { return Ok(None) };
    domain::admit(order, payment.epoch, epoch)?;
    see(unit, &mut payment, epoch)?;
    Ok(Some(payment))
}

fn give_up(
    unit: &mut Unit<'_>,
    order: &OrderId,
    generation: Generation,
    epoch: Epoch,
    times: &ReviewTimes,
) -> Result<Option<Payment>, Error> {
    let now = now(unit);
    let newest = newest(unit, order)?;
    let step = domain::void(newest.as_ref(), generation);
    let voided_in = unit.query_row(
        "INSERT INTO voided_orders (order_id, generation, voided_at, lease_epoch) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (order_id) DO UPDATE SET generation = max(generation, excluded.generation), \
         lease_epoch = max(lease_epoch, excluded.lease_epoch) RETURNING lease_epoch",
        params![order.as_str(), generation.number(), now.unix_millis(), epoch_row(epoch)],
        |row| Ok(Epoch::new(row.get::<_, u32>(0)?.into())),
    )?;
    // A refusal rolls the mark back as well.
    let seen = newest.as_ref().map_or(voided_in, |newest| newest.epoch.max(voided_in));
    domain::admit(order, seen, epoch)?;
    let Some(mut payment) = newest.filter(|newest| newest.generation <= generation) else { return Ok(None) };
    see(unit, &mut payment, epoch)?;
    if step == VoidStep::Forbid {
        return Ok(Some(payment));
    }
    let change = payment.given_up(now, times);
    write_change(unit, &payment, &change, false)?;
    Ok(Some(change.payment))
}

/// What a unit has written, or the contradiction that it has marked.
type Recorded = Result<Payment, Contradiction>;

fn record(
    unit: &mut Unit<'_>,
    payment: &Payment,
    finding: &Finding,
    times: &ReviewTimes,
) -> Result<Recorded, Error> {
    let now = now(unit);
    let (order, generation) = (payment.order.as_str(), payment.generation.number());
    match payment.after(finding, now, times) {
        Ok(change) => {
            write_change(unit, payment, &change, *finding != Finding::NoAnswer)?;
            Ok(Ok(change.payment))
        }
        Err(contradiction) => {
            unit.execute(
                "UPDATE payments SET contradicted_at = ?3 \
                 WHERE order_id = ?1 AND generation = ?2 AND contradicted_at IS NULL",
                params![order, generation, now.unix_millis()],
            )?;
            Ok(Err(contradiction))
        }
    }
}

fn begin_refund(
    unit: &mut Unit<'_>,
    request: NewRefund,
    epoch: Option<Epoch>,
    times: &ReviewTimes,
) -> Result<BegunRefund, Error> {
    let now = now(unit);
    if let Some(epoch) = epoch {
        admit(unit, &request.order, epoch)?;
    }
    let (new, payment) = match refund(unit, &request.key)? {
        Some((before, _)) if before.request != request => return Err(Refusal::KeyReused.into()),
        Some((before, payment)) => {
            let Some(anew) = before.anew(now, times) else {
                return Ok(BegunRefund { refund: before, payment, is_new: false, as_of: now });
            };
            (anew, Some(payment))
        }
        None => (Refund::begin(request.clone(), now), newest(unit, &request.order)?),
    };
    let pending = unit.query_row(
        "SELECT coalesce(sum(amount), 0) FROM refunds WHERE order_id = ?1 AND state = 'pending'",
        [request.order.as_str()],
        |row| row.get(0),
    )?;
    domain::refund(&request, payment.as_ref(), pending)?;
    let Some(payment) = payment else { return Err(Refusal::NoPayment(request.order).into()) };
    unit.execute(
        "INSERT INTO refunds \
         (step_key, order_id, generation, amount, state, number, review_at, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?7) \
         ON CONFLICT (step_key) DO UPDATE SET state = 'pending', number = excluded.number, reviews = 0, \
         review_at = excluded.review_at, created_at = excluded.created_at, updated_at = excluded.updated_at",
        params![
            request.key,
            request.order.as_str(),
            payment.generation.number(),
            request.amount.ten_thousandths(),
            new.number,
            now.plus(times.unknown_after).unix_millis(),
            now.unix_millis(),
        ],
    )?;
    Ok(BegunRefund { refund: new, payment, is_new: true, as_of: now })
}

fn end_refund(
    unit: &mut Unit<'_>,
    key: &str,
    number: u32,
    outcome: RefundOutcome,
    times: &ReviewTimes,
) -> Result<Recorded, Error> {
    let now = now(unit);
    let Some((refund, payment)) = refund(unit, key)? else { return Err(malformed("refunds.step_key")) };
    match outcome {
        RefundOutcome::NoAnswer => {
            let again_at = now.plus(times.pause(times.unknown_after, refund.reviews));
            unit.execute(
                "UPDATE refunds SET reviews = reviews + 1, updated_at = ?3, review_at = ?4 \
                 WHERE step_key = ?1 AND number = ?2 AND state = 'pending'",
                params![key, number, now.unix_millis(), again_at.unix_millis()],
            )?;
        }
        RefundOutcome::Done(charge) => {
            let recorded = record(unit, &payment, &Finding::Charge(charge), times)?;
            if recorded.is_err() {
                // Whether it was done is as doubtful as the rest of the answer.
                return Ok(recorded);
            }
            unit.execute(
                "UPDATE refunds SET state = 'done', updated_at = ?3, review_at = NULL \
                 WHERE step_key = ?1 AND number = ?2 AND state <> 'done'",
                params![key, number, now.unix_millis()],
            )?;
            return Ok(recorded);
        }
        RefundOutcome::Rejected => {
            unit.execute(
                "UPDATE refunds SET state = 'rejected', updated_at = ?3, review_at = NULL \
                 WHERE step_key = ?1 AND number = ?2 AND state = 'pending'",
                params![key, number, now.unix_millis()],
            )?;
        }
    }
    Ok(Ok(payment))
}

fn due(unit: &mut Unit<'_>, max: u32) -> Result<Due, Error> {
    let now = now(unit);
    let payments = unit.query_all(
        concat!(
            "SELECT ",
            payment_columns!(),
            " FROM payments WHERE review_at IS NOT NULL AND review_at <= ?1 ORDER BY review_at LIMIT ?2"
        ),
        params![now.unix_millis(), max],
        StoredPayment::read,
    )?;
    let refunds = unit.query_all(
        concat!(
            "SELECT ",
            refund_columns!(),
            " FROM refunds WHERE review_at IS NOT NULL AND review_at <= ?1 ORDER BY review_at LIMIT ?2"
        ),
        params![now.unix_millis(), max],
        StoredRefund::read,
    )?;
    let mut due = Due::default();
    for stored in payments {
        due.payments.push(stored.try_into()?);
    }
    for stored in refunds {
        let (order, generation) = stored.payment()?;
        let payment = payment(unit, &order, generation)?;
        due.refunds.push(BegunRefund { refund: stored.of(&payment)?, payment, is_new: false, as_of: now });
    }
    Ok(due)
}

fn newest(unit: &mut Unit<'_>, order: &OrderId) -> Result<Option<Payment>, Error> {
    let sql = concat!(
        "SELECT ",
        payment_columns!(),
        " FROM payments WHERE order_id = ?1 ORDER BY generation DESC LIMIT 1"
    );
    unit.query_optional(sql, [order.as_str()], StoredPayment::read)?.map(Payment::try_from).transpose()
}

fn payment(unit: &mut Unit<'_>, order: &OrderId, generation: Generation) -> Result<Payment, Error> {
    let sql =
        concat!("SELECT ", payment_columns!(), " FROM payments WHERE order_id = ?1 AND generation = ?2");
    unit.query_row(sql, params![order.as_str(), generation.number()], StoredPayment::read)?.try_into()
}

/// The refund of a key, with its payment.
fn refund(unit: &mut Unit<'_>, key: &str) -> Result<Option<(Refund, Payment)>, Error> {
    let sql = concat!("SELECT ", refund_columns!(), " FROM refunds WHERE step_key = ?1");
    let Some(stored) = unit.query_optional(sql, [key], StoredRefund::read)? else { return Ok(None) };
    let (order, generation) = stored.payment()?;
    let payment = payment(unit, &order, generation)?;
    Ok(Some((stored.of(&payment)?, payment)))
}

fn totals(unit: &mut Unit<'_>, currency: Currency) -> Result<Totals, Error> {
    let (charges, captured, refunded) = unit.query_row(
        "SELECT coalesce(sum(charges), 0), coalesce(sum(captured), 0), coalesce(sum(refunded), 0) FROM (\
         SELECT transaction_id IS NOT NULL AND state <> 'declined' AS charges, captured, refunded \
         FROM payments WHERE currency = ?1 \
         UNION ALL SELECT charges, captured, refunded FROM payments_brought_forward WHERE currency = ?1)",
        [currency.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let (debits, credits, receivable) = unit.query_row(
        "SELECT coalesce(sum(debit), 0), coalesce(sum(credit), 0), \
         coalesce(sum(debit - credit) FILTER (WHERE account = 'provider_receivable'), 0) \
         FROM (SELECT account, debit, credit FROM ledger_entries WHERE currency = ?1 \
         UNION ALL SELECT account, debit, credit FROM ledger_brought_forward WHERE currency = ?1)",
        [currency.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let unbalanced_orders = unit.query_row(
        "SELECT count(*) FROM (SELECT 1 FROM ledger_entries WHERE currency = ?1 \
         GROUP BY order_id HAVING sum(debit) <> sum(credit))",
        [currency.as_str()],
        |row| row.get(0),
    )?;
    Ok(Totals { charges, captured, refunded, debits, credits, receivable, unbalanced_orders })
}
