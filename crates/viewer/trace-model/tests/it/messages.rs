//! Random OTLP messages of the generated types, and what they are in our terms.

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    logs::v1::{self as logs, ResourceLogs, ScopeLogs},
    resource::v1 as resource,
    trace::v1::{self as trace, ResourceSpans, ScopeSpans, span},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::sync::Arc;
use waypost_trace_model::{
    Attribute, Event, Kind, Link, LogRecord, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId,
    Value,
};

/// Which floating point numbers occur.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubles {
    Any,
    /// Those that plain JSON has numbers for.
    Finite,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z.]{1,12}", "\\PC{0,8}", "[\\x00-\\x1f\"\\\\<>\u{2028}]{1,4}"]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..300_u64, any::<u64>(), Just(u64::MAX)]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 1 => 1..200_u32, 1 => Just(u32::MAX)]
}

fn any_value(doubles: Doubles) -> impl Strategy<Value = AnyValue> {
    use any_value::Value::{
        ArrayValue as A, BoolValue, BytesValue, DoubleValue, IntValue, KvlistValue, StringValue,
    };
    let double = prop::num::f64::ANY.prop_filter("plain JSON has no such number", move |number| {
        doubles == Doubles::Any || number.is_finite()
    });
    let leaf = prop_oneof![
        1 => Just(None),
        4 => text().prop_map(|text| Some(StringValue(text))),
        1 => any::<bool>().prop_map(|value| Some(BoolValue(value))),
        2 => any::<i64>().prop_map(|number| Some(IntValue(number))),
        2 => double.prop_map(|number| Some(DoubleValue(number))),
        1 => vec(any::<u8>(), 0..6).prop_map(|bytes| Some(BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(3, 12, 3, |inner| {
        let entry = (text(), option::of(inner.clone())).prop_map(key_value);
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| A(ArrayValue { values })),
            vec(entry, 0..3).prop_map(|values| KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_value((key, value): (String, Option<AnyValue>)) -> KeyValue {
    KeyValue { key, value, ..KeyValue::default() }
}

fn attributes(doubles: Doubles) -> impl Strategy<Value = Vec<KeyValue>> {
    vec((text(), option::weighted(0.9, any_value(doubles))).prop_map(key_value), 0..4)
}

/// Ids from a few, and some with zeros in front.
fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    select(vec![1_u8, 9, 0xab, 0xff]).prop_map(move |last| {
        let mut id = vec![if last < 128 { 0 } else { last }; length];
        id[length - 1] = last;
        id
    })
}

/// Empty, or all zero, or an id.
fn optional_id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => Just(Vec::new()), 1 => Just(vec![0; length]), 3 => id(length)]
}

fn event(doubles: Doubles) -> impl Strategy<Value = span::Event> {
    (number(), text(), attributes(doubles), small()).prop_map(
        |(time_unix_nano, name, attributes, dropped)| span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count: dropped,
        },
    )
}

fn link(doubles: Doubles) -> impl Strategy<Value = span::Link> {
    (optional_id(16), optional_id(8), text(), small(), attributes(doubles), small()).prop_map(
        |(trace_id, span_id, trace_state, flags, attributes, dropped_attributes_count)| span::Link {
            trace_id,
            span_id,
            trace_state,
            flags,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn status() -> impl Strategy<Value = Option<trace::Status>> {
    option::of((text(), -1..4_i32).prop_map(|(message, code)| trace::Status { message, code }))
}

fn span(doubles: Doubles) -> impl Strategy<Value = trace::Span> {
    let ids = (id(16), id(8), optional_id(8), text(), small());
    let head = (text(), -1..8_i32, number(), number(), status());
    let parts =
        (attributes(doubles), vec(event(doubles), 0..3), vec(link(doubles), 0..3), small(), small(), small());
    (ids, head, parts).prop_map(|(ids, head, parts)| {
        let (trace_id, span_id, parent_span_id, trace_state, flags) = ids;
        let (name, kind, start_time_unix_nano, end_time_unix_nano, status) = head;
        let (attributes, events, links, dropped_attributes_count, dropped_events_count, dropped_links_count) =
            parts;
        trace::Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status,
        }
    })
}

fn log(doubles: Doubles) -> impl Strategy<Value = logs::LogRecord> {
    let head = (number(), number(), -1..30_i32, text(), option::of(any_value(doubles)), text());
    let rest = (attributes(doubles), small(), small(), optional_id(16), optional_id(8));
    (head, rest).prop_map(|(head, rest)| {
        let (time_unix_nano, observed_time_unix_nano, severity_number, severity_text, body, event_name) =
            head;
        let (attributes, dropped_attributes_count, flags, trace_id, span_id) = rest;
        logs::LogRecord {
            time_unix_nano,
            observed_time_unix_nano,
            severity_number,
            severity_text,
            body,
            attributes,
            dropped_attributes_count,
            flags,
            trace_id,
            span_id,
            event_name,
        }
    })
}

fn resource(doubles: Doubles) -> impl Strategy<Value = Option<resource::Resource>> {
    let service =
        option::of(any_value(doubles).prop_map(|value| key_value(("service.name".to_owned(), Some(value)))));
    option::of((service, attributes(doubles), small()).prop_map(|(service, mut attributes, dropped)| {
        attributes.extend(service);
        resource::Resource { attributes, dropped_attributes_count: dropped, entity_refs: Vec::new() }
    }))
}

fn scope(doubles: Doubles) -> impl Strategy<Value = Option<InstrumentationScope>> {
    option::of((text(), text(), attributes(doubles), small()).prop_map(
        |(name, version, attributes, dropped)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count: dropped,
        },
    ))
}

/// A request with spans; a resource or scope may occur more than once.
pub(crate) fn traces(doubles: Doubles) -> impl Strategy<Value = ExportTraceServiceRequest> {
    let group = (scope(doubles), vec(span(doubles), 0..3), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let groups = (resource(doubles), vec(group, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    (vec(groups, 0..3), any::<bool>()).prop_map(|(mut resource_spans, is_repeated)| {
        if is_repeated {
            resource_spans.extend(resource_spans.first().cloned());
        }
        ExportTraceServiceRequest { resource_spans }
    })
}

/// A request with log records.
pub(crate) fn logs(doubles: Doubles) -> impl Strategy<Value = ExportLogsServiceRequest> {
    let group = (scope(doubles), vec(log(doubles), 0..3), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let groups = (resource(doubles), vec(group, 0..3), text())
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    vec(groups, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// The spans of a request, in order.
pub(crate) fn spans_of(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for group in &request.resource_spans {
        let resource = resource_of(group.resource.as_ref(), &group.schema_url);
        for group in &group.scope_spans {
            let scope = scope_of(group.scope.as_ref(), &group.schema_url);
            spans.extend(group.spans.iter().map(|span| span_of(span, &resource, &scope)));
        }
    }
    spans
}

/// The log records of a request, in order.
pub(crate) fn logs_of(request: &ExportLogsServiceRequest) -> Vec<LogRecord> {
    let mut records = Vec::new();
    for group in &request.resource_logs {
        let resource = resource_of(group.resource.as_ref(), &group.schema_url);
        for group in &group.scope_logs {
            let scope = scope_of(group.scope.as_ref(), &group.schema_url);
            records.extend(group.log_records.iter().map(|log| log_of(log, &resource, &scope)));
        }
    }
    records
}

fn span_of(span: &trace::Span, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Span {
    let links: Vec<Link> = span.links.iter().filter_map(link_of).collect();
    let lost = u32::try_from(span.links.len() - links.len()).unwrap();
    let status = span.status.clone().unwrap_or_default();
    Span {
        trace_id: TraceId::from_bytes(&span.trace_id).unwrap(),
        span_id: SpanId::from_bytes(&span.span_id).unwrap(),
        parent_span_id: SpanId::from_bytes(&span.parent_span_id),
        trace_state: span.trace_state.as_str().into(),
        flags: span.flags,
        name: span.name.as_str().into(),
        kind: Kind::from_number(u64::try_from(span.kind).unwrap_or(0)),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        status: Status {
            code: StatusCode::from_number(u64::try_from(status.code).unwrap_or(0)),
            message: status.message.into(),
        },
        attributes: attributes_of(&span.attributes),
        dropped_attributes: span.dropped_attributes_count,
        events: span.events.iter().map(event_of).collect(),
        dropped_events: span.dropped_events_count,
        dropped_links: span.dropped_links_count.saturating_add(lost),
        links,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
    }
}

fn event_of(event: &span::Event) -> Event {
    Event {
        time: event.time_unix_nano,
        name: event.name.as_str().into(),
        attributes: attributes_of(&event.attributes),
        dropped_attributes: event.dropped_attributes_count,
    }
}

fn link_of(link: &span::Link) -> Option<Link> {
    Some(Link {
        trace_id: TraceId::from_bytes(&link.trace_id)?,
        span_id: SpanId::from_bytes(&link.span_id)?,
        trace_state: link.trace_state.as_str().into(),
        flags: link.flags,
        attributes: attributes_of(&link.attributes),
        dropped_attributes: link.dropped_attributes_count,
    })
}

fn log_of(log: &logs::LogRecord, resource: &Arc<Resource>, scope: &Arc<Scope>) -> LogRecord {
    LogRecord {
        time: log.time_unix_nano,
        observed: log.observed_time_unix_nano,
        severity: u8::try_from(log.severity_number).ok().filter(|number| *number <= 24).unwrap_or(0),
        severity_text: log.severity_text.as_str().into(),
        body: log.body.as_ref().map(value_of).unwrap_or_default(),
        event_name: log.event_name.as_str().into(),
        attributes: attributes_of(&log.attributes),
        dropped_attributes: log.dropped_attributes_count,
        flags: log.flags,
        trace_id: TraceId::from_bytes(&log.trace_id),
        span_id: SpanId::from_bytes(&log.span_id),
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
    }
}

fn resource_of(resource: Option<&resource::Resource>, schema_url: &str) -> Arc<Resource> {
    let resource = resource.cloned().unwrap_or_default();
    let attributes = attributes_of(&resource.attributes);
    Arc::new(Resource::new(attributes, resource.dropped_attributes_count, schema_url.into()))
}

fn scope_of(scope: Option<&InstrumentationScope>, schema_url: &str) -> Arc<Scope> {
    let scope = scope.cloned().unwrap_or_default();
    Arc::new(Scope {
        name: scope.name.into(),
        version: scope.version.into(),
        attributes: attributes_of(&scope.attributes),
        dropped_attributes: scope.dropped_attributes_count,
        schema_url: schema_url.into(),
    })
}

fn attributes_of(attributes: &[KeyValue]) -> Vec<Attribute> {
    let attribute = |attribute: &KeyValue| Attribute {
        key: attribute.key.as_str().into(),
        value: attribute.value.as_ref().map(value_of).unwrap_or_default(),
    };
    attributes.iter().map(attribute).collect()
}

fn value_of(value: &AnyValue) -> Value {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => Value::Text(text.as_str().into()),
        Some(any_value::Value::BoolValue(value)) => Value::Bool(*value),
        Some(any_value::Value::IntValue(number)) => Value::Int(*number),
        Some(any_value::Value::DoubleValue(number)) => Value::Double(*number),
        Some(any_value::Value::BytesValue(bytes)) => Value::Bytes(bytes.clone().into()),
        Some(any_value::Value::ArrayValue(array)) => {
            Value::Array(array.values.iter().map(value_of).collect())
        }
        Some(any_value::Value::KvlistValue(list)) => Value::Map(attributes_of(&list.values).into()),
        Some(any_value::Value::StringValueStrindex(_)) | None => Value::Empty,
    }
}

/// Records as the encoders order them: those with equal resources together, within them those with equal scopes, each
/// group at the place of its first record.
pub(crate) fn grouped<R: Clone>(
    records: &[R],
    origin: impl Fn(&R) -> (&Arc<Resource>, &Arc<Scope>),
) -> Vec<R> {
    let key = |record: &R| {
        let (resource, scope) = origin(record);
        (format!("{resource:?}"), format!("{scope:?}"))
    };
    let keys: Vec<_> = records.iter().map(key).collect();
    let mut order: Vec<usize> = (0..records.len()).collect();
    let resource_place = |place: usize| keys.iter().position(|key| key.0 == keys[place].0);
    let scope_place = |place: usize| keys.iter().position(|key| *key == keys[place]);
    order.sort_by_key(|place| (resource_place(*place), scope_place(*place)));
    order.into_iter().map(|place| records[place].clone()).collect()
}

/// A NaN is the same as a NaN here.
#[track_caller]
pub(crate) fn assert_same<T: std::fmt::Debug>(found: &T, expected: &T) {
    assert_eq!(format!("{found:#?}"), format!("{expected:#?}"));
}
