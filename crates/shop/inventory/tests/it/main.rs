//! The inventory as its callers meet it: the store's contract and the rules on both stores, the use cases by a clock
//! of the test's own, the gRPC interface over a real socket.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod expiry;
mod grpc;
mod rules;
mod store;
mod world;
