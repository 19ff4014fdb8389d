//! The fields of a `tracing` event or span as OpenTelemetry values.

use std::fmt;

use opentelemetry::Value;
use tracing::Event;
use tracing::field::{Field, Visit};

/// What an event says. Of a span only the fields are used.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: String,
    pub(crate) fields: Vec<(&'static str, Value)>,
}

impl Fields {
    /// The fields of an event; those that only carry where an event of the `log` crate came from are left out.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        if cfg!(feature = "log") && event.metadata().target() == "log" {
            fields.fields.retain(|(name, _)| !name.starts_with("log."));
        }
        fields
    }

    /// Sets a field; a later value replaces an earlier one.
    pub(crate) fn set(&mut self, name: &'static str, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| *known == name)
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.set(field.name(), value.into());
    }
}

/// OpenTelemetry has no unsigned numbers; what does not fit becomes text.
pub(crate) fn unsigned(value: u64) -> Value {
    i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::I64)
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, unsigned(value));
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
