//! The contracts of Waypost: what its services say to each other and to the outside.
//!
//! For every crate that sends, receives or stores a Waypost message. It holds the protobuf code with typed
//! clients and servers ([`order::v1`] and its siblings), the HTTP bodies ([`http_bodies`]), the events
//! ([`events`]), [`Money`], the ids, the names of the shop's span attributes
//! ([`attributes`]), and the one table of error codes ([`ErrorCode`]).
//!
//! Invariants:
//! - money is an exact number of ten-thousandths and never passes through a float;
//! - an id that exists is valid, so code that holds one need not check it again;
//! - an [`Error`] survives the trip through a [`tonic::Status`], and no text that is not ours leaves with it.
//!
//! Left out: IO, clocks, randomness and async. What a service does with a contract is the service's business.

pub mod attributes;
mod charge;
pub mod convert;
mod error;
mod error_code;
pub mod events;
mod field_error;
mod generated;
mod generation;
pub mod http_bodies;
mod ids;
mod money;
mod order_status;
pub mod pointer;
mod status;
mod timestamp;

pub use charge::{Charge, UnknownCharge};
pub use error::Error;
pub use error_code::ErrorCode;
pub use field_error::{FieldCode, FieldError};
pub use generated::{FILE_DESCRIPTOR_SET, inventory, money::v1::Money as MoneyMessage, order, payment, user};
pub use generation::Generation;
pub use ids::{
    EventId, InvalidId, OrderId, PaymentId, ProductId, ReservationId, TenantId, TransactionId, UserId,
};
pub use money::{Amount, Currency, Money, MoneyError};
pub use order_status::{OrderStatus, UnknownOrderStatus};
pub use status::{CODE_METADATA, FIELDS_METADATA, PROVIDER_CODE_METADATA, RETRY_PUSHBACK_METADATA};
pub use timestamp::{InvalidTimestamp, Timestamp};
