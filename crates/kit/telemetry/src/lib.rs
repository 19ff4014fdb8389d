//! Tracing, metrics and logs for Rust services, on the OpenTelemetry API.
//!
//! For a team that runs several services and wants to follow one request through all of them. [`init()`] gives
//! a [`Telemetry`] handle; its layers open spans at the edges, [`span()`] opens them around own code, and
//! [`Telemetry::shutdown`] says what was sent and what was dropped.
//!
//! ```
//! use waypost_telemetry::{Settings, config::Exporter, span};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let mut settings = Settings::new("order-service");
//! settings.traces.exporters = vec![Exporter::Memory];
//! let telemetry = waypost_telemetry::init(settings)?;
//!
//! let context = telemetry.context();
//! let priced: Result<u32, std::io::Error> = waypost_telemetry::with_context(context, async {
//!     span("price-order").attr("order.id", "order-1").run(async { Ok(42) }).await
//! })
//! .await;
//!
//! assert_eq!(priced.ok(), Some(42));
//! assert_eq!(telemetry.finished_spans()[0].name(), "price-order");
//! # Ok::<(), waypost_telemetry::InitError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What holds everywhere:
//! - Telemetry never returns an error to business code, never blocks it, and counts what it drops
//!   ([`Telemetry::ledger`]).
//! - There is no hidden global. The handle travels in the OpenTelemetry `Context`; a process default and the
//!   OpenTelemetry globals are set only by those who ask for it.
//! - Every future, stream and body is entered when it is polled and when it is dropped, and its span ends once.
//!
//! The kit's own spans are OpenTelemetry's. Those of the `tracing` crate join the trace by a layer of their own (cargo
//! feature `tracing`, module `bridge`).

#![warn(missing_docs)]

mod base;
mod core;
mod edges;
mod start;
pub mod testing;

/// The OpenTelemetry API this kit is built on: use this one and no other version.
///
/// Every minor version of the API is a separate registry; two of them in one program lose spans without an error.
pub use opentelemetry;

pub use crate::base::{attributes, config, redact};
pub use crate::core::{baggage, init, span, tenant};
#[cfg(feature = "tracing")]
pub use crate::edges::bridge;
pub use crate::edges::{grpc, http, logs, messaging, sql};

#[cfg(feature = "macros")]
pub use waypost_telemetry_macros::traced;

pub use crate::base::config::{Settings, SettingsError};
pub use crate::base::error::ErrorType;
pub use crate::base::finished::{FinishedEvent, FinishedLink, FinishedLog, FinishedSpan};
pub use crate::base::ledger::{
    DropReason, ExporterLedger, FlushReport, Ledger, ShutdownReport, SignalLedger,
};
pub use crate::base::value::IntoValue;
pub use crate::core::handle::Telemetry;
pub use crate::core::init::{InitError, init};
pub use crate::core::record::record_error;
pub use crate::core::span::{
    EnteredSpan, Outcome, Run, RunStream, SpanBuilder, SpanGuard, event, set, span, trace_id,
};
pub use crate::core::spawn::{
    JoinSet, WithContext, in_context, spawn, spawn_blocking, spawn_thread, with_context,
};
pub use crate::start::{StartError, TelemetryGuard, start, start_with};

/// Failures: what telemetry has to know of an error, and recording it once.
pub mod error {
    pub use crate::base::error::{AsErrorType, Classification, ErrorClass, ErrorType, fingerprint_of};
    pub use crate::core::record::{ERROR_CLASS, record_error};
}

/// Metrics: instruments with the right buckets, one reader a handle, and Prometheus' text.
pub mod metrics {
    pub use crate::core::metrics::render_prometheus;
    pub use crate::core::prometheus::sample;
    pub use crate::core::readings::{DATABASE_SECONDS, REQUEST_SECONDS, durations};
}

/// Context across process borders: W3C `traceparent`, `tracestate` and `baggage`.
pub mod propagation {
    pub use crate::core::carry::{extract, inject};
    pub use crate::core::propagation::*;
}
