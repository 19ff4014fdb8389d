//! What the order service tells the others: one event per order, when it is settled.

use crate::domain::Order;
use waypost_api::{
    EventId, OrderStatus,
    events::{ORDER_EVENTS_TOPIC, OrderEvent, OrderEventKind},
};
use waypost_durable::outbox;

/// The event of an order that has just come to its end; `None` when it has not.
///
/// Its id follows from order and version, so that the same move never makes two events. Its trace context is that of
/// the request that created the order, also when a restart lies between.
pub(crate) fn settled(order: &Order) -> Result<Option<outbox::Event>, waypost_durable::Error> {
    let kind = match order.status {
        OrderStatus::Pending | OrderStatus::Confirmed => return Ok(None),
        OrderStatus::Completed => OrderEventKind::Completed,
        OrderStatus::Failed => OrderEventKind::Failed,
        OrderStatus::Cancelled => OrderEventKind::Cancelled,
    };
    let malformed = |what| waypost_durable::Error::Malformed { what };
    let event_id =
        EventId::parse(&format!("{}.{}", order.id, order.version)).map_err(|_| malformed("event id"))?;
    let event = OrderEvent {
        event_id: event_id.clone(),
        kind,
        order_id: order.id.clone(),
        user_id: order.user.clone(),
        product_id: order.product.clone(),
        quantity: order.quantity,
        amount: order.amount,
        status: order.status,
        failure_code: order.failure_code,
        charge: Some(order.charge),
        version: order.version,
        occurred_at: order.updated_at,
    };
    let payload = serde_json::to_vec(&event).map_err(|_| malformed("order event"))?;
    let key = order.id.as_str();
    Ok(Some(outbox::Event {
        traceparent: order.origin.traceparent.clone(),
        tracestate: order.origin.tracestate.clone(),
        ..outbox::Event::new(event_id.as_str(), ORDER_EVENTS_TOPIC, key, kind.as_str(), payload)
    }))
}
