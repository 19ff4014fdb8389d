//! Every rule at the level where a service meets it: real gRPC servers over loopback, and HTTP layers around a
//! router.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod breaker;
mod deadline;
mod loopback;
mod pool;
mod replicas;
mod retry;
mod shed;
mod telemetry;
