//! The contracts of Waypost: what its services say to each other and to the outside.
//!
//! For every crate that sends, receives or stores a Waypost message. It holds the protobuf code with typed
//! clients and servers ([`order::v1`] and its siblings), the HTTP bodies ([`http_bodies`]), the events
//! ([`events`]), [`Money`], the ids and the names of the shop's span attributes ([`attributes`]). The errors are part of
//! the contracts too; they live in `waypost-errors`, below the infrastructure, and are shown here again.
//!
//! Invariants:
//! - money is an exact number of ten-thousandths and never passes through a float;
//! - an id that exists is valid, so code that holds one need not check it again.
//!
//! Left out: IO, clocks, randomness and async. What a service does with a contract is the service's business.

pub mod attributes;
mod charge;
pub mod convert;
pub mod events;
mod generated;
mod generation;
pub mod http_bodies;
mod ids;
mod money;
mod order_status;
mod timestamp;

pub use charge::{Charge, UnknownCharge};
pub use generated::{FILE_DESCRIPTOR_SET, inventory, money::v1::Money as MoneyMessage, order, payment, user};
pub use generation::Generation;
pub use ids::{
    EventId, InvalidId, OrderId, PaymentId, ProductId, ReservationId, TenantId, TransactionId, UserId,
};
pub use money::{Amount, Currency, Money, MoneyError};
pub use order_status::{OrderStatus, UnknownOrderStatus};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use waypost_errors::{
    CODE_METADATA, Error, ErrorCode, FIELDS_METADATA, FieldCode, FieldError, PROVIDER_CODE_METADATA,
    RETRY_PUSHBACK_METADATA, pointer,
};
