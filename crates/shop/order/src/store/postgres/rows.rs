//! Rows into the words of the domain. A value that the program cannot have written is an error, not a guess.

use crate::{
    Error,
    domain::{Fact, Order, Origin},
};
use std::str::FromStr;
use waypost_api::{Money, Timestamp};
use waypost_durable::postgres::{At, Row};

/// The columns of an order, in the order in which [`order_of_row`] takes them.
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

/// What a row's columns are read into, or what the store says of one that cannot be.
pub(super) type Read<T> = Result<T, waypost_durable::Error>;

pub(super) fn order_of_row(row: &Row) -> Read<Order> {
    let currency = parsed(row.get(6)?, "orders.currency")?;
    let failure_code = row.get::<Option<&str>>(9)?;
    let transaction = row.get::<Option<&str>>(11)?;
    Ok(Order {
        id: parsed(row.get(0)?, "orders.order_id")?,
        user: parsed(row.get(1)?, "orders.user_id")?,
        product: parsed(row.get(2)?, "orders.product_id")?,
        quantity: row.number(3)?,
        unit_price: Money::new(row.get(4)?, currency),
        amount: Money::new(row.get(5)?, currency),
        payment_method: row.get(7)?,
        status: parsed(row.get(8)?, "orders.status")?,
        failure_code: failure_code.map(|code| parsed(code, "orders.failure_code")).transpose()?,
        decline_code: row.get(10)?,
        transaction: transaction.map(|id| parsed(id, "orders.transaction_id")).transpose()?,
        charge: parsed(row.get(18)?, "orders.charge")?,
        created_at: row.time(12)?.into(),
        updated_at: row.time(13)?.into(),
        version: row.number(14)?,
        origin: Origin { trace_id: row.get(15)?, traceparent: row.get(16)?, tracestate: row.get(17)? },
    })
}

/// The facts of one row of a journal, from its text.
pub(super) fn facts(row: &Row, column: usize) -> Read<Vec<Fact>> {
    serde_json::from_str(row.get(column)?).map_err(|_| unreadable("order_journal.facts"))
}

pub(super) fn parsed<T: FromStr>(text: &str, what: &'static str) -> Read<T> {
    text.parse().map_err(|_| unreadable(what))
}

pub(super) fn unreadable(what: &'static str) -> waypost_durable::Error {
    waypost_durable::Error::Malformed { what }
}

pub(super) fn malformed(what: &'static str) -> Error {
    Error::Store(unreadable(what))
}

pub(super) fn at(moment: Timestamp) -> At {
    At(moment.into())
}

/// Versions and row numbers count from 1 by one; none comes near the end of the range.
pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
