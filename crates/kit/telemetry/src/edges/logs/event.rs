//! A `tracing` event as plain values, and where it happened.

use std::fmt;

use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use crate::core::handle::Telemetry;

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Said {
    pub(super) fn by(event: &Event<'_>) -> Self {
        let mut said = Self::default();
        event.record(&mut said);
        said
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name(), value.into()));
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    /// OpenTelemetry has no unsigned numbers; what does not fit becomes text.
    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.add(field, value),
            Err(_) => self.add(field, value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.add(field, value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The context of the moment an event is written in.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) telemetry: Telemetry,
    pub(super) span: SpanContext,
    pub(super) suppressed: bool,
}

impl Scene {
    /// `None` for events of the OpenTelemetry API itself: it may write them while it holds the context.
    pub(super) fn of(metadata: &Metadata<'_>) -> Option<Self> {
        if metadata.target().starts_with("opentelemetry") {
            return None;
        }
        Some(Context::map_current(|context| Self {
            telemetry: Telemetry::of(context),
            span: context.span().span_context().clone(),
            suppressed: context.is_telemetry_suppressed(),
        }))
    }

    /// The name of the service, unless there is none to name.
    pub(super) fn service_name(&self) -> Option<&str> {
        self.telemetry.is_named().then(|| self.telemetry.service_name())
    }
}

pub(super) fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        _ => "TRACE",
    }
}
