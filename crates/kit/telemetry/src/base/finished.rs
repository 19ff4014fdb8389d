//! Finished spans and log records as plain values, for tests and for programs that tell their own story. Immutable.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};

/// A span that has ended, as it was exported.
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::{SpanKind, Status};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let failed = telemetry.span("place").attr("order.id", "order-1").try_in_scope(|| std::fs::read("/no/such/file"));
/// assert!(failed.is_err());
/// let span = &telemetry.finished_spans()[0];
/// assert_eq!((span.name(), span.kind(), span.service_name()), ("place", SpanKind::Internal, "order-service"));
/// assert_eq!(span.attribute("order.id"), Some(&"order-1".into()));
/// assert_eq!(span.attributes().len(), 3, "and `error.type`, and the fingerprint of the failure");
/// assert_eq!((span.parent_id(), span.parent_is_remote()), (None, false));
/// assert!(span.is_error() && matches!(span.status(), Status::Error { .. }));
/// assert!(span.end() >= span.start() && span.duration().as_secs() < 60);
/// assert_eq!(span.trace_id(), span.span_context().trace_id());
/// assert_eq!(span.scope(), span.instrumentation_scope().name());
/// assert_eq!(span.dropped_attributes() + span.dropped_events() + span.dropped_links(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    pub(crate) service_name: Arc<str>,
    pub(crate) scope: InstrumentationScope,
    pub(crate) span_context: SpanContext,
    pub(crate) parent_id: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) status: Status,
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) dropped_attributes: u32,
    pub(crate) events: Vec<FinishedEvent>,
    pub(crate) dropped_events: u32,
    pub(crate) links: Vec<FinishedLink>,
    pub(crate) dropped_links: u32,
}

impl FinishedSpan {
    /// `service.name` of the handle that recorded it.
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// Name of the instrumentation scope.
    pub fn scope(&self) -> &str {
        self.scope.name()
    }

    /// The whole instrumentation scope.
    pub fn instrumentation_scope(&self) -> &InstrumentationScope {
        &self.scope
    }

    /// Trace, span, flags and trace state.
    pub fn span_context(&self) -> &SpanContext {
        &self.span_context
    }

    /// The trace it belongs to; `to_string()` gives 32 hex digits.
    pub fn trace_id(&self) -> TraceId {
        self.span_context.trace_id()
    }

    /// Its own id; `to_string()` gives 16 hex digits.
    pub fn span_id(&self) -> SpanId {
        self.span_context.span_id()
    }

    /// The parent, unless it is a root.
    pub fn parent_id(&self) -> Option<SpanId> {
        Some(self.parent_id).filter(|parent| *parent != SpanId::INVALID)
    }

    /// Whether the parent's context came in over the wire.
    pub fn parent_is_remote(&self) -> bool {
        self.parent_is_remote
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kind.
    pub fn kind(&self) -> SpanKind {
        self.kind.clone()
    }

    /// Wall-clock start.
    pub fn start(&self) -> SystemTime {
        self.start
    }

    /// Wall-clock end.
    pub fn end(&self) -> SystemTime {
        self.end
    }

    /// End minus start; zero if the clock went back in between.
    pub fn duration(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }

    /// Status.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether the status is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.status, Status::Error { .. })
    }

    /// Attributes; no key appears twice.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    /// The attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// Attributes left out because of a limit.
    pub fn dropped_attributes(&self) -> u32 {
        self.dropped_attributes
    }

    /// Events, oldest first.
    pub fn events(&self) -> &[FinishedEvent] {
        &self.events
    }

    /// Events left out because of a limit.
    pub fn dropped_events(&self) -> u32 {
        self.dropped_events
    }

    /// Links left out because of a limit.
    pub fn dropped_links(&self) -> u32 {
        self.dropped_links
    }

    /// Links.
    pub fn links(&self) -> &[FinishedLink] {
        &self.links
    }
}

/// An event of a finished span.
///
/// ```
/// use waypost_telemetry::opentelemetry::KeyValue;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| waypost_telemetry::event("cache-miss", vec![KeyValue::new("key", "order-1")]));
/// let span = telemetry.only_span("show");
/// let event = &span.events()[0];
/// assert_eq!((event.name(), event.attribute("key")), ("cache-miss", Some(&"order-1".into())));
/// assert_eq!(event.attributes().len(), 1);
/// assert!(event.time() >= span.start());
/// ```
#[derive(Clone, Debug)]
pub struct FinishedEvent {
    pub(crate) name: Cow<'static, str>,
    pub(crate) time: SystemTime,
    pub(crate) attributes: Vec<KeyValue>,
}

impl FinishedEvent {
    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it happened.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// Attributes.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    /// The attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }
}

/// A link of a finished span.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let request = telemetry.span("request").start();
/// telemetry.span("sweep").link(request.span_context()).in_scope(|| ());
/// let sweep = telemetry.only_span("sweep");
/// assert_eq!(sweep.links()[0].span_context().span_id(), request.span_context().span_id());
/// assert!(sweep.links()[0].attributes().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct FinishedLink {
    pub(crate) span: SpanContext,
    pub(crate) attributes: Vec<KeyValue>,
}

impl FinishedLink {
    /// The span it points at.
    pub fn span_context(&self) -> &SpanContext {
        &self.span
    }

    /// Attributes.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }
}

/// A log record that was handed to the exporters.
///
/// ```
/// use waypost_telemetry::opentelemetry::logs::Severity;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let failure = std::io::Error::from(std::io::ErrorKind::TimedOut);
/// telemetry.span("place").in_scope(|| waypost_telemetry::record_error(&failure));
/// let log = &telemetry.finished_logs()[0];
/// assert_eq!((log.severity(), log.service_name()), (Severity::Error, "order-service"));
/// assert_eq!(log.span_context().span_id(), telemetry.only_span("place").span_id());
/// assert_eq!(log.attribute("exception.type"), Some(&"std::io::error::Error".into()));
/// assert!(!log.body().is_empty() && !log.target().is_empty() && log.attributes().len() > 1);
/// assert!(log.time() >= telemetry.only_span("place").start());
/// ```
#[derive(Clone)]
pub struct FinishedLog {
    pub(crate) time: SystemTime,
    pub(crate) severity: Severity,
    pub(crate) target: Cow<'static, str>,
    pub(crate) body: String,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) span: SpanContext,
    pub(crate) service_name: Arc<str>,
}

impl FinishedLog {
    /// When it was written.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// Severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it comes from: the module, or a name chosen by the code.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The message.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Attributes.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    /// The attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// The span it was written in; invalid if there was none.
    pub fn span_context(&self) -> &SpanContext {
        &self.span
    }

    /// `service.name` of the handle it was written under.
    pub fn service_name(&self) -> &str {
        &self.service_name
    }
}

impl fmt::Debug for FinishedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishedLog")
            .field("severity", &self.severity)
            .field("target", &self.target)
            .field("body", &self.body)
            .field("attributes", &self.attributes)
            .field("trace_id", &self.span.trace_id())
            .finish_non_exhaustive()
    }
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| &attribute.value)
}
