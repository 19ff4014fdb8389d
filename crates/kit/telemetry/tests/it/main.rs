//! Behaviour of the kit from the outside, in one binary.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod attributes;
mod boundaries;
mod bridge;
mod bridge_fields;
mod errors;
mod foreign_errors;
mod grpc_client;
mod grpc_server;
mod grpc_streams;
mod handles;
mod http_client;
mod http_server;
mod ledgers;
mod log_layers;
mod log_lines;
mod messaging;
mod meters;
mod otlp;
mod receiver;
mod settings;
mod spans;
mod sql;
mod streams;
mod tasks;
mod traced;
mod trees;
