//! The query APIs that other tools already speak, answered from a store: Jaeger's JSON as Jaeger UI and
//! Grafana use it, Jaeger's api_v3 over HTTP, Zipkin v2, and metrics as Prometheus scrapes them.
//!
//! For the viewer, which mounts [`jaeger()`] at `/` and [`zipkin()`] at `/` of its own port and under `/zipkin`. What is
//! served, with every deviation and limit, is in `docs/viewer-compatibility.md`.
//!
//! Invariants:
//! - A read never runs on an async worker: it runs where blocking is allowed, as many at once as the [`Reads`] has
//!   turns, and a request that waits too long for its turn, or whose read takes too long, is answered with 503.
//! - An answer is bounded in traces and in spans, and one that is cut says so: in `errors` and `warnings` where the
//!   API has them, in the header `waypost-partial` where it has none.
//! - A parameter that cannot be understood is answered with 400 and its name, never ignored.
//!
//! Left out: writing (the intake's), authentication and CORS (the viewer's), and everything that Jaeger answers from
//! an archive, which there is none of here: those calls answer as Jaeger does without one.

mod answer;
mod dependencies;
mod error;
mod jaeger;
mod load;
mod parameters;
mod prometheus;
mod reads;
mod search;
mod trace_id;
mod zipkin;

pub use prometheus::Sample;
pub use reads::{Reads, Unread};

use axum::Router;
use std::sync::Arc;

/// Jaeger's HTTP API as Jaeger UI and Grafana use it (`/api/...`), and api_v3 (`/api/v3/...`).
///
/// Paths that Jaeger has and this has not are left to the router's fallback.
pub fn jaeger(reads: Reads) -> Router {
    jaeger::router(reads)
}

/// Zipkin's v2 query API (`/api/v2/...`). Sending spans is the intake's.
pub fn zipkin(reads: Reads) -> Router {
    zipkin::router(reads)
}

/// Counters of spans and of calls between services, and what `samples` answers, as Prometheus scrapes them (`/metrics`).
pub fn prometheus(reads: Reads, samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static) -> Router {
    prometheus::router(reads, Arc::new(samples))
}
