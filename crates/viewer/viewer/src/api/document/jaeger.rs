//! Jaeger's JSON, as its UI downloads and uploads it, in the form of OTLP's JSON: what Jaeger keeps among its tags has
//! fields of its own there.
//!
//! The way back of what `/api/traces/{id}` answers: kind, status, scope, trace state, events and links are the same again.
//! Times have microseconds.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

#[derive(Deserialize)]
struct Document {
    data: Vec<Trace>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    spans: Vec<Span>,
    #[serde(default)]
    processes: HashMap<String, Process>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    #[serde(default)]
    service_name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    id: String,
    #[serde(default, rename = "parentSpanID")]
    parent_id: String,
    #[serde(default)]
    flags: u32,
    #[serde(default)]
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    /// In microseconds since 1970.
    start_time: u64,
    /// In microseconds.
    #[serde(default)]
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    logs: Vec<Log>,
    #[serde(default, rename = "processID")]
    process_id: String,
    process: Option<Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Clone, Deserialize)]
struct Tag {
    key: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Log {
    timestamp: u64,
    #[serde(default)]
    fields: Vec<Tag>,
}

/// The same as OTLP JSON; `None` when the document is no JSON of Jaeger's.
pub(super) fn to_otlp(document: &[u8]) -> Result<Option<Value>, String> {
    #[derive(Deserialize)]
    struct Form {
        data: Option<serde::de::IgnoredAny>,
    }
    let is_jaeger = serde_json::from_slice::<Form>(document).is_ok_and(|form| form.data.is_some());
    if !is_jaeger {
        return Ok(None);
    }
    let document: Document =
        serde_json::from_slice(document).map_err(|error| format!("this is no JSON of Jaeger's: {error}"))?;
    let groups = document.data.into_iter().flat_map(|trace| {
        let Trace { spans, processes } = trace;
        spans.into_iter().map(move |span| group(span, &processes)).collect::<Vec<Value>>()
    });
    Ok(Some(json!({"resourceSpans": groups.collect::<Vec<Value>>()})))
}

/// A span with its resource and scope.
fn group(mut span: Span, processes: &HashMap<String, Process>) -> Value {
    let process =
        span.process.take().or_else(|| processes.get(&span.process_id).cloned()).unwrap_or_default();
    let mut resource: Vec<Value> = process.tags.iter().filter_map(attribute).collect();
    if !process.service_name.is_empty() {
        resource.push(json!({"key": "service.name", "value": {"stringValue": process.service_name}}));
    }
    let scope = json!({"name": take(&mut span.tags, "otel.scope.name"), "version": take(&mut span.tags, "otel.scope.version")});
    json!({"resource": {"attributes": resource}, "scopeSpans": [{"scope": scope, "spans": [otlp_span(span)]}]})
}

fn otlp_span(mut span: Span) -> Value {
    let kind = take(&mut span.tags, "span.kind");
    let status = status(&mut span.tags);
    let state = take(&mut span.tags, "w3c.tracestate");
    let parent = span.references.iter().position(|reference| reference.trace_id == span.trace_id);
    let mut links = Vec::new();
    let mut parent_id = span.parent_id;
    for (place, reference) in span.references.iter().enumerate() {
        let is_parent = parent == Some(place);
        if is_parent {
            parent_id.clone_from(&reference.span_id);
        }
        // That the parent is one of causes and not of calls is said by a link to it.
        if !is_parent || reference.ref_type == "FOLLOWS_FROM" {
            links.push(link(reference));
        }
    }
    let start = span.start_time.saturating_mul(1000);
    json!({
        "traceId": padded(&span.trace_id, 32),
        "spanId": padded(&span.id, 16),
        "parentSpanId": if parent_id.is_empty() { String::new() } else { padded(&parent_id, 16) },
        "traceState": state,
        "flags": span.flags,
        "name": span.operation_name,
        "kind": if kind.is_empty() { "unspecified".to_owned() } else { kind },
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": start.saturating_add(span.duration.saturating_mul(1000)).to_string(),
        "status": status,
        "attributes": span.tags.iter().filter_map(attribute).collect::<Vec<Value>>(),
        "events": span.logs.iter().map(event).collect::<Vec<Value>>(),
        "links": links,
    })
}

fn status(tags: &mut Vec<Tag>) -> Value {
    let code = take(tags, "otel.status_code");
    let error =
        tags.iter().position(|tag| tag.key == "error" && is_true(&tag.value)).map(|place| tags.remove(place));
    let code = match code.as_str() {
        "OK" => "STATUS_CODE_OK",
        "ERROR" => "STATUS_CODE_ERROR",
        _ if error.is_some() => "STATUS_CODE_ERROR",
        _ => "STATUS_CODE_UNSET",
    };
    json!({"code": code, "message": take(tags, "otel.status_description")})
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true) || value == "true"
}

fn link(reference: &Reference) -> Value {
    let attributes = match reference.ref_type.as_str() {
        "CHILD_OF" => json!([{"key": "opentracing.ref_type", "value": {"stringValue": "child_of"}}]),
        _ => json!([]),
    };
    json!({"traceId": padded(&reference.trace_id, 32), "spanId": padded(&reference.span_id, 16), "attributes": attributes})
}

/// The field `event` is its name.
fn event(log: &Log) -> Value {
    let is_name = |tag: &Tag| tag.key == "event" && tag.value.is_string();
    let name =
        log.fields.iter().find(|tag| is_name(tag)).map_or("", |tag| tag.value.as_str().unwrap_or_default());
    let fields = log.fields.iter().filter(|tag| !is_name(tag)).filter_map(attribute);
    json!({
        "timeUnixNano": log.timestamp.saturating_mul(1000).to_string(),
        "name": name,
        "attributes": fields.collect::<Vec<Value>>(),
    })
}

/// `None` for what has no value.
fn attribute(tag: &Tag) -> Option<Value> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = match (tag.kind.as_str(), &tag.value) {
        (_, Value::Null) => return None,
        ("bool", value) => json!({"boolValue": is_true(value)}),
        ("int64", value) => json!({"intValue": text(value)}),
        ("float64", value) => json!({"doubleValue": value}),
        ("binary", value) => json!({"bytesValue": text(value)}),
        (_, Value::Bool(value)) => json!({"boolValue": value}),
        (_, value) => json!({"stringValue": text(value)}),
    };
    let mut attribute = Map::new();
    attribute.insert("key".to_owned(), tag.key.clone().into());
    attribute.insert("value".to_owned(), value);
    Some(attribute.into())
}

/// Takes a tag that is a text out of the list; empty when there is none.
fn take(tags: &mut Vec<Tag>, key: &str) -> String {
    let place = tags.iter().position(|tag| tag.key == key && tag.value.is_string());
    place
        .map(|place| tags.remove(place))
        .and_then(|tag| tag.value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Jaeger leaves out leading zeros.
fn padded(id: &str, digits: usize) -> String {
    format!("{id:0>digits$}")
}
