//! The user service: the store's contract on both stores, and the gRPC interface over a real socket.

mod grpc;
mod store;
