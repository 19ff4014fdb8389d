//! What every library is given to trace: one request, four spans.
//!
//! `POST /orders/{id}` SERVER with eight attributes, below it `place-order` with three, below it `reserve-stock` with
//! three, below it `INSERT orders` CLIENT with six (the last is `error.type`, set when it fails), an event
//! `exception` with two, and status error. Two of the values are made for each request, as an id and a path are.

/// Spans of one request.
pub(crate) const SPANS: u64 = 4;

pub(crate) const QUERY: &str = "INSERT INTO orders (id, amount) VALUES (?1, ?2)";
pub(crate) const FAILURE: &str = "timeout";
pub(crate) const MESSAGE: &str = "the database did not answer in time";
pub(crate) const AGENT: &str = "load/1.0 (benchmark)";

/// What differs from request to request.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) items: i64,
    pub(crate) distance: f64,
    pub(crate) is_express: bool,
}

/// Some orders, so that making them is no part of what is measured.
pub(crate) fn orders() -> Vec<Order> {
    (0..128_u32)
        .map(|number| {
            let id = format!("{:016x}", u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            Order {
                path: format!("/orders/{id}"),
                id,
                items: i64::from(number % 7) + 1,
                distance: f64::from(number) * 1.5,
                is_express: number.is_multiple_of(3),
            }
        })
        .collect()
}
