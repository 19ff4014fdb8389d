//! The order service as its callers meet it: the store's contract on both stores, the service over real sockets with
//! an inventory and a payment service that do as each test says, crashes at every point, and the traces of all that.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what tests call is a test too")]

mod around;
mod crash;
mod fakes;
mod lists;
mod orders;
mod repeated;
mod shop;
mod spans;
mod store;
mod trouble;
mod unacknowledged;
