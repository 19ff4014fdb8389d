//! Rows of PostgreSQL as the types of the domain, and back.

use crate::{
    Error,
    domain::{Change, Generation, NewRefund, Payment, PaymentState, Refund, RefundState},
};
use waypost_api::{Money, OrderId, Timestamp, TransactionId};
use waypost_durable::{
    Epoch,
    postgres::{At, Row, Unit, params},
};

/// A payment's columns, in the order in which [`payment_of_row`] expects them.
macro_rules! select_payment {
    ($rest:literal) => {
        concat!(
            "SELECT order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, state, \
             captured, refunded, transaction_id, decline_code, is_unwanted, review_at, reviews, version, traceparent, \
             created_at, updated_at, lease_epoch FROM payments ",
            $rest
        )
    };
}
pub(super) use select_payment;

/// A refund's columns, in the order in which [`StoredRefund::read`] expects them.
macro_rules! select_refund {
    ($rest:literal) => {
        concat!(
            "SELECT step_key, order_id, generation, amount, state, number, reviews, created_at, updated_at \
             FROM refunds ",
            $rest
        )
    };
}
pub(super) use select_refund;

pub(super) fn payment_of_row(row: &Row) -> Result<Payment, waypost_durable::Error> {
    let malformed = |what| waypost_durable::Error::Malformed { what };
    let currency = row.get::<&str>(7)?.parse().map_err(|_| malformed("payments.currency"))?;
    let transaction = row.get::<Option<&str>>(11)?;
    Ok(Payment {
        order: row.get::<&str>(0)?.parse().map_err(|_| malformed("payments.order_id"))?,
        generation: Generation::new(row.number(1)?),
        id: row.get::<&str>(2)?.parse().map_err(|_| malformed("payments.payment_id"))?,
        key: row.get(3)?,
        user: row.get::<&str>(4)?.parse().map_err(|_| malformed("payments.user_id"))?,
        method: row.get(5)?,
        amount: Money::new(row.get(6)?, currency),
        state: PaymentState::from_name(row.get(8)?).ok_or_else(|| malformed("payments.state"))?,
        captured: row.get(9)?,
        refunded: row.get(10)?,
        transaction: transaction
            .map(|id| id.parse().map_err(|_| malformed("payments.transaction_id")))
            .transpose()?,
        decline_code: row.get(12)?,
        is_unwanted: row.get(13)?,
        review_at: row.optional_time(14)?.map(Timestamp::from),
        reviews: row.number(15)?,
        version: row.number(16)?,
        traceparent: row.get(17)?,
        created_at: row.time(18)?.into(),
        updated_at: row.time(19)?.into(),
        epoch: Epoch::new(row.number(20)?),
    })
}

pub(super) async fn insert_payment(unit: &mut Unit, payment: &Payment) -> Result<(), Error> {
    unit.execute(
        "INSERT INTO payments (order_id, generation, payment_id, step_key, user_id, payment_method, amount, currency, \
         state, captured, refunded, transaction_id, decline_code, is_unwanted, review_at, reviews, version, \
         traceparent, created_at, updated_at, lease_epoch) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
        params![
            payment.order.as_str(),
            i64::from(payment.generation.number()),
            payment.id.as_str(),
            &payment.key,
            payment.user.as_str(),
            &payment.method,
            payment.amount.ten_thousandths(),
            payment.amount.currency().as_str(),
            payment.state.as_str(),
            payment.captured,
            payment.refunded,
            payment.transaction.as_ref().map(TransactionId::as_str),
            &payment.decline_code,
            payment.is_unwanted,
            payment.review_at.map(at),
            i64::from(payment.reviews),
            i64::from(payment.version),
            &payment.traceparent,
            at(payment.created_at),
            at(payment.updated_at),
            epoch_row(payment.epoch),
        ],
    )
    .await?;
    Ok(())
}

/// Remembers a runner, if it is the newest so far.
pub(super) async fn see(unit: &mut Unit, payment: &mut Payment, epoch: Epoch) -> Result<(), Error> {
    if payment.epoch.is_overtaken_by(epoch) {
        unit.execute(
            "UPDATE payments SET lease_epoch = $3 WHERE order_id = $1 AND generation = $2",
            params![payment.order.as_str(), i64::from(payment.generation.number()), epoch_row(epoch)],
        )
        .await?;
        payment.epoch = epoch;
    }
    Ok(())
}

/// Writes what can change of a payment and books the money that moved. `from` is the payment that the change was
/// made from.
pub(super) async fn write_change(unit: &mut Unit, from: &Payment, change: &Change) -> Result<(), Error> {
    let payment = &change.payment;
    if payment.version == from.version {
        return Ok(());
    }
    let changed = unit.execute(
        "UPDATE payments SET state = $4, captured = $5, refunded = $6, transaction_id = $7, decline_code = $8, \
         is_unwanted = $9, review_at = $10, reviews = $11, version = $12, updated_at = $13 \
         WHERE order_id = $1 AND generation = $2 AND version = $3",
        params![
            payment.order.as_str(),
            i64::from(payment.generation.number()),
            i64::from(from.version),
            payment.state.as_str(),
            payment.captured,
            payment.refunded,
            payment.transaction.as_ref().map(TransactionId::as_str),
            &payment.decline_code,
            payment.is_unwanted,
            payment.review_at.map(at),
            i64::from(payment.reviews),
            i64::from(payment.version),
            at(payment.updated_at),
        ],
    );
    if changed.await? != 1 {
        // I13: somebody else moved it since it was read; the order's lock keeps them out.
        let what = "payment".to_owned();
        return Err(Error::Store(waypost_durable::Error::Fenced { what }));
    }
    for posting in &change.postings {
        for entry in posting.entries() {
            unit.execute(
                "INSERT INTO ledger_entries \
                 (order_id, generation, version, posting, account, debit, credit, currency, at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                params![
                    payment.order.as_str(),
                    i64::from(payment.generation.number()),
                    i64::from(payment.version),
                    posting.as_str(),
                    entry.account.as_str(),
                    entry.debit,
                    entry.credit,
                    posting.amount().currency().as_str(),
                    at(payment.updated_at),
                ],
            )
            .await?;
        }
    }
    Ok(())
}

/// A row of `refunds` whose payment was not looked at yet.
pub(super) struct StoredRefund {
    key: String,
    order: OrderId,
    generation: Generation,
    amount: i64,
    state: RefundState,
    number: u32,
    reviews: u32,
    begun_at: Timestamp,
    updated_at: Timestamp,
}

impl StoredRefund {
    pub(super) fn read(row: &Row) -> Result<StoredRefund, waypost_durable::Error> {
        let malformed = |what| waypost_durable::Error::Malformed { what };
        Ok(StoredRefund {
            key: row.get(0)?,
            order: row.get::<&str>(1)?.parse().map_err(|_| malformed("refunds.order_id"))?,
            generation: Generation::new(row.number(2)?),
            amount: row.get(3)?,
            state: RefundState::from_name(row.get(4)?).ok_or_else(|| malformed("refunds.state"))?,
            number: row.number(5)?,
            reviews: row.number(6)?,
            begun_at: row.time(7)?.into(),
            updated_at: row.time(8)?.into(),
        })
    }

    /// The order and the generation of its payment.
    pub(super) fn payment(&self) -> (OrderId, Generation) {
        (self.order.clone(), self.generation)
    }

    /// The refund, whose currency is its payment's.
    pub(super) fn of(self, payment: &Payment) -> Refund {
        Refund {
            request: NewRefund {
                order: payment.order.clone(),
                key: self.key,
                amount: Money::new(self.amount, payment.amount.currency()),
            },
            number: self.number,
            state: self.state,
            reviews: self.reviews,
            begun_at: self.begun_at,
            updated_at: self.updated_at,
        }
    }
}

pub(super) fn at(moment: Timestamp) -> At {
    At(moment.into())
}

/// Epochs count take-overs from 1; none comes near the end of the range.
pub(super) fn epoch_row(epoch: Epoch) -> i64 {
    i64::try_from(epoch.number()).unwrap_or(i64::MAX)
}

pub(super) fn malformed(what: &'static str) -> Error {
    Error::Store(waypost_durable::Error::Malformed { what })
}
