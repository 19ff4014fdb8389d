//! The handle and what it needs: spans, propagation, export, metrics. Knows no edge.

pub mod baggage;
#[cfg(any(feature = "logs", feature = "tracing"))]
pub(crate) mod bridged;
pub(crate) mod carry;
pub(crate) mod clock;
#[cfg(feature = "http")]
pub(crate) mod exchange;
pub(crate) mod export;
pub(crate) mod handle;
pub(crate) mod ids;
pub mod init;
#[cfg(any(feature = "cache", feature = "memcached"))]
pub(crate) mod lookups;
pub(crate) mod metrics;
pub(crate) mod prometheus;
pub(crate) mod propagation;
pub(crate) mod readings;
pub(crate) mod record;
pub(crate) mod recorded;
mod resource;
mod sampler;
pub mod sampling;
#[cfg(any(feature = "http", feature = "mongodb", feature = "sql"))]
pub(crate) mod series;
pub mod span;
pub(crate) mod spawn;
pub mod tenant;
pub(crate) mod tracer;
