//! Spans as Zipkin's JSON, version 2: <https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/>.
//!
//! Attributes, status and scope are tags, events annotations. What Zipkin has no place for, links and the attributes of the
//! resource but for the service's name, is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use serde::Serialize;

use super::decode;
use crate::base::finished::{FinishedEvent, FinishedSpan};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ZipkinSpan {
    trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    name: String,
    /// Microseconds since the epoch.
    timestamp: u64,
    /// Microseconds; 0 would mean that it is not known.
    duration: u64,
    local_endpoint: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
    tags: BTreeMap<String, String>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Serialize)]
struct Annotation {
    timestamp: u64,
    value: String,
}

/// The spans of a request, as a list.
pub(super) fn spans(request: &[u8]) -> Vec<u8> {
    let spans: Vec<ZipkinSpan> = decode::spans(request).iter().map(span).collect();
    // Nothing in it can fail to be written.
    serde_json::to_vec(&spans).unwrap_or_else(|_| b"[]".to_vec())
}

fn span(span: &FinishedSpan) -> ZipkinSpan {
    ZipkinSpan {
        trace_id: span.trace_id().to_string(),
        parent_id: span.parent_id().map(|parent| parent.to_string()),
        id: span.span_id().to_string(),
        kind: match span.kind() {
            SpanKind::Server => Some("SERVER"),
            SpanKind::Client => Some("CLIENT"),
            SpanKind::Producer => Some("PRODUCER"),
            SpanKind::Consumer => Some("CONSUMER"),
            SpanKind::Internal => None,
        },
        name: span.name().to_owned(),
        timestamp: microseconds(span.start()),
        duration: u64::try_from(span.duration().as_micros()).unwrap_or(u64::MAX).max(1),
        local_endpoint: Endpoint {
            service_name: Some(span.service_name().to_owned()),
            ..Endpoint::default()
        },
        remote_endpoint: remote_endpoint(span),
        annotations: span.events().iter().map(annotation).collect(),
        tags: tags(span),
    }
}

fn microseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Of what is called: a name, in the order of the specification, and the peer's address where it is one.
fn remote_endpoint(span: &FinishedSpan) -> Option<Endpoint> {
    if !matches!(span.kind(), SpanKind::Client | SpanKind::Producer) {
        return None;
    }
    let text = |key| span.attribute(key).map(|value| value.as_str().into_owned());
    let number = |key| match span.attribute(key) {
        Some(Value::I64(number)) => u16::try_from(*number).ok(),
        _ => None,
    };
    let names = ["peer.service", "server.address", "network.peer.address", "db.namespace"];
    let service_name = names.into_iter().find_map(text)?;
    let address: Option<IpAddr> = text("network.peer.address").and_then(|text| text.parse().ok());
    let port = address.and_then(|_| number("network.peer.port"));
    let (ipv4, ipv6) = match address {
        Some(IpAddr::V4(address)) => (Some(address.to_string()), None),
        Some(IpAddr::V6(address)) => (None, Some(address.to_string())),
        None => (None, None),
    };
    Some(Endpoint { service_name: Some(service_name), ipv4, ipv6, port })
}

/// `name`, or `"name": {attributes}`.
fn annotation(event: &FinishedEvent) -> Annotation {
    let value = if event.attributes().is_empty() {
        event.name().to_owned()
    } else {
        let attributes: BTreeMap<&str, serde_json::Value> =
            event.attributes().iter().map(|pair| (pair.key.as_str(), json(&pair.value))).collect();
        format!("{}: {}", serde_json::Value::from(event.name()), serde_json::json!(attributes))
    };
    Annotation { timestamp: microseconds(event.time()), value }
}

fn tags(span: &FinishedSpan) -> BTreeMap<String, String> {
    let tag = |pair: &KeyValue| (pair.key.as_str().to_owned(), text(&pair.value));
    let mut tags: BTreeMap<String, String> = span.attributes().iter().map(tag).collect();
    let mut put_tag = |key: &str, value: String| drop(tags.insert(key.to_owned(), value));
    let scope = span.instrumentation_scope();
    if !scope.name().is_empty() {
        put_tag("otel.scope.name", scope.name().to_owned());
    }
    if let Some(version) = scope.version() {
        put_tag("otel.scope.version", version.to_owned());
    }
    for (key, count) in [
        ("otel.dropped_attributes_count", span.dropped_attributes()),
        ("otel.dropped_events_count", span.dropped_events()),
        ("otel.dropped_links_count", span.dropped_links()),
    ] {
        if count > 0 {
            put_tag(key, count.to_string());
        }
    }
    match span.status() {
        Status::Unset => {}
        Status::Ok => put_tag("otel.status_code", "OK".to_owned()),
        Status::Error { description } => {
            put_tag("otel.status_code", "ERROR".to_owned());
            put_tag("error", description.clone().into_owned());
        }
    }
    tags
}

/// Lists as JSON, everything else as it stands.
fn text(value: &Value) -> String {
    match value {
        Value::Array(_) => json(value).to_string(),
        value => value.as_str().into_owned(),
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        Value::Array(Array::Bool(values)) => values.clone().into(),
        Value::Array(Array::I64(values)) => values.clone().into(),
        Value::Array(Array::F64(values)) => values.clone().into(),
        Value::Array(Array::String(values)) => {
            values.iter().map(StringValue::as_str).collect::<Vec<_>>().into()
        }
        value => value.as_str().into_owned().into(),
    }
}
