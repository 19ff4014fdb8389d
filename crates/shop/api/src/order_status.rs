//! The states of an order as the outside sees them. Which move is allowed from where is the order service's
//! rule; here are only the names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use waypost_telemetry::opentelemetry::Value;

/// The state of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted and durable; stock and payment are being seen to.
    Pending,
    /// Stock is held and the payment authorised; the money is being taken.
    Confirmed,
    /// Paid in full and the stock taken. Final.
    Completed,
    /// Could not be done, and everything begun for it was undone. Final.
    Failed,
    /// Given up by its owner before the payment was taken. Final.
    Cancelled,
}

impl OrderStatus {
    /// Every status, in the order of an order's life.
    pub const ALL: [OrderStatus; 5] =
        [Self::Pending, Self::Confirmed, Self::Completed, Self::Failed, Self::Cancelled];

    /// The name in messages, rows and attributes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// True when the order will never change again.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<OrderStatus> for Value {
    fn from(status: OrderStatus) -> Value {
        Value::from(status.as_str())
    }
}

/// A text is not the name of a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an order status")]
pub struct UnknownOrderStatus(pub String);

impl FromStr for OrderStatus {
    type Err = UnknownOrderStatus;

    fn from_str(text: &str) -> Result<Self, UnknownOrderStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownOrderStatus(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_name_in_text_and_json() {
        for status in OrderStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!("shipped".parse::<OrderStatus>(), Err(UnknownOrderStatus("shipped".to_owned())));
    }
}
