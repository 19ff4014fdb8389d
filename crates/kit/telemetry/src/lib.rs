//! [environment]: crate::guide::environment
//! [from-tracing-opentelemetry]: crate::guide::from_tracing_opentelemetry
//! [why-is-my-span-missing]: crate::guide::why_is_my_span_missing
//!
#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | the start and the end | [`start()`], [`init()`], [`Builder`], [`Telemetry`], [`ShutdownReport`] |
//! | spans of own code | [`span()`], [`SpanBuilder`], [`CodeScope`], [`set`], [`event`], [`traced`] |
//! | tasks and threads | [`spawn`], [`spawn_blocking`], [`JoinSet`], [`with_context`] |
//! | the edges | [`http`], [`grpc`], [`sql`], [`sqlx`], [`tokio_postgres`], [`rusqlite`], [`diesel`], [`deadpool`], [`bb8`], [`redis`], [`memcached`], [`messaging`], [`kafka`], [`nats`], [`rabbitmq`], [`mongodb`], [`cache`], [`propagation`] |
//! | `tracing` and log lines | [`bridge`], [`logs`] |
//! | metrics | [`metrics`], [`metrics::declared`], [`metrics::PrometheusPage`], [`config::ViewSettings`] |
//! | failures | [`error`], [`ErrorType`] |
//! | which traces are recorded | [`sampling`], [`config::SamplingSettings`] |
//! | settings | [`Settings`], [`config`] |
//! | what was sent and dropped | [`Telemetry::ledger`], [`Ledger`] |
//! | tests | [`testing`] |
//!
//! # The same in a test
//!
//! A handle in memory, the same layers, and the trace as text:
//!
//! ```
//! use axum::{Router, body::Body, extract::Path, http::Request, routing::post};
//! use tower::ServiceExt as _;
//! use waypost_telemetry::testing::TestTelemetry;
//! use waypost_telemetry::{set, span};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! async fn place(Path(id): Path<u32>) {
//!     span("price-order").in_scope(|| set("order.id", id));
//! }
//!
//! let telemetry = TestTelemetry::new("shop");
//! let app: Router = Router::new().route("/orders/{id}", post(place)).layer(telemetry.http_server());
//! let response = app.oneshot(Request::post("/orders/7").body(Body::empty())?).await?;
//! drop(response); // the span lasts as long as the body
//!
//! telemetry.tree().assert_matches(
//!     "POST /orders/{id} SERVER shop http.response.status_code=200
//!        price-order INTERNAL shop order.id=7",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds everywhere
//!
//! - Telemetry never returns an error to business code, never blocks it, and counts what it drops
//!   ([`Telemetry::ledger`]).
//! - There is no hidden global. The handle travels in the OpenTelemetry `Context`; a process default and the
//!   OpenTelemetry globals are set only by those who ask for it.
//! - Every future, stream and body is entered when it is polled and when it is dropped, and its span ends once.

#![warn(missing_docs)]
// Pages link to items of every feature; the documentation is checked and published with all of them.
#![cfg_attr(not(feature = "full"), allow(rustdoc::broken_intra_doc_links))]
// Some of what stands below the edges is used by one of them alone; a build without that edge is no reason to say so.
#![cfg_attr(not(feature = "full"), allow(dead_code, unused_imports))]

mod base;
mod core;
mod edges;
#[cfg(feature = "logs")]
mod start;
#[cfg(feature = "testing")]
pub mod testing;

/// The OpenTelemetry API this kit is built on: use this one and no other version.
///
/// Every minor version of the API is a separate registry; two of them in one program lose spans without an error.
pub use opentelemetry;

pub use crate::base::{attributes, config, redact};
pub use crate::core::{baggage, init, sampling, span, tenant};
#[cfg(feature = "tracing")]
pub use crate::edges::bridge;
#[cfg(feature = "cache")]
pub use crate::edges::cache;
#[cfg(feature = "grpc")]
pub use crate::edges::grpc;
#[cfg(feature = "http")]
pub use crate::edges::http;
#[cfg(feature = "logs")]
pub use crate::edges::logs;
#[cfg(feature = "memcached")]
pub use crate::edges::memcached;
#[cfg(feature = "messaging")]
pub use crate::edges::messaging;
#[cfg(feature = "kafka")]
pub use crate::edges::messaging::kafka;
#[cfg(feature = "nats")]
pub use crate::edges::messaging::nats;
#[cfg(feature = "rabbitmq")]
pub use crate::edges::messaging::rabbitmq;
#[cfg(feature = "mongodb")]
pub use crate::edges::mongodb;
#[cfg(feature = "redis")]
pub use crate::edges::redis;
#[cfg(feature = "sql")]
pub use crate::edges::sql;
#[cfg(feature = "bb8")]
pub use crate::edges::sql::bb8;
#[cfg(feature = "deadpool")]
pub use crate::edges::sql::deadpool;
#[cfg(feature = "diesel")]
pub use crate::edges::sql::diesel;
#[cfg(feature = "rusqlite")]
pub use crate::edges::sql::rusqlite;
#[cfg(feature = "sqlx")]
pub use crate::edges::sql::sqlx;
#[cfg(feature = "tokio-postgres")]
pub use crate::edges::sql::tokio_postgres;

#[cfg(feature = "macros")]
pub use waypost_telemetry_macros::traced;

pub use crate::base::config::{Settings, SettingsError};
pub use crate::base::error::ErrorType;
pub use crate::base::finished::{FinishedEvent, FinishedLink, FinishedLog, FinishedSpan};
pub use crate::base::ledger::{
    DropReason, ExporterLedger, FlushReport, Ledger, ParentOrigin, SamplingResult, ShutdownReport,
    SignalLedger, SpanStarts, TailLedger,
};
pub use crate::base::value::IntoValue;
pub use crate::core::export::TailGroup;
pub use crate::core::handle::Telemetry;
pub use crate::core::init::{Builder, InitError, init};
pub use crate::core::record::record_error;
pub use crate::core::span::{
    EnteredSpan, Outcome, Run, RunStream, SpanBuilder, SpanGuard, event, set, span, trace_id,
};
pub use crate::core::spawn::{
    JoinSet, WithContext, in_context, spawn, spawn_blocking, spawn_thread, with_context,
};
pub use crate::core::tracer::scopes::CodeScope;
#[cfg(feature = "logs")]
pub use crate::start::{StartError, TelemetryGuard, start, start_with};

/// Failures: what telemetry has to know of an error, and recording it once.
pub mod error {
    pub use crate::base::error::{
        AsErrorType, Classification, ClassifyError, ERROR_CLASS, ERROR_CODE, ERROR_FINGERPRINT,
        ERROR_RETRYABLE, ErrorClass, ErrorDetails, ErrorType, add_classifier, fingerprint_of, masked,
    };
    pub use crate::core::record::record_error;
}

/// Metrics: instruments with the right buckets, one reader a handle, and Prometheus' text.
pub mod metrics {
    pub use crate::core::metrics::{PrometheusPage, declared, observe_runtime, render_prometheus};
    pub use crate::core::prometheus::sample;
    pub use crate::core::readings::{DATABASE_SECONDS, REQUEST_SECONDS, durations};
}

/// Context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
pub mod propagation {
    pub use crate::core::carry::{extract, inject};
    pub use crate::core::propagation::*;
}

/// Pages to read: the settings of the environment, the way from other crates, what to do when a span is missing.
#[cfg(doc)]
pub mod guide {
    #[doc = include_str!("../docs/best-practices.md")]
    pub mod best_practices {}

    #[cfg(feature = "moka")]
    #[doc = include_str!("../docs/caches.md")]
    pub mod caches {}

    #[cfg(feature = "diesel")]
    #[doc = include_str!("../docs/diesel.md")]
    pub mod diesel {}

    #[doc = include_str!("../docs/environment.md")]
    pub mod environment {}

    #[doc = include_str!("../docs/errors.md")]
    pub mod errors {}

    #[doc = include_str!("../docs/from-go.md")]
    pub mod from_go {}

    #[doc = include_str!("../docs/from-tracing-opentelemetry.md")]
    pub mod from_tracing_opentelemetry {}

    #[cfg(all(feature = "grpc", feature = "tls"))]
    #[doc = include_str!("../docs/grpc.md")]
    pub mod grpc {}

    #[cfg(all(feature = "axum", feature = "reqwest-client"))]
    #[doc = include_str!("../docs/http.md")]
    pub mod http {}

    #[cfg(feature = "kafka")]
    #[doc = include_str!("../docs/kafka.md")]
    pub mod kafka {}

    #[cfg(feature = "memcached")]
    #[doc = include_str!("../docs/memcached.md")]
    pub mod memcached {}

    #[doc = include_str!("../docs/metrics.md")]
    pub mod metrics {}

    #[cfg(feature = "mongodb")]
    #[doc = include_str!("../docs/mongodb.md")]
    pub mod mongodb {}

    #[cfg(feature = "nats")]
    #[doc = include_str!("../docs/nats.md")]
    pub mod nats {}

    #[doc = include_str!("../docs/outputs.md")]
    pub mod outputs {}

    #[doc = include_str!("../docs/peers.md")]
    pub mod peers {}

    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    #[cfg(all(feature = "bb8", feature = "deadpool", feature = "tokio-postgres"))]
    #[doc = include_str!("../docs/pools.md")]
    pub mod pools {}

    #[doc = include_str!("../docs/propagation.md")]
    pub mod propagation {}

    #[cfg(feature = "rabbitmq")]
    #[doc = include_str!("../docs/rabbitmq.md")]
    pub mod rabbitmq {}

    #[cfg(feature = "redis")]
    #[doc = include_str!("../docs/redis.md")]
    pub mod redis {}

    #[cfg(feature = "rusqlite")]
    #[doc = include_str!("../docs/rusqlite.md")]
    pub mod rusqlite {}

    #[doc = include_str!("../docs/sampling.md")]
    pub mod sampling {}

    #[cfg(feature = "sqlx")]
    #[doc = include_str!("../docs/sqlx.md")]
    pub mod sqlx {}

    #[doc = include_str!("../docs/testing.md")]
    pub mod testing {}

    #[cfg(feature = "tokio-postgres")]
    #[doc = include_str!("../docs/tokio-postgres.md")]
    pub mod tokio_postgres {}

    #[doc = include_str!("../docs/why-is-my-span-missing.md")]
    pub mod why_is_my_span_missing {}
}
