//! Spans of the `tracing` crate as spans of the trace: those of `#[instrument]` and of libraries.
//!
//! For code that has `tracing` spans already. [`layer()`] goes into any subscriber over `tracing_subscriber`'s
//! `Registry`. Each `tracing` span up to `INFO` (or what a filter says) becomes an OpenTelemetry span of the handle of the current context,
//! with the right parents both ways: it is a child of the kit's span it was opened in, and while it is entered it is
//! the current span, so that the kit's spans, clients and log lines inside it belong to it.
//!
//! ```
//! use tracing_subscriber::layer::SubscriberExt as _;
//! use waypost_telemetry::testing::TestTelemetry;
//! use waypost_telemetry::{bridge, span};
//!
//! #[tracing::instrument]
//! fn price(order: u64) {
//!     span("look-up").in_scope(|| ());
//! }
//!
//! let telemetry = TestTelemetry::new("order-service");
//! let subscriber = tracing_subscriber::registry().with(bridge::layer());
//! tracing::subscriber::with_default(subscriber, || telemetry.span("place").in_scope(|| price(7)));
//! telemetry.tree().assert_matches(
//!     "place INTERNAL order-service
//!        price INTERNAL order-service order=7
//!          look-up INTERNAL order-service",
//! );
//! ```
//!
//! Fields become attributes with their types, also those recorded late. Four fields say something about the span
//! itself: `otel.name`, `otel.kind` (`client`, `server`, `producer`, `consumer`, `internal`), `otel.status_code`
//! (`ok`, `error`) and `otel.status_description`. A field named `error` that holds a `dyn Error` sets the status and
//! `error.type`. An event of level `ERROR` sets the status of its span, unless
//! [`errors_set_status`](SpanLayer::errors_set_status) says otherwise; `#[instrument(err)]` writes such an event.
//! `follows_from` becomes a link, an explicit parent the parent, `parent: None` the root of a new trace.
//!
//! The instrumentation scope of such a span is the target of `tracing`, by default the path of the module, as it is of log
//! records.
//!
//! A span ends when its last handle is dropped. A future that was dropped looks like one that came to its end:
//! `tracing` does not tell them apart. Drivers hand spans to threads of their own (sqlx for SQLite does), and the last handle may
//! be dropped there: on a thread for which the subscriber is not the default, the `Registry` never closes the spans around that
//! one, and they are not recorded. So use `set_global_default` where such a driver is used, in tests too. Spans opened where telemetry is suppressed, that is on the threads of the
//! exporters, are left alone. So are those for which there is no handle: neither in the current context, nor as
//! process default, nor given by [`SpanLayer::telemetry`].
//!
//! What is left out: the time a span is busy or idle, and the thread.

mod entered;
mod extension;
mod layer;
mod values;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Filtered;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::core::handle::Telemetry;
pub use extension::SpanExt;

/// The layer, for spans up to `INFO`: `SpanLayer::new().with_filter(LevelFilter::INFO)`.
///
/// Put on a `Registry` it fits anywhere. On `tracing_subscriber::fmt()` a layer with a filter panics ("does not currently
/// support filters"): use `registry().with(fmt::layer())`, or [`SpanLayer::new`], which that subscriber's own level
/// covers.
///
/// ```
/// use tracing_subscriber::{fmt, layer::SubscriberExt as _};
///
/// let subscriber = tracing_subscriber::registry().with(fmt::layer()).with(waypost_telemetry::bridge::layer());
/// # let _ = subscriber;
/// ```
pub fn layer<S>() -> Filtered<SpanLayer, LevelFilter, S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    SpanLayer::new().with_filter(LevelFilter::INFO)
}

/// A `tracing_subscriber` layer that makes spans of `tracing` spans of every level.
///
/// Give it a filter by level or target, as other layers; it is for this layer alone. Spans that the filter leaves out
/// are as if they were not there: their children belong to the span around them. Without a filter every `trace!` of
/// every library is live.
///
/// ```
/// use tracing_subscriber::filter::{LevelFilter, Targets};
/// use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
/// use waypost_telemetry::bridge::SpanLayer;
///
/// let mine = Targets::new().with_target("shop", LevelFilter::DEBUG).with_target("sqlx", LevelFilter::OFF);
/// let subscriber = tracing_subscriber::registry().with(SpanLayer::new().location(true).with_filter(mine));
/// # let _ = subscriber;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SpanLayer {
    telemetry: Option<Telemetry>,
    span_events: bool,
    errors_set_status: bool,
    location: bool,
}

impl Default for SpanLayer {
    fn default() -> Self {
        Self { telemetry: None, span_events: false, errors_set_status: true, location: false }
    }
}

impl SpanLayer {
    /// The layer, without a filter.
    pub fn new() -> Self {
        Self::default()
    }

    /// The handle for spans opened where the context has none and there is no process default.
    ///
    /// ```
    /// use tracing_subscriber::layer::SubscriberExt as _;
    /// use waypost_telemetry::{bridge::SpanLayer, testing::TestTelemetry};
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let layer = SpanLayer::new().telemetry(&telemetry).span_events(true).errors_set_status(false);
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    ///     tracing::info_span!("place").in_scope(|| tracing::error!("sold out"));
    /// });
    /// let span = telemetry.only_span("place");
    /// assert_eq!((span.events()[0].name(), span.is_error()), ("sold out", false));
    /// ```
    pub fn telemetry(self, telemetry: &Telemetry) -> Self {
        Self { telemetry: Some(telemetry.clone()), ..self }
    }

    /// Whether events become events of their span. Off unless said: they are log records tied to the span
    /// ([`crate::logs`]), which is what the conventions ask for.
    pub fn span_events(self, span_events: bool) -> Self {
        Self { span_events, ..self }
    }

    /// Whether an event of level `ERROR` sets the status of the `tracing` span it is in, if that is the current span.
    /// On unless said.
    pub fn errors_set_status(self, errors_set_status: bool) -> Self {
        Self { errors_set_status, ..self }
    }

    /// Whether spans say where they stand in the source: `code.file.path` and `code.line.number`. Off unless said.
    pub fn location(self, location: bool) -> Self {
        Self { location, ..self }
    }
}
