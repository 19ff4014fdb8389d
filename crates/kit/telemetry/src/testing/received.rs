//! Spans, log records and metrics that came from elsewhere, over OTLP for instance, so that one comparison and one check
//! serve both.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};

use crate::base::finished::{FinishedEvent, FinishedLink, FinishedLog, FinishedSpan};

/// A span by its parts. `FinishedSpan::from` makes one to compare.
///
/// ```
/// use std::time::SystemTime;
/// use waypost_telemetry::FinishedSpan;
/// use waypost_telemetry::opentelemetry::trace::{
///     SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
/// };
/// use waypost_telemetry::opentelemetry::{InstrumentationScope, KeyValue};
/// use waypost_telemetry::testing::{ReceivedSpan, SpanTree};
///
/// let (trace, id) = (TraceId::from(7), SpanId::from(1));
/// let received = ReceivedSpan {
///     service_name: "order-service".to_owned(),
///     scope: InstrumentationScope::builder("shop").build(),
///     span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
///     parent_id: SpanId::INVALID,
///     parent_is_remote: false,
///     name: "place-order".to_owned(),
///     kind: SpanKind::Internal,
///     status: Status::Unset,
///     start: SystemTime::now(),
///     end: SystemTime::now(),
///     attributes: vec![KeyValue::new("order.id", "order-1")],
///     events: Vec::new(),
///     links: Vec::new(),
/// };
/// let tree = SpanTree::only(&[FinishedSpan::from(received)]);
/// tree.assert_matches("place-order INTERNAL order-service order.id=order-1");
/// ```
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    /// `service.name` of its resource.
    pub service_name: String,
    /// Its instrumentation scope.
    pub scope: InstrumentationScope,
    /// Trace, span, flags and trace state.
    pub span_context: SpanContext,
    /// The parent; `SpanId::INVALID` for a root.
    pub parent_id: SpanId,
    /// Whether the parent's context came in over the wire.
    pub parent_is_remote: bool,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: SpanKind,
    /// Status.
    pub status: Status,
    /// Wall-clock start.
    pub start: SystemTime,
    /// Wall-clock end.
    pub end: SystemTime,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// Name, time and attributes of each event.
    pub events: Vec<(String, SystemTime, Vec<KeyValue>)>,
    /// Each link with its attributes.
    pub links: Vec<(SpanContext, Vec<KeyValue>)>,
}

impl From<ReceivedSpan> for FinishedSpan {
    fn from(span: ReceivedSpan) -> Self {
        Self {
            service_name: Arc::from(span.service_name),
            scope: span.scope,
            span_context: span.span_context,
            parent_id: span.parent_id,
            parent_is_remote: span.parent_is_remote,
            name: span.name.into(),
            kind: span.kind,
            status: span.status,
            start: span.start,
            end: span.end,
            attributes: span.attributes,
            dropped_attributes: 0,
            events: span
                .events
                .into_iter()
                .map(|(name, time, attributes)| FinishedEvent { name: name.into(), time, attributes })
                .collect(),
            dropped_events: 0,
            links: span
                .links
                .into_iter()
                .map(|(span, attributes)| FinishedLink { span, attributes })
                .collect(),
            dropped_links: 0,
        }
    }
}

/// A log record by its parts. `FinishedLog::from` makes one to look at or to check.
///
/// ```
/// use std::time::SystemTime;
/// use waypost_telemetry::FinishedLog;
/// use waypost_telemetry::opentelemetry::logs::Severity;
/// use waypost_telemetry::opentelemetry::trace::SpanContext;
/// use waypost_telemetry::testing::ReceivedLog;
/// use waypost_telemetry::testing::conventions::Conventions;
///
/// let log = FinishedLog::from(ReceivedLog {
///     service_name: "order-service".to_owned(),
///     time: SystemTime::now(),
///     severity: Severity::Info,
///     target: "shop::orders".to_owned(),
///     body: "placed".to_owned(),
///     attributes: Vec::new(),
///     span: SpanContext::empty_context(),
/// });
/// assert_eq!(log.body(), "placed");
/// Conventions::current().begin().logs(&[log]).report().assert_clean();
/// ```
#[derive(Clone, Debug)]
pub struct ReceivedLog {
    /// `service.name` of its resource.
    pub service_name: String,
    /// When it was written.
    pub time: SystemTime,
    /// Severity.
    pub severity: Severity,
    /// Name of its instrumentation scope.
    pub target: String,
    /// The message.
    pub body: String,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// The span it was written in; invalid if there was none.
    pub span: SpanContext,
}

impl From<ReceivedLog> for FinishedLog {
    fn from(log: ReceivedLog) -> Self {
        Self {
            time: log.time,
            severity: log.severity,
            target: log.target.into(),
            body: log.body,
            attributes: log.attributes,
            span: log.span,
            service_name: Arc::from(log.service_name),
        }
    }
}

/// A metric by its parts, without its values: what [`Check::received_metrics`] looks at.
///
/// ```
/// use waypost_telemetry::testing::conventions::{Conventions, Rule};
/// use waypost_telemetry::testing::{Instrument, ReceivedMetric};
///
/// let mut received = ReceivedMetric {
///     name: "process.thread.count".to_owned(),
///     unit: "{thread}".to_owned(),
///     instrument: Instrument::UpDownCounter,
///     is_whole: Some(true),
///     bounds: None,
///     points: vec![Vec::new()],
/// };
/// let conventions = Conventions::current();
/// conventions.begin().received_metrics(&[received.clone()]).report().assert_clean();
///
/// received.unit = "threads".to_owned();
/// let report = conventions.begin().received_metrics(&[received]).report();
/// assert!(report.findings().any(|finding| finding.rule() == Rule::Unit), "{report}");
/// ```
///
/// [`Check::received_metrics`]: super::conventions::Check::received_metrics
#[derive(Clone, Debug)]
pub struct ReceivedMetric {
    /// Name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// What made it.
    pub instrument: Instrument,
    /// Whether its numbers are whole ones; `None` where the bytes do not say, as of histograms over OTLP.
    pub is_whole: Option<bool>,
    /// The bounds of a histogram's buckets; `None` of anything else, and of exponential histograms.
    pub bounds: Option<Vec<f64>>,
    /// The attributes of each of its points.
    pub points: Vec<Vec<KeyValue>>,
}

/// What makes a metric, as far as its data tell.
///
/// ```
/// use waypost_telemetry::testing::Instrument;
///
/// assert_eq!(Instrument::UpDownCounter.as_str(), "updowncounter");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instrument {
    /// A sum that only grows.
    Counter,
    /// A sum that may shrink.
    UpDownCounter,
    /// A value of a moment.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Instrument {
    /// The word that the conventions have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter => "updowncounter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}
