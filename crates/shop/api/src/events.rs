//! What happened to an order, as told to whoever listens on the broker.
//!
//! An event is written to the outbox in the same transaction as the change it tells of, so it exists exactly when
//! the change does. It may be delivered more than once: [`OrderEvent::event_id`] tells copies apart, and
//! [`OrderEvent::version`] the order of an order's events. The key of the message is the order's id.
//!
//! Readers ignore fields they do not know, so that a new field needs no new topic.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Amount, Charge, Currency, ErrorCode, EventId, Money, OrderId, OrderStatus, ProductId, Timestamp, UserId,
};

/// The topic of [`OrderEvent`].
pub const ORDER_EVENTS_TOPIC: &str = "order-events";

/// One change of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct OrderEvent {
    /// The same in every copy of the event.
    pub event_id: EventId,
    /// What happened.
    pub kind: OrderEventKind,
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub user_id: UserId,
    /// What was ordered.
    pub product_id: ProductId,
    /// How many.
    pub quantity: u32,
    /// What it costs in all. In JSON `amount` and `currency`.
    pub amount: Money,
    /// The order's state after the change.
    pub status: OrderStatus,
    /// Why it failed.
    pub failure_code: Option<ErrorCode>,
    /// What became of the money; absent in events of versions that did not tell.
    pub charge: Option<Charge>,
    /// The order's version after the change.
    pub version: u64,
    /// When it happened.
    pub occurred_at: Timestamp,
}

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OrderEventKind {
    /// It was accepted.
    #[serde(rename = "order.placed")]
    Placed,
    /// Its stock is held and its payment authorised.
    #[serde(rename = "order.confirmed")]
    Confirmed,
    /// It is paid and its stock taken.
    #[serde(rename = "order.completed")]
    Completed,
    /// It could not be done.
    #[serde(rename = "order.failed")]
    Failed,
    /// Its owner gave it up.
    #[serde(rename = "order.cancelled")]
    Cancelled,
}

impl OrderEventKind {
    /// Every kind.
    pub const ALL: [OrderEventKind; 5] =
        [Self::Placed, Self::Confirmed, Self::Completed, Self::Failed, Self::Cancelled];

    /// The name in messages and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "order.placed",
            Self::Confirmed => "order.confirmed",
            Self::Completed => "order.completed",
            Self::Failed => "order.failed",
            Self::Cancelled => "order.cancelled",
        }
    }
}

impl fmt::Display for OrderEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not the name of a kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a kind of order event")]
pub struct UnknownOrderEventKind;

impl FromStr for OrderEventKind {
    type Err = UnknownOrderEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownOrderEventKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownOrderEventKind)
    }
}

/// The event as JSON has it: the currency beside the amount.
#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    event_id: EventId,
    kind: OrderEventKind,
    order_id: OrderId,
    user_id: UserId,
    product_id: ProductId,
    quantity: u32,
    amount: Amount,
    currency: Currency,
    status: OrderStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure_code: Option<ErrorCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    charge: Option<Charge>,
    version: u64,
    occurred_at: Timestamp,
}

impl From<Wire> for OrderEvent {
    fn from(wire: Wire) -> Self {
        Self {
            event_id: wire.event_id,
            kind: wire.kind,
            order_id: wire.order_id,
            user_id: wire.user_id,
            product_id: wire.product_id,
            quantity: wire.quantity,
            amount: Money::of(wire.amount, wire.currency),
            status: wire.status,
            failure_code: wire.failure_code,
            charge: wire.charge,
            version: wire.version,
            occurred_at: wire.occurred_at,
        }
    }
}

impl From<OrderEvent> for Wire {
    fn from(event: OrderEvent) -> Self {
        Self {
            event_id: event.event_id,
            kind: event.kind,
            order_id: event.order_id,
            user_id: event.user_id,
            product_id: event.product_id,
            quantity: event.quantity,
            amount: event.amount.amount(),
            currency: event.amount.currency(),
            status: event.status,
            failure_code: event.failure_code,
            charge: event.charge,
            version: event.version,
            occurred_at: event.occurred_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> OrderEvent {
        OrderEvent {
            event_id: EventId::parse("event-1").unwrap(),
            kind: OrderEventKind::Failed,
            order_id: OrderId::parse("order-1").unwrap(),
            user_id: UserId::parse("user123").unwrap(),
            product_id: ProductId::parse("prod456").unwrap(),
            quantity: 2,
            amount: Money::new(999_900, "EUR".parse().unwrap()),
            status: OrderStatus::Failed,
            failure_code: Some(ErrorCode::OutOfStock),
            charge: Some(Charge::Refunded),
            version: 3,
            occurred_at: Timestamp::parse("2026-11-21T07:26:40.123Z").unwrap(),
        }
    }

    #[test]
    fn an_event_has_this_json() {
        let json = serde_json::to_string(&event()).unwrap();
        assert_eq!(
            json,
            r#"{"event_id":"event-1","kind":"order.failed","order_id":"order-1","user_id":"user123","#
                .to_owned()
                + r#""product_id":"prod456","quantity":2,"amount":99.99,"currency":"EUR","status":"failed","#
                + r#""failure_code":"out_of_stock","charge":"refunded","version":3,"#
                + r#""occurred_at":"2026-11-21T07:26:40.123Z"}"#
        );
        assert_eq!(serde_json::from_str::<OrderEvent>(&json).unwrap(), event());
    }

    #[test]
    fn a_field_of_a_later_version_is_ignored() {
        let json = serde_json::to_string(&event()).unwrap().replacen('{', r#"{"colour":"red","#, 1);
        assert_eq!(serde_json::from_str::<OrderEvent>(&json).unwrap(), event());
    }

    #[test]
    fn every_kind_has_one_name_in_text_and_json() {
        for kind in OrderEventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
