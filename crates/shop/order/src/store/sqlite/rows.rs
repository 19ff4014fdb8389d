//! Rows into the words of the domain. A value that the program cannot have written is an error, not a guess.

use crate::{
    Error,
    domain::{Order, Origin},
};
use rusqlite::Row;
use std::str::FromStr;
use waypost_api::{Money, Timestamp};

/// The columns of an order, in the order in which [`StoredOrder::read`] takes them.
macro_rules! select_order {
    ($rest:literal) => {
        concat!(
            "SELECT order_id, user_id, product_id, quantity, unit_price, amount, currency, payment_method, status, \
             failure_code, decline_code, transaction_id, created_at, updated_at, version, trace_id, traceparent, \
             tracestate, charge FROM orders ",
            $rest
        )
    };
}
pub(super) use select_order;

/// An order as its row has it.
pub(super) struct StoredOrder {
    id: String,
    user: String,
    product: String,
    currency: String,
    payment_method: String,
    status: String,
    failure_code: Option<String>,
    decline_code: Option<String>,
    transaction: Option<String>,
    quantity: u32,
    unit_price: i64,
    amount: i64,
    created_at: i64,
    updated_at: i64,
    version: u32,
    origin: Origin,
    charge: String,
}

impl StoredOrder {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StoredOrder> {
        Ok(StoredOrder {
            id: row.get(0)?,
            user: row.get(1)?,
            product: row.get(2)?,
            quantity: row.get(3)?,
            unit_price: row.get(4)?,
            amount: row.get(5)?,
            currency: row.get(6)?,
            payment_method: row.get(7)?,
            status: row.get(8)?,
            failure_code: row.get(9)?,
            decline_code: row.get(10)?,
            transaction: row.get(11)?,
            created_at: row.get(12)?,
            updated_at: row.get(13)?,
            version: row.get(14)?,
            origin: Origin { trace_id: row.get(15)?, traceparent: row.get(16)?, tracestate: row.get(17)? },
            charge: row.get(18)?,
        })
    }
}

impl TryFrom<StoredOrder> for Order {
    type Error = Error;

    fn try_from(row: StoredOrder) -> Result<Order, Error> {
        let currency = parsed(&row.currency, "orders.currency")?;
        Ok(Order {
            id: parsed(&row.id, "orders.order_id")?,
            user: parsed(&row.user, "orders.user_id")?,
            product: parsed(&row.product, "orders.product_id")?,
            quantity: row.quantity,
            unit_price: Money::new(row.unit_price, currency),
            amount: Money::new(row.amount, currency),
            payment_method: row.payment_method,
            status: parsed(&row.status, "orders.status")?,
            failure_code: row.failure_code.map(|code| parsed(&code, "orders.failure_code")).transpose()?,
            decline_code: row.decline_code,
            transaction: row.transaction.map(|id| parsed(&id, "orders.transaction_id")).transpose()?,
            charge: parsed(&row.charge, "orders.charge")?,
            created_at: moment(row.created_at, "orders.created_at")?,
            updated_at: moment(row.updated_at, "orders.updated_at")?,
            version: row.version.into(),
            origin: row.origin,
        })
    }
}

pub(super) fn parsed<T: FromStr>(text: &str, what: &'static str) -> Result<T, Error> {
    text.parse().map_err(|_| malformed(what))
}

pub(super) fn moment(millis: i64, what: &'static str) -> Result<Timestamp, Error> {
    Timestamp::from_unix_millis(millis).map_err(|_| malformed(what))
}

/// Versions and row numbers count from 1 by one; none comes near the end of the range.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn malformed(what: &'static str) -> Error {
    Error::Store(waypost_durable::Error::Malformed { what })
}
