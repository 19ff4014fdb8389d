//! Tracing, metrics and logs for Rust services, on the OpenTelemetry API.
//!
//! For a team that runs several services and wants to follow one request through all of them. [`init()`] gives
//! a [`Telemetry`] handle; its layers open spans at the edges, [`span()`] opens them around own code, and
//! [`Telemetry::shutdown`] says what was sent and what was dropped.
//!
//! ```
//! use waypost_telemetry::{Settings, attributes::ORDER_ID, config::Exporter, span};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let mut settings = Settings::new("order-service");
//! settings.traces.exporters = vec![Exporter::Memory];
//! let telemetry = waypost_telemetry::init(settings)?;
//!
//! let context = telemetry.context();
//! let priced: Result<u32, std::io::Error> = waypost_telemetry::with_context(context, async {
//!     span("price-order").attr(ORDER_ID, "order-1").run(async { Ok(42) }).await
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
//! What is left out: the `tracing` crate is used for log events only, not for spans.

#![warn(missing_docs)]

pub mod attributes;
pub mod baggage;
pub mod config;
pub mod error;
mod export;
mod finished;
pub mod grpc;
mod handle;
pub mod http;
pub mod init;
mod ledger;
pub mod logs;
pub mod messaging;
pub mod metrics;
pub mod propagation;
pub mod redact;
mod resource;
pub mod sampler;
pub mod span;
mod spawn;
pub mod sql;
pub mod tenant;
pub mod testing;

/// The OpenTelemetry API this kit is built on: use this one and no other version.
///
/// Every minor version of the API is a separate registry; two of them in one program lose spans without an error.
pub use opentelemetry;

pub use config::{Settings, SettingsError};
pub use error::{ErrorType, record_error};
pub use finished::{FinishedEvent, FinishedLink, FinishedLog, FinishedSpan};
pub use handle::Telemetry;
pub use init::{InitError, init};
pub use ledger::{DropReason, ExporterLedger, FlushReport, Ledger, ShutdownReport, SignalLedger};
pub use span::{Outcome, SpanBuilder, SpanGuard, event, set, span, trace_id};
pub use spawn::{WithContext, spawn, with_context};
