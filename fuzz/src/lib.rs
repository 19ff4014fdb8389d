//! What must hold whatever bytes a decoder is given.

use std::fmt::Debug;
use waypost_trace_model::{Attribute, Batch, Limits, LogRecord, Refusal, Span, Value, otlp};

/// Limits that short inputs run into.
pub fn tight() -> Limits {
    Limits {
        attributes: 2,
        key_length: 8,
        value_length: 24,
        depth: 2,
        text_length: 8,
        events: 2,
        links: 1,
        records: 8,
        parts: 12,
    }
}

/// What was decoded within the limits is encoded in both formats and decoded again, within the same limits, to the same.
pub fn check_spans(batch: &Batch, limits: &Limits) {
    assert!(batch.spans.len() <= limits.records);
    batch.spans.iter().for_each(|span| check_span(span, limits));
    let bytes = otlp::traces_to_protobuf(&batch.spans);
    let again = otlp::traces_from_protobuf(&bytes, limits).expect("our own bytes");
    assert_eq!(again.refused, []);
    assert_same(&again.spans, &batch.spans);
    assert_eq!(otlp::traces_to_protobuf(&again.spans), bytes);
    let json = otlp::traces_to_json(&batch.spans);
    let again = otlp::traces_from_json(json.to_string().as_bytes(), limits).expect("our own JSON");
    assert_eq!(again.refused, []);
    assert_same(&again.spans, &batch.spans);
    // The first JSON may be grouped otherwise: it has one form for every NaN, so that scopes become equal that were not.
    let json = otlp::traces_to_json(&again.spans);
    let again = otlp::traces_from_json(json.to_string().as_bytes(), limits).expect("our own JSON");
    assert_eq!(otlp::traces_to_json(&again.spans), json);
}

/// As [`check_spans`].
pub fn check_logs(batch: &Batch, limits: &Limits) {
    assert!(batch.logs.len() <= limits.records);
    batch.logs.iter().for_each(|record| check_log(record, limits));
    let bytes = otlp::logs_to_protobuf(&batch.logs);
    let again = otlp::logs_from_protobuf(&bytes, limits).expect("our own bytes");
    assert_eq!(again.refused, []);
    assert_same(&again.logs, &batch.logs);
    assert_eq!(otlp::logs_to_protobuf(&again.logs), bytes);
    let json = otlp::logs_to_json(&batch.logs);
    let again = otlp::logs_from_json(json.to_string().as_bytes(), limits).expect("our own JSON");
    assert_eq!(again.refused, []);
    assert_same(&again.logs, &batch.logs);
    let json = otlp::logs_to_json(&again.logs);
    let again = otlp::logs_from_json(json.to_string().as_bytes(), limits).expect("our own JSON");
    assert_eq!(otlp::logs_to_json(&again.logs), json);
}

/// Every record is kept or accounted for, whatever the limits.
pub fn check_account(all: &Batch, within_limits: &Batch) {
    let refused = |batch: &Batch, count: fn(&Refusal) -> u64| batch.refused.iter().map(count).sum::<u64>();
    let spans = |batch: &Batch| batch.spans.len() as u64 + refused(batch, |refusal| refusal.spans);
    let logs = |batch: &Batch| batch.logs.len() as u64 + refused(batch, |refusal| refusal.logs);
    assert_eq!((spans(all), logs(all)), (spans(within_limits), logs(within_limits)));
}

/// The same records; in another order when a resource or scope occurred twice, and a NaN is the same as a NaN.
fn assert_same<T: PartialEq + Debug>(found: &[T], expected: &[T]) {
    if found == expected {
        return;
    }
    let sorted = |records: &[T]| {
        let mut texts: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
        texts.sort_unstable();
        texts
    };
    assert_eq!(sorted(found), sorted(expected));
}

fn check_span(span: &Span, limits: &Limits) {
    assert!(span.events.len() <= limits.events && span.links.len() <= limits.links);
    check_texts(&[&span.name, &span.trace_state, &span.status.message], limits);
    check_attributes(&span.attributes, limits);
    for event in &span.events {
        check_texts(&[&event.name], limits);
        check_attributes(&event.attributes, limits);
    }
    for link in &span.links {
        check_texts(&[&link.trace_state], limits);
        check_attributes(&link.attributes, limits);
    }
    check_attributes(&span.resource.attributes, limits);
    check_attributes(&span.scope.attributes, limits);
    check_texts(&[&span.scope.name, &span.scope.version], limits);
}

fn check_log(record: &LogRecord, limits: &Limits) {
    assert!(record.severity <= 24);
    check_texts(&[&record.severity_text, &record.event_name], limits);
    check_attributes(&record.attributes, limits);
    check_value(&record.body, limits.depth);
    check_attributes(&record.resource.attributes, limits);
    check_attributes(&record.scope.attributes, limits);
}

fn check_texts(texts: &[&str], limits: &Limits) {
    assert!(texts.iter().all(|text| text.len() <= limits.text_length));
}

fn check_attributes(attributes: &[Attribute], limits: &Limits) {
    assert!(attributes.len() <= limits.attributes);
    for Attribute { key, value } in attributes {
        assert!(key.len() <= limits.key_length);
        assert!(check_value(value, limits.depth) <= limits.value_length);
    }
}

/// Its bytes, as the limits count them.
fn check_value(value: &Value, depth: usize) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) => {
            let depth = depth.checked_sub(1).expect("a value that is not nested too deep");
            values.iter().map(|value| 8 + check_value(value, depth)).sum()
        }
        Value::Map(entries) => {
            let depth = depth.checked_sub(1).expect("a value that is not nested too deep");
            entries.iter().map(|entry| 8 + entry.key.len() + check_value(&entry.value, depth)).sum()
        }
        Value::Empty | Value::Bool(_) | Value::Int(_) | Value::Double(_) => 0,
    }
}
