//! Behaviour of the kit from the outside, in one binary.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod attributes;
mod boundaries;
mod bridge;
mod bridge_fields;
mod conventions;
mod environment;
mod errors;
mod first_page;
mod foreign_errors;
mod grpc_client;
mod grpc_server;
mod grpc_streams;
mod handles;
mod http_client;
mod http_server;
mod kafka;
mod ledgers;
mod log_layers;
mod log_lines;
mod messaging;
mod meters;
mod older_formats;
mod otlp;
mod prometheus_page;
mod receiver;
mod redis;
mod sampler_input;
mod sampling;
mod self_metrics;
mod settings;
mod spans;
mod sql;
mod sql_literals;
mod sqlx;
mod stalls;
mod start;
mod streams;
mod tasks;
mod temporality;
mod tls;
mod traced;
mod tracer;
mod transports;
mod trees;
