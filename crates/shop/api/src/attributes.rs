//! Names of the attributes that the shop's spans carry beside those of the semantic conventions.
//!
//! One place, so that a search over traces uses the same word in every service.

/// The order a span works on.
pub const ORDER_ID: &str = "order.id";
/// State of the order, in lower case: `pending`, `confirmed`, `completed`, `failed`, `cancelled`.
pub const ORDER_STATUS: &str = "order.status";
/// Amount of a payment in major units of its currency, as decimal text.
pub const PAYMENT_AMOUNT: &str = "payment.amount";
/// ISO 4217 code of the currency of [`PAYMENT_AMOUNT`].
pub const PAYMENT_CURRENCY: &str = "payment.currency";
/// The transaction at the payment provider.
pub const PAYMENT_TRANSACTION_ID: &str = "payment.transaction_id";
/// The code with which a payment provider declined.
pub const PAYMENT_PROVIDER_CODE: &str = "payment.provider_code";
/// The product a span works on.
pub const PRODUCT_ID: &str = "product.id";
/// Number of pieces of a product.
pub const PRODUCT_QUANTITY: &str = "product.quantity";
/// The user on whose behalf a span works.
pub const USER_ID: &str = "user.id";
/// Whether a cache had the answer.
pub const CACHE_HIT: &str = "cache.hit";
