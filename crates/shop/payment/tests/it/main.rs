//! Payments as their callers meet them: the store's contract and the rules on both stores, the use cases against a
//! provider that misbehaves on demand, the gRPC interface over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what tests call is a test too")]

mod contradictions;
mod flow;
mod grpc;
mod provider;
mod refusals;
mod review;
mod rules;
mod store;
mod world;
