//! The bodies that the gateway takes and gives, with their OpenAPI schemas.
//!
//! What comes in is read by [`parse_create_order`] and [`parse_login`], which name every bad field at once, and
//! not by serde, which stops at the first. What goes out is a plain serde struct. Taking and giving have types of
//! their own, so nothing that only we may set can be sent to us.

mod fields;
mod password;
mod requests;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Amount, Currency, ErrorCode, Money, OrderId, OrderStatus, ProductId, Timestamp, TransactionId, UserId,
};

pub use fields::{Field, Fields};
pub use password::Password;
pub use requests::{MAX_QUANTITY, parse_create_order, parse_login};
pub use waypost_errors::{PROBLEM_CONTENT_TYPE, Problem};

/// `POST /api/orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99})))]
pub struct CreateOrderBody {
    /// For whom; the caller, unless the caller is an operator.
    pub user_id: UserId,
    /// Of what.
    pub product_id: ProductId,
    /// How many.
    #[schema(minimum = 1, maximum = 1000)]
    pub quantity: u32,
    /// What the client expects to pay in all, in US dollars. Checked against the catalogue, never trusted.
    pub amount: Money,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "order_id": "0199c3f4-7e11-7a52-9d51-3f0a3c1f6b7e", "status": "completed", "user_id": "user123",
    "product_id": "prod456", "quantity": 2, "amount": 99.99, "currency": "USD",
    "transaction_id": "ch_0199c3f47e307d12a5b6", "created_at": "2026-11-21T07:26:40.123Z",
    "updated_at": "2026-11-21T07:26:40.171Z", "version": 4, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
})))]
pub struct OrderBody {
    /// The order's id.
    pub order_id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Who ordered.
    pub user_id: UserId,
    /// What was ordered.
    pub product_id: ProductId,
    /// How many.
    pub quantity: u32,
    /// What it costs in all.
    pub amount: Amount,
    /// The amount's currency.
    pub currency: Currency,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<ErrorCode>,
    /// The payment provider's own reason for a decline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// The charge, as the payment provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<TransactionId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Rises by one with every change.
    pub version: u64,
    /// The trace of the request that placed it, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// One page of a user's orders, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderPage {
    /// The orders of this page.
    pub orders: Vec<OrderBody>,
    /// Send it as `page_token` to get the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "user_id": "user123", "name": "Ada", "email": "ada@example.com", "is_active": true, "is_admin": false
})))]
pub struct UserBody {
    /// The user's id.
    pub user_id: UserId,
    /// The name to address the user by.
    pub name: String,
    /// Where notifications go.
    pub email: String,
    /// A user that is not active may not order.
    pub is_active: bool,
    /// Operators see every order.
    pub is_admin: bool,
}

/// A product of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "product_id": "prod456", "name": "Trail backpack", "unit_price": 49.995, "currency": "USD", "available": 999_998
})))]
pub struct ProductBody {
    /// The product's id.
    pub product_id: ProductId,
    /// What it is called.
    pub name: String,
    /// The price of one.
    pub unit_price: Amount,
    /// The price's currency.
    pub currency: Currency,
    /// How many can be had now.
    pub available: u64,
}

/// `POST /api/login`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"user_id": "user123", "password": "waypost-demo"})))]
pub struct LoginBody {
    /// Who logs in.
    pub user_id: UserId,
    /// The user's password.
    pub password: Password,
}

/// The answer to a login. Its Debug does not show the token.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({"access_token": "eyJhbGciOi...", "token_type": "Bearer", "expires_in": 900})))]
pub struct TokenBody {
    /// Send it as `Authorization: Bearer <access_token>`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the token expires.
    pub expires_in: u64,
}

impl std::fmt::Debug for TokenBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenBody").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// `GET /api/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({"status": "healthy"})))]
pub struct HealthBody {
    /// `healthy`, or why not.
    pub status: String,
}

#[cfg(test)]
mod tests;
