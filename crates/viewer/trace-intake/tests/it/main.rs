//! Every door through real sockets, as clients knock on it.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod bounds;
mod cors;
mod door;
mod fake;
mod grpc;
mod ledger;
mod made;
mod metrics;
mod otlp_http;
mod overload;
mod zipkin;
