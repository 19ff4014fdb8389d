//! Where a service meets others: one module a protocol, none of which knows another.

#[cfg(feature = "tracing")]
pub mod bridge;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "logs")]
pub mod logs;
#[cfg(feature = "memcached")]
pub mod memcached;
#[cfg(feature = "messaging")]
pub mod messaging;
#[cfg(feature = "mongodb")]
pub mod mongodb;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sql")]
pub mod sql;
