//! Rows of SQLite as the types of the domain, and back.

use crate::{
    Error,
    domain::{Change, Generation, NewRefund, Payment, PaymentState, Refund, RefundState},
};
use rusqlite::{Row, params};
use waypost_api::{Money, OrderId, Timestamp, TransactionId};
use waypost_durable::{Epoch, Unit};

/// The columns of a payment in the order in which [`StoredPayment::read`] expects them.
macro_rules! payment_columns {
    () => {
        "order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state, captured, \
         refunded, transaction_id, decline_code, is_unwanted, review_at, reviews, version, traceparent, created_at, \
         updated_at, lease_epoch"
    };
}
pub(super) use payment_columns;

/// The columns of a refund in the order in which [`StoredRefund::read`] expects them.
macro_rules! refund_columns {
    () => {
        "step_key, order_id, generation, amount, state, number, reviews, created_at, updated_at"
    };
}
pub(super) use refund_columns;

/// A row of `payments` whose texts were not looked at yet.
pub(super) struct StoredPayment {
    order: String,
    generation: u32,
    id: String,
    key: String,
    user: String,
    method: String,
    amount: i64,
    currency: String,
    state: String,
    captured: i64,
    refunded: i64,
    transaction: Option<String>,
    decline_code: Option<String>,
    is_unwanted: bool,
    review_at: Option<i64>,
    reviews: u32,
    version: u32,
    traceparent: Option<String>,
    created_at: i64,
    updated_at: i64,
    epoch: u32,
}

impl StoredPayment {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StoredPayment> {
        Ok(StoredPayment {
            order: row.get(0)?,
            generation: row.get(1)?,
            id: row.get(2)?,
            key: row.get(3)?,
            user: row.get(4)?,
            method: row.get(5)?,
            amount: row.get(6)?,
            currency: row.get(7)?,
            state: row.get(8)?,
            captured: row.get(9)?,
            refunded: row.get(10)?,
            transaction: row.get(11)?,
            decline_code: row.get(12)?,
            is_unwanted: row.get(13)?,
            review_at: row.get(14)?,
            reviews: row.get(15)?,
            version: row.get(16)?,
            traceparent: row.get(17)?,
            created_at: row.get(18)?,
            updated_at: row.get(19)?,
            epoch: row.get(20)?,
        })
    }
}

impl TryFrom<StoredPayment> for Payment {
    type Error = Error;

    fn try_from(row: StoredPayment) -> Result<Payment, Error> {
        let currency = row.currency.parse().map_err(|_| malformed("payments.currency"))?;
        Ok(Payment {
            id: row.id.parse().map_err(|_| malformed("payments.payment_id"))?,
            order: row.order.parse().map_err(|_| malformed("payments.order_id"))?,
            generation: Generation::new(row.generation),
            key: row.key,
            user: row.user.parse().map_err(|_| malformed("payments.user_id"))?,
            method: row.method,
            amount: Money::new(row.amount, currency),
            state: PaymentState::from_name(&row.state).ok_or_else(|| malformed("payments.state"))?,
            captured: row.captured,
            refunded: row.refunded,
            transaction: row
                .transaction
                .map(|id| id.parse().map_err(|_| malformed("payments.transaction_id")))
                .transpose()?,
            decline_code: row.decline_code,
            is_unwanted: row.is_unwanted,
            review_at: row.review_at.map(|at| moment(at, "payments.review_at")).transpose()?,
            reviews: row.reviews,
            version: row.version,
            traceparent: row.traceparent,
            epoch: Epoch::new(row.epoch.into()),
            created_at: moment(row.created_at, "payments.created_at")?,
            updated_at: moment(row.updated_at, "payments.updated_at")?,
        })
    }
}

pub(super) fn insert_payment(unit: &mut Unit<'_>, payment: &Payment) -> Result<(), Error> {
    unit.execute(
        concat!(
            "INSERT INTO payments (",
            payment_columns!(),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
             ?21)"
        ),
        params![
            payment.order.as_str(),
            payment.generation.number(),
            payment.id.as_str(),
            payment.key,
            payment.user.as_str(),
            payment.method,
            payment.amount.ten_thousandths(),
            payment.amount.currency().as_str(),
            payment.state.as_str(),
            payment.captured,
            payment.refunded,
            payment.transaction.as_ref().map(TransactionId::as_str),
            payment.decline_code,
            payment.is_unwanted,
            payment.review_at.map(Timestamp::unix_millis),
            payment.reviews,
            payment.version,
            payment.traceparent,
            payment.created_at.unix_millis(),
            payment.updated_at.unix_millis(),
            epoch_row(payment.epoch),
        ],
    )?;
    Ok(())
}

/// Remembers a runner, if it is the newest so far.
pub(super) fn see(unit: &mut Unit<'_>, payment: &mut Payment, epoch: Epoch) -> Result<(), Error> {
    if payment.epoch.is_overtaken_by(epoch) {
        unit.execute(
            "UPDATE payments SET lease_epoch = ?3 WHERE order_id = ?1 AND generation = ?2",
            params![payment.order.as_str(), payment.generation.number(), epoch_row(epoch)],
        )?;
        payment.epoch = epoch;
    }
    Ok(())
}

/// Epochs count take-overs from 1; none comes near the end of the range.
pub(super) fn epoch_row(epoch: Epoch) -> u32 {
    u32::try_from(epoch.number()).unwrap_or(u32::MAX)
}

/// Writes what can change of a payment and books the money that moved. `from` is the payment that the change was
/// made from. `fits_the_books`: the provider has said something that they do not exclude, whatever it said before.
pub(super) fn write_change(
    unit: &mut Unit<'_>,
    from: &Payment,
    change: &Change,
    fits_the_books: bool,
) -> Result<(), Error> {
    let payment = &change.payment;
    if payment.version == from.version {
        if fits_the_books {
            unit.execute(
                "UPDATE payments SET contradicted_at = NULL \
                 WHERE order_id = ?1 AND generation = ?2 AND contradicted_at IS NOT NULL",
                params![payment.order.as_str(), payment.generation.number()],
            )?;
        }
        return Ok(());
    }
    let changed = unit.execute(
        "UPDATE payments SET state = ?4, captured = ?5, refunded = ?6, transaction_id = ?7, decline_code = ?8, \
         is_unwanted = ?9, review_at = ?10, reviews = ?11, version = ?12, updated_at = ?13, \
         contradicted_at = CASE WHEN ?14 THEN NULL ELSE contradicted_at END \
         WHERE order_id = ?1 AND generation = ?2 AND version = ?3",
        params![
            payment.order.as_str(),
            payment.generation.number(),
            from.version,
            payment.state.as_str(),
            payment.captured,
            payment.refunded,
            payment.transaction.as_ref().map(TransactionId::as_str),
            payment.decline_code,
            payment.is_unwanted,
            payment.review_at.map(Timestamp::unix_millis),
            payment.reviews,
            payment.version,
            payment.updated_at.unix_millis(),
            fits_the_books,
        ],
    )?;
    if changed != 1 {
        // I13: somebody else moved it since it was read; one writer cannot get here.
        let what = "payment".to_owned();
        return Err(Error::Store(waypost_durable::Error::Fenced { what }));
    }
    for posting in &change.postings {
        for entry in posting.entries() {
            unit.execute(
                "INSERT INTO ledger_entries \
                 (order_id, generation, version, posting, account, debit, credit, currency, at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    payment.order.as_str(),
                    payment.generation.number(),
                    payment.version,
                    posting.as_str(),
                    entry.account.as_str(),
                    entry.debit,
                    entry.credit,
                    posting.amount().currency().as_str(),
                    payment.updated_at.unix_millis(),
                ],
            )?;
        }
    }
    Ok(())
}

/// A row of `refunds` whose texts were not looked at yet.
pub(super) struct StoredRefund {
    key: String,
    order: String,
    generation: u32,
    amount: i64,
    state: String,
    number: u32,
    reviews: u32,
    begun_at: i64,
    updated_at: i64,
}

impl StoredRefund {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StoredRefund> {
        Ok(StoredRefund {
            key: row.get(0)?,
            order: row.get(1)?,
            generation: row.get(2)?,
            amount: row.get(3)?,
            state: row.get(4)?,
            number: row.get(5)?,
            reviews: row.get(6)?,
            begun_at: row.get(7)?,
            updated_at: row.get(8)?,
        })
    }

    /// The order and the generation of its payment.
    pub(super) fn payment(&self) -> Result<(OrderId, Generation), Error> {
        let order = self.order.parse().map_err(|_| malformed("refunds.order_id"))?;
        Ok((order, Generation::new(self.generation)))
    }

    /// The refund, whose currency is its payment's.
    pub(super) fn of(self, payment: &Payment) -> Result<Refund, Error> {
        Ok(Refund {
            request: NewRefund {
                order: payment.order.clone(),
                key: self.key,
                amount: Money::new(self.amount, payment.amount.currency()),
            },
            number: self.number,
            state: RefundState::from_name(&self.state).ok_or_else(|| malformed("refunds.state"))?,
            reviews: self.reviews,
            begun_at: moment(self.begun_at, "refunds.created_at")?,
            updated_at: moment(self.updated_at, "refunds.updated_at")?,
        })
    }
}

fn moment(millis: i64, what: &'static str) -> Result<Timestamp, Error> {
    Timestamp::from_unix_millis(millis).map_err(|_| malformed(what))
}

pub(super) fn malformed(what: &'static str) -> Error {
    Error::Store(waypost_durable::Error::Malformed { what })
}
