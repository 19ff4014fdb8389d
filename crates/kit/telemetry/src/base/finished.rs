//! Finished spans and log records as plain values, for tests and for programs that tell their own story.
//!
//! Copies out of the SDK's types, so that no user of the kit depends on the SDK. Immutable.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// A span that has ended, as it was exported.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    service_name: Arc<str>,
    data: SpanData,
    events: Vec<FinishedEvent>,
    links: Vec<FinishedLink>,
}

impl FinishedSpan {
    pub(crate) fn new(service_name: Arc<str>, mut data: SpanData) -> Self {
        let events = std::mem::take(&mut data.events.events)
            .into_iter()
            .map(|event| FinishedEvent {
                name: event.name,
                time: event.timestamp,
                attributes: event.attributes,
            })
            .collect();
        let links = std::mem::take(&mut data.links.links)
            .into_iter()
            .map(|link| FinishedLink { span: link.span_context, attributes: link.attributes })
            .collect();
        Self { service_name, data, events, links }
    }

    /// `service.name` of the handle that recorded it.
    pub fn service_name(&self) -> &str {
        &self.service_name
    }

    /// Name of the instrumentation scope.
    pub fn scope(&self) -> &str {
        self.data.instrumentation_scope.name()
    }

    /// The whole instrumentation scope.
    pub fn instrumentation_scope(&self) -> &InstrumentationScope {
        &self.data.instrumentation_scope
    }

    /// Trace, span, flags and trace state.
    pub fn span_context(&self) -> &SpanContext {
        &self.data.span_context
    }

    /// The trace it belongs to; `to_string()` gives 32 hex digits.
    pub fn trace_id(&self) -> TraceId {
        self.data.span_context.trace_id()
    }

    /// Its own id; `to_string()` gives 16 hex digits.
    pub fn span_id(&self) -> SpanId {
        self.data.span_context.span_id()
    }

    /// The parent, unless it is a root.
    pub fn parent_id(&self) -> Option<SpanId> {
        Some(self.data.parent_span_id).filter(|parent| *parent != SpanId::INVALID)
    }

    /// Whether the parent's context came in over the wire.
    pub fn parent_is_remote(&self) -> bool {
        self.data.parent_span_is_remote
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Kind.
    pub fn kind(&self) -> SpanKind {
        self.data.span_kind.clone()
    }

    /// Wall-clock start.
    pub fn start(&self) -> SystemTime {
        self.data.start_time
    }

    /// Wall-clock end.
    pub fn end(&self) -> SystemTime {
        self.data.end_time
    }

    /// End minus start; zero if the clock went back in between.
    pub fn duration(&self) -> Duration {
        self.data.end_time.duration_since(self.data.start_time).unwrap_or_default()
    }

    /// Status.
    pub fn status(&self) -> &Status {
        &self.data.status
    }

    /// Whether the status is an error.
    pub fn is_error(&self) -> bool {
        matches!(self.data.status, Status::Error { .. })
    }

    /// Attributes; no key appears twice.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.data.attributes
    }

    /// The attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.data.attributes, key)
    }

    /// Attributes left out because of a limit.
    pub fn dropped_attributes(&self) -> u32 {
        self.data.dropped_attributes_count
    }

    /// Events, oldest first.
    pub fn events(&self) -> &[FinishedEvent] {
        &self.events
    }

    /// Links.
    pub fn links(&self) -> &[FinishedLink] {
        &self.links
    }
}

/// An event of a finished span.
#[derive(Clone, Debug)]
pub struct FinishedEvent {
    name: Cow<'static, str>,
    time: SystemTime,
    attributes: Vec<KeyValue>,
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
#[derive(Clone, Debug)]
pub struct FinishedLink {
    span: SpanContext,
    attributes: Vec<KeyValue>,
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
