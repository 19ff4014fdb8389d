//! OTLP JSON, against the documents of the protocol and against `opentelemetry-proto`'s own JSON.

use crate::{
    messages::{Doubles, assert_same, grouped, logs, logs_of, spans_of, traces},
    protobuf::full_span,
};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use waypost_trace_model::{
    Kind, Limits, LogRecord, Resource, Scope, Span, StatusCode, Value,
    otlp::{self, DecodeError},
};

fn spans_from(json: &serde_json::Value) -> Vec<Span> {
    let batch = otlp::traces_from_json(json.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(batch.refused, []);
    batch.spans
}

/// A request with one span of these fields, and valid ids unless the fields have others.
fn with_fields(fields: serde_json::Value) -> serde_json::Value {
    let mut span = json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"});
    let (Some(span_fields), serde_json::Value::Object(fields)) = (span.as_object_mut(), fields) else {
        panic!()
    };
    span_fields.extend(fields);
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
}

fn one(fields: serde_json::Value) -> Span {
    spans_from(&with_fields(fields)).remove(0)
}

fn fault(fields: serde_json::Value) -> String {
    match otlp::traces_from_json(with_fields(fields).to_string().as_bytes(), &Limits::default()) {
        Err(DecodeError::Malformed(why)) => why,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn spans_come_back_from_json_as_they_went(request in traces(Doubles::Any)) {
        let spans = spans_of(&request);
        let json = otlp::traces_to_json(&spans);
        assert_same(&spans_from(&json), &grouped(&spans, |span| (&span.resource, &span.scope)));
    }

    #[test]
    fn the_json_of_other_senders_is_understood(request in traces(Doubles::Finite)) {
        let json = serde_json::to_value(&request).unwrap();
        assert_same(&spans_from(&json), &spans_of(&request));
    }

    #[test]
    fn our_json_is_understood_by_others(request in traces(Doubles::Finite)) {
        let spans = spans_of(&request);
        let read: ExportTraceServiceRequest = serde_json::from_value(otlp::traces_to_json(&spans)).unwrap();
        assert_same(&spans_of(&read), &grouped(&spans, |span| (&span.resource, &span.scope)));
    }

    #[test]
    fn log_records_come_back_from_json_as_they_went(request in logs(Doubles::Any)) {
        let records = logs_of(&request);
        let json = otlp::logs_to_json(&records).to_string();
        let batch = otlp::logs_from_json(json.as_bytes(), &Limits::default()).unwrap();
        assert_same(&batch.logs, &grouped(&records, |record| (&record.resource, &record.scope)));
    }

    #[test]
    fn our_json_of_log_records_is_understood_by_others(request in logs(Doubles::Finite)) {
        let records = logs_of(&request);
        let read: ExportLogsServiceRequest = serde_json::from_value(otlp::logs_to_json(&records)).unwrap();
        assert_same(&logs_of(&read), &grouped(&records, |record| (&record.resource, &record.scope)));
    }
}

fn full_span_json() -> serde_json::Value {
    json!({"resourceSpans": [{
        "resource": {
            "attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}],
            "droppedAttributesCount": 6,
        },
        "schemaUrl": "https://r",
        "scopeSpans": [{
            "scope": {
                "name": "lib",
                "version": "1.0",
                "attributes": [{"key": "sk", "value": {"doubleValue": -0.0}}],
                "droppedAttributesCount": 7,
            },
            "schemaUrl": "https://s",
            "spans": [{
                "traceId": "5b8efff798038103d269b633813fc60c",
                "spanId": "eee19b7ec3c1b174",
                "parentSpanId": "eee19b7ec3c1b173",
                "traceState": "a=b",
                "flags": 257,
                "name": "GET /",
                "kind": 2,
                "startTimeUnixNano": "1544712660000000001",
                "endTimeUnixNano": "1544712661000000002",
                "status": {"message": "no", "code": 2},
                "attributes": [
                    {"key": "s", "value": {"stringValue": "é"}},
                    {"key": "b", "value": {"boolValue": false}},
                    {"key": "i", "value": {"intValue": "-9223372036854775808"}},
                    {"key": "d", "value": {"doubleValue": 1.5}},
                    {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "-1"}, {}, {"stringValue": "x"}]}}},
                    {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"bytesValue": "AP8="}}]}}},
                    {"key": "e", "value": {}},
                ],
                "droppedAttributesCount": 1,
                "events": [{
                    "timeUnixNano": "5",
                    "name": "ev",
                    "attributes": [{"key": "ek", "value": {"intValue": "7"}}],
                    "droppedAttributesCount": 2,
                }],
                "droppedEventsCount": 3,
                "links": [{
                    "traceId": "0000000000000000000000000000000a",
                    "spanId": "000000000000000b",
                    "traceState": "c=d",
                    "flags": 768,
                    "attributes": [{"key": "lk", "value": {"boolValue": true}}],
                    "droppedAttributesCount": 4,
                }],
                "droppedLinksCount": 5,
            }],
        }],
    }]})
}

#[test]
fn a_span_with_every_field_is_exactly_this_json() {
    assert_eq!(otlp::traces_to_json(&[full_span()]), full_span_json());
    assert_eq!(spans_from(&full_span_json()), [full_span()]);
}

#[test]
fn a_log_record_with_every_field_is_exactly_this_json() {
    let json = json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}], "droppedAttributesCount": 6},
        "schemaUrl": "https://r",
        "scopeLogs": [{
            "scope": {},
            "logRecords": [{
                "timeUnixNano": "1544712660300000000",
                "observedTimeUnixNano": "1544712660300000001",
                "severityNumber": 10,
                "severityText": "Information",
                "body": {"stringValue": "Example log record"},
                "eventName": "shop.event",
                "attributes": [{"key": "n", "value": {"intValue": "10"}}],
                "droppedAttributesCount": 2,
                "flags": 1,
                "traceId": "5b8efff798038103d269b633813fc60c",
                "spanId": "eee19b7ec3c1b174",
            }],
        }],
    }]});
    let record = LogRecord {
        time: 1_544_712_660_300_000_000,
        observed: 1_544_712_660_300_000_001,
        severity: 10,
        severity_text: "Information".into(),
        body: Value::Text("Example log record".into()),
        event_name: "shop.event".into(),
        attributes: vec![waypost_trace_model::Attribute { key: "n".into(), value: Value::Int(10) }],
        dropped_attributes: 2,
        flags: 1,
        trace_id: Some(full_span().trace_id),
        span_id: Some(full_span().span_id),
        resource: full_span().resource,
        scope: Arc::new(Scope::default()),
    };
    assert_eq!(otlp::logs_to_json(std::slice::from_ref(&record)), json);
    let batch = otlp::logs_from_json(json.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(batch.logs, std::slice::from_ref(&record));
    let by_name =
        json.to_string().replace("\"severityNumber\":10", "\"severityNumber\":\"SEVERITY_NUMBER_INFO2\"");
    assert_eq!(otlp::logs_from_json(by_name.as_bytes(), &Limits::default()).unwrap().logs, [record]);
}

#[test]
fn nothing_is_an_empty_request() {
    assert_eq!(otlp::traces_to_json(&[]), json!({"resourceSpans": []}));
    assert_eq!(otlp::logs_to_json(&[]), json!({"resourceLogs": []}));
    assert_eq!(spans_from(&json!({})), []);
    assert_eq!(spans_from(&json!({"resourceLogs": [{"resource": 1}], "resourceSpans": null})), []);
}

#[test]
fn names_may_be_in_snake_case_and_in_any_order() {
    let fields = json!({
        "trace_state": "t", "parent_span_id": "0000000000000001", "start_time_unix_nano": 7, "end_time_unix_nano": "8",
        "dropped_attributes_count": 1, "dropped_events_count": 2, "dropped_links_count": 3,
        "events": [{"time_unix_nano": 9, "dropped_attributes_count": 4}],
        "links": [{"trace_id": "0000000000000000000000000000000a", "span_id": "000000000000000b", "trace_state": "u"}],
        "attributes": [{"key": "a", "value": {"kvlist_value": {"values": [{"key": "k", "value": {"int_value": 5}}]}}}],
        "trace_id": "0000000000000000000000000000000c", "span_id": "000000000000000d", "kind": 3,
    });
    // The groups stand before what they are groups of.
    let text = format!(
        r#"{{"resource_spans": [{{"scope_spans": [{{"spans": [{fields}], "schema_url": "s", "scope": {{"name": "n"}}}}],
            "resource": {{"attributes": [{{"key": "service.name", "value": {{"string_value": "svc"}}}}]}}, "schema_url": "r"}}]}}"#
    );
    let span = otlp::traces_from_json(text.as_bytes(), &Limits::default()).unwrap().spans.remove(0);
    assert_eq!((&*span.trace_state, span.start, span.end, span.kind), ("t", 7, 8, Kind::Client));
    assert_eq!((span.dropped_attributes, span.dropped_events, span.dropped_links), (1, 2, 3));
    assert_eq!(
        (span.events[0].time, span.events[0].dropped_attributes, &*span.links[0].trace_state),
        (9, 4, "u")
    );
    assert_eq!(span.attributes[0].value.to_string(), r#"{"k":5}"#);
    assert_eq!(
        (span.trace_id.to_string().as_str(), span.span_id.to_string().as_str()),
        ("0000000000000000000000000000000c", "000000000000000d")
    );
    assert_eq!(span.parent_span_id.unwrap().to_string(), "0000000000000001");
    assert_eq!((&**span.service(), &*span.resource.schema_url), ("svc", "r"));
    assert_eq!((&*span.scope.name, &*span.scope.schema_url), ("n", "s"));
}

#[test]
fn numbers_may_be_texts_and_enums_may_be_names() {
    let span = one(json!({"startTimeUnixNano": u64::MAX, "endTimeUnixNano": 1.5e18, "flags": "255",
        "kind": "SPAN_KIND_CONSUMER", "status": {"code": "STATUS_CODE_OK"}}));
    assert_eq!((span.start, span.end, span.flags), (u64::MAX, 1_500_000_000_000_000_000, 255));
    assert_eq!((span.kind, span.status.code), (Kind::Consumer, StatusCode::Ok));
    assert_eq!(one(json!({"kind": "4"})).kind, Kind::Producer);
    assert_eq!(one(json!({"kind": "SPAN_KIND_OF_MINE"})).kind, Kind::Unspecified);
    assert_eq!(one(json!({"kind": -1, "status": {"code": 99}})).status.code, StatusCode::Unset);
}

fn value(json: &serde_json::Value) -> Value {
    one(json!({"attributes": [{"key": "k", "value": json}]})).attributes.remove(0).value
}

#[test]
fn values_come_in_every_form_that_protobuf_allows() {
    assert_eq!(value(&json!({"intValue": "-9223372036854775808"})), Value::Int(i64::MIN));
    assert_eq!(value(&json!({"intValue": i64::MAX})), Value::Int(i64::MAX));
    assert_eq!(value(&json!({"intValue": -3.0})), Value::Int(-3));
    assert_eq!(value(&json!({"doubleValue": 3})), Value::Double(3.0));
    assert_eq!(value(&json!({"doubleValue": "2.5"})), Value::Double(2.5));
    assert_eq!(value(&json!({"doubleValue": "-Infinity"})), Value::Double(f64::NEG_INFINITY));
    assert!(matches!(value(&json!({"doubleValue": "NaN"})), Value::Double(number) if number.is_nan()));
    let bytes = Value::Bytes(Bytes::from_static(&[0xfb, 0xff]));
    for base64 in ["+/8=", "-_8=", "+/8", "-_8"] {
        assert_eq!(value(&json!({"bytesValue": base64})), bytes, "{base64}");
    }
    assert_eq!(value(&json!({"arrayValue": {}})), Value::Array([].into()));
    assert_eq!(value(&json!({"kvlistValue": {"values": null}})), Value::Map([].into()));
    for nothing in [json!(null), json!({}), json!({"stringValue": null}), json!({"arrayValue": null})] {
        assert_eq!(value(&nothing), Value::Empty);
    }
}

#[test]
fn the_last_digits_of_a_double_are_kept() {
    for number in [0.1 + 0.2, 5e-324, f64::MAX, 2.225_073_858_507_201_4e-308, 1.0 / 3.0] {
        let span = Span {
            attributes: vec![waypost_trace_model::Attribute {
                key: "k".into(),
                value: Value::Double(number),
            }],
            ..full_span()
        };
        assert_eq!(spans_from(&otlp::traces_to_json(&[span]))[0].attributes[0].value, Value::Double(number));
    }
}

#[test]
fn null_is_the_same_as_no_field() {
    let names = [
        "traceState",
        "flags",
        "name",
        "kind",
        "startTimeUnixNano",
        "status",
        "attributes",
        "events",
        "links",
        "parentSpanId",
        "droppedLinksCount",
    ];
    let nulls: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!(null))).collect();
    assert_eq!(one(nulls.into()), one(json!({})));
}

#[test]
fn ids_are_hex_of_any_case_and_base64_is_refused_with_a_word_about_it() {
    let span = one(json!({"traceId": "5B8EFFF798038103D269B633813FC60C", "parentSpanId": ""}));
    assert_eq!(
        (span.trace_id.to_string().as_str(), span.parent_span_id),
        ("5b8efff798038103d269b633813fc60c", None)
    );
    assert_eq!(one(json!({"parentSpanId": "0000000000000000"})).parent_span_id, None);
    for (name, base64) in
        [("traceId", "W47/95gDgQPSabYzgT/GDA=="), ("spanId", "7uGbfsPBsXQ="), ("spanId", "7uGbfsPBsXQ")]
    {
        let why = fault(json!({name: base64}));
        assert!(
            why.starts_with(
                "an id that is not in hex digits; OTLP JSON has ids in hex, not in base64 at line 1"
            ),
            "{why}"
        );
    }
}

#[test]
fn half_a_surrogate_pair_and_bytes_that_are_no_unicode_are_mended() {
    let text = with_fields(json!({"name": "NAME", "traceState": "STATE"})).to_string();
    let bytes = text.replace("NAME", "a\\ud800b").into_bytes();
    let place = bytes.windows(5).position(|window| window == b"STATE").unwrap();
    let bytes = [&bytes[..place], b"x\xffy", &bytes[place + 5..]].concat();
    let span = otlp::traces_from_json(&bytes, &Limits::default()).unwrap().spans.remove(0);
    assert_eq!((&*span.name, &*span.trace_state), ("a\u{fffd}\u{fffd}\u{fffd}b", "x\u{fffd}y"));
}

#[test]
fn what_is_no_request_says_where_and_why() {
    let why = |text: &str| match otlp::traces_from_json(text.as_bytes(), &Limits::default()) {
        Err(DecodeError::Malformed(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(""), "EOF while parsing a value at line 1 column 0");
    assert_eq!(why("[]"), "invalid type: sequence, expected an object at line 1 column 0");
    assert_eq!(why("{} x"), "trailing characters at line 1 column 4");
    assert_eq!(
        why(r#"{"resourceSpans": 1}"#),
        "invalid type: integer `1`, expected an array at line 1 column 19"
    );
    assert_eq!(why(r#"{"resourceSpans": [{"#), "EOF while parsing an object at line 1 column 20");
    assert!(
        fault(json!({"startTimeUnixNano": "-1"})).starts_with("a number that is not whole, or out of range")
    );
    assert!(
        fault(json!({"startTimeUnixNano": 1.5})).starts_with("a number that is not whole, or out of range")
    );
    assert!(
        fault(json!({"flags": 4_294_967_296_u64})).starts_with("a number that is not whole, or out of range")
    );
    assert!(fault(json!({"name": 1})).starts_with("invalid type: integer `1`, expected a string"));
    let bytes = json!({"attributes": [{"key": "k", "value": {"bytesValue": "A"}}]});
    assert!(fault(bytes).starts_with("bytes that are not base64"));
}

#[test]
fn a_resource_without_a_service_is_unknown() {
    assert_eq!(&**one(json!({})).service(), Resource::UNKNOWN_SERVICE);
}

#[test]
fn a_whole_number_within_quotes_may_have_an_exponent() {
    let span = one(json!({
        "startTimeUnixNano": "1.79e18", "endTimeUnixNano": "1790000000000000001e0",
        "attributes": [{"key": "n", "value": {"intValue": "1e3"}}, {"key": "m", "value": {"intValue": "-25.0"}}],
    }));
    assert_eq!((span.start, span.end), (1_790_000_000_000_000_000, 1_790_000_000_000_000_001));
    let values: Vec<&Value> = span.attributes.iter().map(|attribute| &attribute.value).collect();
    assert_eq!(values, [&Value::Int(1000), &Value::Int(-25)]);
    for text in ["1e-1", "1.5", "1e99", "e1"] {
        assert!(fault(json!({"startTimeUnixNano": text})).contains("not whole"), "{text}");
    }
}

#[test]
fn a_failure_by_its_short_name_is_a_failure() {
    for (code, expected) in [
        ("ERROR", StatusCode::Error),
        ("error", StatusCode::Error),
        ("OK", StatusCode::Ok),
        ("nonsense", StatusCode::Unset),
    ] {
        assert_eq!(one(json!({"status": {"code": code}})).status.code, expected, "{code}");
    }
    assert_eq!(one(json!({"kind": "SERVER"})).kind, Kind::Server);
}
