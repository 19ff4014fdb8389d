//! What OTLP brings, as the kit's own finished spans and log records and as metrics to check, so that one way of comparing
//! serves both.

mod logs;
mod metrics;
mod spans;

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as WireAttribute};
use opentelemetry_proto::tonic::resource::v1::Resource;
use waypost_telemetry::opentelemetry::trace::{SpanId, TraceId};
use waypost_telemetry::opentelemetry::{Array, KeyValue, StringValue, Value};

pub(crate) use logs::logs;
pub(crate) use metrics::metrics;
pub(crate) use spans::spans;

/// What one request brought.
#[derive(Debug)]
pub(crate) struct Received<T> {
    pub(crate) items: Vec<T>,
    /// The attributes of each resource.
    pub(crate) resources: Vec<Vec<KeyValue>>,
    /// Attribute keys that came twice on one thing, as `thing: key`.
    pub(crate) duplicates: Vec<String>,
}

impl<T> Received<T> {
    fn new() -> Self {
        Self { items: Vec::new(), resources: Vec::new(), duplicates: Vec::new() }
    }

    /// Notes a resource and gives its `service.name`.
    fn resource(&mut self, resource: Option<Resource>) -> String {
        let resource = resource.unwrap_or_default();
        self.duplicates.extend(twice(&resource.attributes).map(|key| format!("resource: {key}")));
        let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
        let service_name = service.and_then(|attribute| text(attribute.value.as_ref())).unwrap_or_default();
        self.resources.push(resource.attributes.into_iter().map(attribute).collect());
        service_name
    }
}

pub(super) fn attribute(wire: WireAttribute) -> KeyValue {
    KeyValue::new(wire.key, value(wire.value))
}

pub(super) fn value(wire: Option<AnyValue>) -> Value {
    match wire.and_then(|wire| wire.value) {
        Some(Wire::BoolValue(value)) => Value::Bool(value),
        Some(Wire::IntValue(value)) => Value::I64(value),
        Some(Wire::DoubleValue(value)) => Value::F64(value),
        Some(Wire::StringValue(value)) => Value::String(value.into()),
        Some(Wire::ArrayValue(array)) => {
            Value::Array(list(array.values.into_iter().map(|item| value(Some(item)))))
        }
        // No other type is sent by the kit; it would show in the comparison.
        other => Value::String(format!("{other:?}").into()),
    }
}

/// A list of the type of its first item; texts, if it is empty or mixed.
fn list(items: impl Iterator<Item = Value>) -> Array {
    let items: Vec<Value> = items.collect();
    let whole = items.iter().map(|item| if let Value::I64(number) = item { Some(*number) } else { None });
    let numbers = items.iter().map(|item| if let Value::F64(number) = item { Some(*number) } else { None });
    let claims = items.iter().map(|item| if let Value::Bool(claim) = item { Some(*claim) } else { None });
    match items.first() {
        Some(Value::I64(_)) => whole.collect::<Option<Vec<_>>>().map(Array::I64),
        Some(Value::F64(_)) => numbers.collect::<Option<Vec<_>>>().map(Array::F64),
        Some(Value::Bool(_)) => claims.collect::<Option<Vec<_>>>().map(Array::Bool),
        _ => None,
    }
    .unwrap_or_else(|| Array::String(items.iter().map(|item| StringValue::from(item.to_string())).collect()))
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    match value?.value.as_ref()? {
        Wire::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

pub(super) fn twice(attributes: &[WireAttribute]) -> impl Iterator<Item = String> {
    let mut seen = HashSet::new();
    attributes
        .iter()
        .filter(move |attribute| !seen.insert(&attribute.key))
        .map(|attribute| attribute.key.clone())
}

pub(super) fn trace_id(bytes: &[u8]) -> TraceId {
    bytes.try_into().map_or(TraceId::INVALID, TraceId::from_bytes)
}

pub(super) fn span_id(bytes: &[u8]) -> SpanId {
    bytes.try_into().map_or(SpanId::INVALID, SpanId::from_bytes)
}

pub(super) fn time(unix_nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanoseconds)
}
