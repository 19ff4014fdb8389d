//! The notification service: the store's contract, and events from a real broker.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod events;
mod store;

use waypost_api::events::{OrderEvent, OrderEventKind};
use waypost_api::{Charge, Currency, ErrorCode, Money, OrderStatus, Timestamp};

/// An event of an order, with an id of its own for each pair.
pub(crate) fn event(order: &str, kind: OrderEventKind) -> OrderEvent {
    let status = match kind {
        OrderEventKind::Placed => OrderStatus::Pending,
        OrderEventKind::Confirmed => OrderStatus::Confirmed,
        OrderEventKind::Completed => OrderStatus::Completed,
        OrderEventKind::Failed => OrderStatus::Failed,
        OrderEventKind::Cancelled => OrderStatus::Cancelled,
    };
    OrderEvent {
        event_id: format!("{order}-{kind}").parse().unwrap(),
        kind,
        order_id: order.parse().unwrap(),
        user_id: "user123".parse().unwrap(),
        product_id: "prod456".parse().unwrap(),
        quantity: 2,
        amount: Money::new(999_900, Currency::USD),
        status,
        failure_code: (kind == OrderEventKind::Failed).then_some(ErrorCode::OutOfStock),
        charge: Some(Charge::None),
        version: 4,
        occurred_at: Timestamp::parse("2026-11-21T07:26:40.123Z").unwrap(),
    }
}
