//! What is told about an order. Pure: nothing is read or written.

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use waypost_api::{
    EventId, OrderId, Timestamp, UserId,
    events::{OrderEvent, OrderEventKind},
};

/// A way to reach a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Electronic mail.
    Email,
    /// Short message.
    Sms,
}

impl Channel {
    const ALL: [Channel; 2] = [Channel::Email, Channel::Sms];

    /// The name in rows and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
        }
    }
}

/// A text is not the name of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a channel")]
pub struct UnknownChannel;

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(name: &str) -> Result<Channel, UnknownChannel> {
        Channel::ALL.into_iter().find(|channel| channel.as_str() == name).ok_or(UnknownChannel)
    }
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The order it is about.
    pub order: OrderId,
    /// What happened to the order.
    pub kind: OrderEventKind,
    /// How the user is told.
    pub channel: Channel,
    /// Who is told.
    pub user: UserId,
    /// What is said.
    pub subject: String,
    /// The event it tells of.
    pub event: EventId,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// What an event has to say to a user; `None` for one that is not worth a message.
pub fn subject(event: &OrderEvent) -> Option<String> {
    let order = &event.order_id;
    match event.kind {
        OrderEventKind::Placed | OrderEventKind::Confirmed => None,
        OrderEventKind::Completed => {
            let (amount, currency) = (event.amount, event.amount.currency());
            Some(format!(
                "Order {order} is complete: {} x {}, {amount} {currency}",
                event.quantity, event.product_id
            ))
        }
        OrderEventKind::Failed => {
            let reason = event.failure_code.map_or("Something went wrong", |code| code.title());
            let money = event.charge.map(|charge| format!(". {}", sentence(charge.told())));
            let money = money.unwrap_or_default();
            Some(format!("Order {order} could not be completed: {reason}{money}"))
        }
        // Possible only before the payment is taken.
        OrderEventKind::Cancelled => Some(format!("Order {order} is cancelled. Nothing was charged")),
    }
}

/// The text with a capital letter at its beginning.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|character| character.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

/// The notifications that an event leads to, one a channel.
pub fn notifications(event: &OrderEvent, channels: &[Channel], now: Timestamp) -> Vec<Notification> {
    let Some(subject) = subject(event) else { return Vec::new() };
    let on = |channel: &Channel| Notification {
        order: event.order_id.clone(),
        kind: event.kind,
        channel: *channel,
        user: event.user_id.clone(),
        subject: subject.clone(),
        event: event.event_id.clone(),
        sent_at: now,
    };
    channels.iter().map(on).collect()
}
