//! What is beyond the limits, or has no valid ids, is left out and accounted for; the rest of the request is kept.

use crate::protobuf::full_span;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use prost::Message;
use waypost_trace_model::{
    Batch, Limits, LogRecord, Refusal, RefusalReason, Scope, Text, TraceId, Value, otlp,
};

const LIMITS: Limits = Limits {
    attributes: 2,
    key_length: 4,
    value_length: 32,
    depth: 2,
    text_length: 5,
    events: 1,
    links: 1,
    records: 4,
    parts: 12,
};

fn trace(number: u8) -> Vec<u8> {
    vec![number; 16]
}

fn span(number: u8) -> Span {
    Span { trace_id: trace(number), span_id: vec![number; 8], ..Span::default() }
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }
}

fn array(values: Vec<AnyValue>) -> AnyValue {
    AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values })) }
}

fn map(key: &str, value: AnyValue) -> AnyValue {
    let values = vec![attribute(key, value)];
    AnyValue { value: Some(any_value::Value::KvlistValue(KeyValueList { values })) }
}

fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn service(name: &str) -> Resource {
    Resource { attributes: vec![attribute("service.name", text(name))], ..Resource::default() }
}

fn request(groups: Vec<(Option<Resource>, Vec<Span>)>) -> ExportTraceServiceRequest {
    let group = |(resource, spans)| ResourceSpans {
        resource,
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: groups.into_iter().map(group).collect() }
}

/// Decodes the request from both formats and checks that they agree.
fn decode(request: &ExportTraceServiceRequest, limits: &Limits) -> Batch {
    let bytes = request.encode_to_vec().into();
    let batch = otlp::traces_from_protobuf(&bytes, limits).unwrap();
    let json = serde_json::to_vec(&request).unwrap();
    let from_json = otlp::traces_from_json(&json, limits).unwrap();
    assert_eq!(from_json.spans, batch.spans);
    assert_eq!(from_json.refused, batch.refused);
    assert_eq!(batch.wire.is_some(), batch.refused.is_empty());
    batch
}

fn refusal(service: &str, trace: Option<u8>, reason: RefusalReason, spans: u64) -> Refusal {
    let trace_id = trace.map(|number| TraceId::from_bytes(&[number; 16]).unwrap());
    Refusal { service: Text::from(service), trace_id, reason, spans, logs: 0 }
}

fn names(batch: &Batch) -> Vec<u8> {
    batch.spans.iter().map(|span| span.span_id.as_bytes()[0]).collect()
}

/// `LIMITS` without those of keys, so that `service.name` is one.
fn limits() -> Limits {
    Limits { key_length: 12, ..LIMITS }
}

#[test]
fn what_is_just_within_every_limit_is_kept() {
    let values = vec![text("1234"), map("1234", AnyValue::default())];
    let event = span::Event { name: "12345".to_owned(), ..span::Event::default() };
    let link = span::Link { trace_id: trace(9), span_id: vec![9; 8], ..span::Link::default() };
    let full = Span {
        name: "12345".to_owned(),
        trace_state: "12345".to_owned(),
        status: Some(Status { message: "12345".to_owned(), code: 0 }),
        attributes: vec![attribute("1234", array(values)), attribute("", text(&"x".repeat(32)))],
        events: vec![event],
        links: vec![link],
        ..span(1)
    };
    // 2 attributes, 3 parts of values, 1 event, 1 link.
    let limits = Limits { parts: 7, ..LIMITS };
    let batch = decode(&request(vec![(None, vec![full])]), &limits);
    assert_eq!((batch.spans.len(), batch.refused), (1, vec![]));
}

#[test]
fn what_is_just_beyond_one_limit_is_refused_for_it_alone() {
    let with_value = |value| Span { attributes: vec![attribute("k", value)], ..span(1) };
    let long = "123456".to_owned();
    let event = |name: &str| span::Event { name: name.to_owned(), ..span::Event::default() };
    let link = span::Link { trace_id: trace(9), span_id: vec![9; 8], ..span::Link::default() };
    let cases = [
        ("name", Span { name: long.clone(), ..span(1) }, RefusalReason::AttributeLimit),
        ("trace state", Span { trace_state: long.clone(), ..span(1) }, RefusalReason::AttributeLimit),
        (
            "status",
            Span { status: Some(Status { message: long.clone(), code: 2 }), ..span(1) },
            RefusalReason::AttributeLimit,
        ),
        ("event name", Span { events: vec![event(&long)], ..span(1) }, RefusalReason::AttributeLimit),
        (
            "attributes",
            Span { attributes: vec![attribute("k", text("v")); 3], ..span(1) },
            RefusalReason::AttributeLimit,
        ),
        (
            "key",
            Span { attributes: vec![attribute("12345", text("v"))], ..span(1) },
            RefusalReason::AttributeLimit,
        ),
        ("value", with_value(text(&"x".repeat(33))), RefusalReason::AttributeLimit),
        ("value of U+FFFD", with_value(text(&"\u{fffd}".repeat(11))), RefusalReason::AttributeLimit),
        ("parts of a value", with_value(array(vec![AnyValue::default(); 5])), RefusalReason::AttributeLimit),
        ("text in a value", with_value(array(vec![text(&"x".repeat(25))])), RefusalReason::AttributeLimit),
        ("key in a value", with_value(map("12345", text(""))), RefusalReason::AttributeLimit),
        ("depth", with_value(array(vec![array(vec![array(vec![])])])), RefusalReason::AttributeLimit),
        ("depth of maps", with_value(map("", map("", map("", text(""))))), RefusalReason::AttributeLimit),
        ("events", Span { events: vec![event(""); 2], ..span(1) }, RefusalReason::PartLimit),
        ("links", Span { links: vec![link; 2], ..span(1) }, RefusalReason::PartLimit),
    ];
    for (what, bad, reason) in cases {
        let batch = decode(&request(vec![(None, vec![span(2), bad, span(3)])]), &LIMITS);
        assert_eq!(names(&batch), [2, 3], "{what}");
        assert_eq!(batch.refused, [refusal("unknown_service", Some(1), reason, 1)], "{what}");
    }
}

#[test]
fn spans_without_valid_ids_are_refused() {
    let spans = vec![
        Span { trace_id: vec![], ..span(1) },
        Span { trace_id: vec![0; 16], ..span(1) },
        Span { trace_id: vec![1; 15], ..span(1) },
        Span { span_id: vec![], ..span(2) },
        Span { span_id: vec![0; 8], ..span(2) },
        Span { span_id: vec![1; 9], ..span(2) },
        Span { parent_span_id: vec![1; 4], ..span(3) },
        Span { parent_span_id: vec![0; 8], ..span(4) },
    ];
    let limits = Limits { records: 8, ..limits() };
    let batch = decode(&request(vec![(Some(service("a")), spans)]), &limits);
    assert_eq!(names(&batch), [4]);
    assert_eq!(
        batch.refused,
        [
            refusal("a", None, RefusalReason::InvalidId, 3),
            refusal("a", Some(2), RefusalReason::InvalidId, 3),
            refusal("a", Some(3), RefusalReason::InvalidId, 1),
        ]
    );
}

#[test]
fn there_is_one_refusal_for_each_service_trace_and_reason() {
    let long = |number| Span { name: "123456".to_owned(), ..span(number) };
    let request = request(vec![
        (Some(service("a")), vec![long(1), Span { events: vec![span::Event::default(); 2], ..span(1) }]),
        (Some(service("b")), vec![long(1)]),
        (Some(service("a")), vec![long(1), long(2)]),
    ]);
    let batch = decode(&request, &Limits { records: 5, ..limits() });
    assert_eq!(
        batch.refused,
        [
            refusal("a", Some(1), RefusalReason::AttributeLimit, 2),
            refusal("a", Some(1), RefusalReason::PartLimit, 1),
            refusal("b", Some(1), RefusalReason::AttributeLimit, 1),
            refusal("a", Some(2), RefusalReason::AttributeLimit, 1),
        ]
    );
}

#[test]
fn a_resource_beyond_the_limits_refuses_all_its_spans_and_no_others() {
    let mut large = service("a");
    large.attributes.splice(0..0, vec![attribute("k", text("")); 2]);
    let batch = decode(
        &request(vec![(Some(large), vec![span(1), span(2)]), (Some(service("b")), vec![span(3)])]),
        &limits(),
    );
    assert_eq!(names(&batch), [3]);
    let of = |trace| refusal("a", Some(trace), RefusalReason::AttributeLimit, 1);
    assert_eq!(batch.refused, [of(1), of(2)]);
}

#[test]
fn a_scope_beyond_the_limits_refuses_all_its_spans_and_no_others() {
    let mut request = request(vec![(Some(service("a")), vec![span(1)])]);
    let scope = InstrumentationScope { name: "123456".to_owned(), ..InstrumentationScope::default() };
    let spans = vec![span(2), Span { trace_id: vec![], ..span(3) }];
    request.resource_spans[0]
        .scope_spans
        .insert(0, ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() });
    let batch = otlp::traces_from_protobuf(&request.encode_to_vec().into(), &limits()).unwrap();
    assert_eq!(names(&batch), [1]);
    let of = |trace| refusal("a", trace, RefusalReason::AttributeLimit, 1);
    assert_eq!(batch.refused, [of(Some(2)), of(None)]);
    let from_json = otlp::traces_from_json(&serde_json::to_vec(&request).unwrap(), &limits()).unwrap();
    assert_eq!(names(&from_json), [1]);
    assert_eq!(from_json.refused.iter().map(|refusal| refusal.spans).sum::<u64>(), 2);
}

#[test]
fn a_request_with_too_many_records_is_refused_whole() {
    let spans = vec![span(1), span(2), Span { trace_id: vec![], ..span(3) }, span(4), span(5)];
    let request = request(vec![(None, spans)]);
    let expected = otlp::DecodeError::TooManyRecords { limit: 4 };
    assert_eq!(otlp::traces_from_protobuf(&request.encode_to_vec().into(), &LIMITS).unwrap_err(), expected);
    assert_eq!(
        otlp::traces_from_json(&serde_json::to_vec(&request).unwrap(), &LIMITS).unwrap_err(),
        expected
    );
    assert_eq!(expected.to_string(), "more than 4 records in one request; send smaller batches");
}

#[test]
fn a_span_that_is_refused_gives_back_the_room_that_its_parts_took() {
    let large = |number| Span { attributes: vec![attribute("k", array(vec![text(""); 3]))], ..span(number) };
    let bad = Span { parent_span_id: vec![1], ..large(2) };
    // Room for three such spans, of four parts each, and nothing else.
    let batch = decode(&request(vec![(None, vec![large(1), bad, large(3), large(4)])]), &LIMITS);
    assert_eq!(names(&batch), [1, 3, 4]);
    assert_eq!(batch.refused, [refusal("unknown_service", Some(2), RefusalReason::InvalidId, 1)]);
    let limits = Limits { parts: 11, ..LIMITS };
    let batch = decode(&request(vec![(None, vec![large(1), large(2), large(3), span(4)])]), &limits);
    assert_eq!(names(&batch), [1, 2, 4]);
    assert_eq!(batch.refused, [refusal("unknown_service", Some(3), RefusalReason::AttributeLimit, 1)]);
}

#[test]
fn links_without_valid_ids_are_counted_as_dropped() {
    let link = span::Link { trace_id: trace(9), span_id: vec![9; 8], ..span::Link::default() };
    let links = vec![
        span::Link { trace_id: vec![], ..link.clone() },
        link.clone(),
        span::Link { span_id: vec![0; 8], ..link },
    ];
    let batch =
        decode(&request(vec![(None, vec![Span { links, dropped_links_count: 5, ..span(1) }])]), &LIMITS);
    assert_eq!((batch.spans[0].links.len(), batch.spans[0].dropped_links), (1, 7));
}

#[test]
fn without_limits_only_the_depth_is_bounded() {
    let nested = |depth: usize| (0..depth).fold(text(""), |inner, _| array(vec![inner]));
    let spans = [Limits::DEEPEST, Limits::DEEPEST + 1].map(|depth| Span {
        attributes: vec![attribute("k", nested(depth))],
        ..span(u8::try_from(depth).unwrap())
    });
    let batch =
        decode(&request(vec![(None, spans.to_vec())]), &Limits { depth: usize::MAX, ..Limits::none() });
    assert_eq!(names(&batch), [24]);
    assert_eq!(batch.refused, [refusal("unknown_service", Some(25), RefusalReason::AttributeLimit, 1)]);
}

#[test]
fn log_records_may_have_no_ids_but_not_wrong_ones() {
    let span = full_span();
    let log = LogRecord {
        time: 1,
        observed: 0,
        severity: 0,
        severity_text: Text::new(),
        body: Value::Empty,
        event_name: Text::new(),
        attributes: vec![],
        dropped_attributes: 0,
        flags: 0,
        trace_id: Some(span.trace_id),
        span_id: None,
        resource: span.resource,
        scope: std::sync::Arc::new(Scope::default()),
    };
    let good = otlp::logs_to_protobuf(std::slice::from_ref(&log));
    assert_eq!(otlp::logs_from_protobuf(&good, &Limits::default()).unwrap().logs, std::slice::from_ref(&log));
    let json = otlp::logs_to_json(std::slice::from_ref(&log)).to_string();
    let bad = json.replace("\"timeUnixNano\"", "\"spanId\":\"abcd\",\"timeUnixNano\"");
    let batch = otlp::logs_from_json(bad.as_bytes(), &Limits::default()).unwrap();
    let expected = Refusal {
        service: "shop".into(),
        trace_id: log.trace_id,
        reason: RefusalReason::InvalidId,
        spans: 0,
        logs: 1,
    };
    assert_eq!((batch.logs, batch.refused), (vec![], vec![expected]));
}
