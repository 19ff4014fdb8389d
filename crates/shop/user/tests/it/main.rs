//! The user service: the store's contract on both stores, and the gRPC interface over a real socket.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod grpc;
mod store;
