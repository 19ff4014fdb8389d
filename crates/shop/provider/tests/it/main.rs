//! The provider as its clients meet it: the store's contract on both stores, the HTTP interface, the faults.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod faults;
mod http;
mod store;
