//! The errors of Waypost: one table of codes, and how an error travels.
//!
//! For everything that says "no", infrastructure and services alike. It holds the table ([`ErrorCode`]), the error that
//! crosses every border ([`Error`]) with its bad fields ([`FieldError`]), its form between services (a
//! [`tonic::Status`]) and its form for the outside ([`Problem`]).
//!
//! Invariants:
//! - an [`Error`] survives the trip through a [`tonic::Status`], and no text that is not ours leaves with it;
//! - nothing here knows a message, so that editing a `.proto` rebuilds neither this crate nor what stands on it.
//!
//! Left out: the contracts (`waypost-api`, which shows these types as its own), IO, clocks, randomness and async.

mod error;
mod error_code;
mod field_error;
pub mod pointer;
mod problem;
mod status;

pub use error::Error;
pub use error_code::{ErrorCode, UnknownErrorCode};
pub use field_error::{FieldCode, FieldError};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
pub use status::{CODE_METADATA, FIELDS_METADATA, PROVIDER_CODE_METADATA, RETRY_PUSHBACK_METADATA};
