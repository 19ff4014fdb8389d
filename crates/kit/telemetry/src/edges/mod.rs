//! Where a service meets others: one module a protocol, none of which knows another.

#[cfg(feature = "tracing")]
pub mod bridge;
pub mod grpc;
pub mod http;
pub mod logs;
pub mod messaging;
pub mod sql;
