//! The fields of a `tracing` span: attributes, and what is said about the span itself.

use std::error::Error;
use std::fmt;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Key, KeyValue, Value};
use tracing::field::{Field, Visit};

use crate::base::attributes::ERROR_TYPE;
use crate::base::error::error_type_of;
use crate::base::fields::unsigned;
use crate::core::span::SpanGuard;

/// The field that may hold an error.
const ERROR: &str = "error";

#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) name: Option<String>,
    pub(super) kind: Option<SpanKind>,
    pub(super) attributes: Vec<KeyValue>,
    is_ok: Option<bool>,
    description: Option<String>,
}

impl Values {
    /// Writes what was recorded late, and the status, to an open span.
    pub(super) fn apply(self, span: &SpanGuard) {
        if let Some(name) = self.name {
            span.rename(name);
        }
        span.set_all(self.attributes);
        match (self.is_ok, self.description) {
            (Some(true), _) => span.set_status(Status::Ok),
            (Some(false), description) | (None, description @ Some(_)) => {
                span.set_status(Status::error(description.unwrap_or_default()));
            }
            (None, None) => {}
        }
    }

    /// The status alone, for a span that was started with the rest.
    pub(super) fn apply_status(self, span: &SpanGuard) {
        Self { name: None, attributes: Vec::new(), ..self }.apply(span);
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.attributes.push(KeyValue::new(Key::from_static_str(field.name()), value));
    }

    /// Whether the text was an instruction.
    fn instructs(&mut self, field: &Field, text: &str) -> bool {
        match field.name() {
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => self.kind = kind(text),
            "otel.status_code" if text.eq_ignore_ascii_case("ok") => self.is_ok = Some(true),
            "otel.status_code" if text.eq_ignore_ascii_case("error") => self.is_ok = Some(false),
            "otel.status_code" => {}
            // Older code calls it a message.
            "otel.status_description" | "otel.status_message" => self.description = Some(text.to_owned()),
            _ => return false,
        }
        true
    }
}

impl Visit for Values {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.instructs(field, value) {
            self.add(field, value.to_owned().into());
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if field.name() == ERROR {
            self.is_ok = Some(false);
            self.description = Some(value.to_string());
            self.attributes.push(KeyValue::new(ERROR_TYPE, error_type_of(value)));
        } else {
            self.add(field, value.to_string().into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if !self.instructs(field, &text) {
            self.add(field, text.into());
        }
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    let kinds = [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ];
    kinds.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, kind)| kind)
}

/// What an event of level `ERROR` says about the span it is in.
#[derive(Debug, Default)]
pub(super) struct Failure {
    error_type: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

impl Failure {
    pub(super) fn apply(self, span: &SpanGuard) {
        span.set_status(Status::error(self.error.or(self.message).unwrap_or_default()));
        span.set(ERROR_TYPE, self.error_type.unwrap_or_else(|| "_OTHER".to_owned()));
    }
}

impl Visit for Failure {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = Some(value.to_owned()),
            ERROR => self.error = Some(value.to_owned()),
            ERROR_TYPE => self.error_type = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if field.name() == ERROR {
            self.error = Some(value.to_string());
            self.error_type.get_or_insert_with(|| error_type_of(value).into_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "message" | ERROR | ERROR_TYPE) {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}
