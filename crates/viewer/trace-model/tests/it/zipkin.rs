//! Zipkin v2 JSON, in and out.

use crate::protobuf::full_span;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use waypost_trace_model::{
    Attribute, Batch, Event, Kind, Limits, RefusalReason, Resource, Scope, Span, Status, StatusCode, TraceId,
    Value, otlp::DecodeError, zipkin,
};

fn decode(json: &Json) -> Batch {
    zipkin::spans_from_json(json.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn spans(json: &Json) -> Vec<Span> {
    let batch = decode(json);
    assert_eq!((batch.refused, batch.wire), (vec![], None));
    batch.spans
}

/// A span of these fields, and valid ids unless the fields have others.
fn with_fields(fields: Json) -> Json {
    let mut span = json!({"traceId": "5982fe77008310cc80f1da5e10147517", "id": "90394f6bcffb5d13"});
    let (Some(span_fields), Json::Object(fields)) = (span.as_object_mut(), fields) else { panic!() };
    span_fields.extend(fields);
    span
}

fn one(fields: Json) -> Span {
    spans(&json!([with_fields(fields)])).remove(0)
}

fn text(key: &str, value: &str) -> Attribute {
    Attribute { key: key.into(), value: Value::Text(value.into()) }
}

/// Both halves of a call, as a client and a server of Zipkin's own libraries report it: one id for two spans.
fn call() -> Json {
    json!([
        {
            "traceId": "000000000000000000000000000000ab", "parentId": "6b221d5bc9e6496c", "id": "352bff9a74ca9ad2",
            "kind": "CLIENT", "name": "get /api", "timestamp": 1_556_604_172_355_737_u64, "duration": 1431,
            "localEndpoint": {"serviceName": "frontend", "ipv4": "192.168.99.1", "port": 3306},
            "remoteEndpoint": {"serviceName": "backend", "ipv4": "172.19.0.2", "ipv6": "2001:db8::2", "port": 58648},
            "annotations": [{"timestamp": 1_556_604_172_355_800_u64, "value": "ws"}],
            "tags": {"http.method": "GET", "error": "503 from there"},
        },
        {
            "traceId": "000000000000000000000000000000ab", "parentId": "6b221d5bc9e6496c", "id": "352bff9a74ca9ad2",
            "kind": "SERVER", "timestamp": 1_556_604_172_355_900_u64, "duration": 1000, "shared": true, "debug": true,
            "localEndpoint": {"serviceName": "backend", "ipv6": "2001:db8::2"},
        },
    ])
}

#[test]
fn both_halves_of_a_shared_span_are_kept_and_come_back_as_they_were() {
    let found = spans(&call());
    let origin = |service: &str| {
        let resource = Resource::new(vec![text("service.name", service)], 0, "".into());
        (Arc::new(resource), Arc::new(Scope { schema_url: zipkin::SCHEMA_URL.into(), ..Scope::default() }))
    };
    let (resource, scope) = origin("frontend");
    let client = Span {
        trace_id: "ab".parse().unwrap(),
        span_id: "352bff9a74ca9ad2".parse().unwrap(),
        parent_span_id: Some("6b221d5bc9e6496c".parse().unwrap()),
        trace_state: "".into(),
        flags: 0,
        name: "get /api".into(),
        kind: Kind::Client,
        start: 1_556_604_172_355_737_000,
        end: 1_556_604_172_357_168_000,
        status: Status { code: StatusCode::Error, message: "503 from there".into() },
        attributes: vec![
            text("error", "503 from there"),
            text("http.method", "GET"),
            text("network.local.address", "192.168.99.1"),
            Attribute { key: "network.local.port".into(), value: Value::Int(3306) },
            text("peer.service", "backend"),
            text("network.peer.address", "172.19.0.2"),
            Attribute { key: "network.peer.port".into(), value: Value::Int(58648) },
            text("zipkin.remote.ipv6", "2001:db8::2"),
        ],
        dropped_attributes: 0,
        events: vec![Event {
            time: 1_556_604_172_355_800_000,
            name: "ws".into(),
            attributes: vec![],
            dropped_attributes: 0,
        }],
        dropped_events: 0,
        links: vec![],
        dropped_links: 0,
        resource,
        scope: Arc::clone(&scope),
    };
    let (resource, _) = origin("backend");
    let server = Span {
        name: "".into(),
        kind: Kind::Server,
        start: 1_556_604_172_355_900_000,
        end: 1_556_604_172_356_900_000,
        status: Status::default(),
        attributes: vec![
            text("network.local.address", "2001:db8::2"),
            Attribute { key: "zipkin.debug".into(), value: Value::Bool(true) },
            Attribute { key: "zipkin.shared".into(), value: Value::Bool(true) },
        ],
        events: vec![],
        resource,
        ..client.clone()
    };
    assert_eq!(found, [client, server]);
    assert_eq!(zipkin::spans_to_json(&found), call());
}

#[test]
fn short_ids_are_padded_and_wrong_ones_refused() {
    let span = one(json!({"traceId": "BF", "id": "1", "parentId": ""}));
    assert_eq!(span.trace_id.to_string(), "000000000000000000000000000000bf");
    assert_eq!((span.span_id.to_string().as_str(), span.parent_span_id), ("0000000000000001", None));
    assert_eq!(one(json!({"parentId": "0000000000000000"})).parent_span_id, None);
    for wrong in [
        json!({"traceId": null}),
        json!({"traceId": "0"}),
        json!({"traceId": "123456789012345678901234567890123"}),
        json!({"id": "xyz"}),
        json!({"id": "12345678901234567"}),
        json!({"parentId": "no"}),
    ] {
        let mut span = with_fields(wrong.clone());
        span["localEndpoint"] = json!({"serviceName": "svc"});
        let batch = decode(&json!([span, with_fields(json!({}))]));
        assert_eq!((batch.spans.len(), batch.refused.len()), (1, 1), "{wrong}");
        let refusal = &batch.refused[0];
        assert_eq!((&*refusal.service, refusal.reason, refusal.spans), ("svc", RefusalReason::InvalidId, 1));
        assert_eq!(refusal.trace_id.is_some(), wrong.get("traceId").is_none());
    }
}

#[test]
fn a_span_without_times_or_endpoints_is_kept() {
    let span = one(json!({"name": null, "kind": null, "tags": null, "localEndpoint": null, "duration": 7}));
    assert_eq!(
        (span.start, span.end, span.kind, &**span.service()),
        (0, 7000, Kind::Unspecified, "unknown_service")
    );
    assert_eq!(zipkin::spans_to_json(&[span]), json!([with_fields(json!({"duration": 7}))]));
}

#[test]
fn failure_is_what_zipkin_or_an_exporter_of_opentelemetry_says() {
    let status = |tags: Json| {
        let Status { code, message } = one(json!({"tags": tags})).status;
        (code, message.to_string())
    };
    assert_eq!(status(json!({"error": "boom"})), (StatusCode::Error, "boom".to_owned()));
    assert_eq!(status(json!({"error": ""})), (StatusCode::Error, String::new()));
    assert_eq!(status(json!({"error": true})), (StatusCode::Error, String::new()));
    assert_eq!(status(json!({"error": "false"})), (StatusCode::Unset, String::new()));
    assert_eq!(
        status(json!({"error": "x", "otel.status_code": "ERROR"})),
        (StatusCode::Error, "x".to_owned())
    );
    assert_eq!(status(json!({"otel.status_code": "OK"})), (StatusCode::Ok, String::new()));
    assert_eq!(status(json!({})), (StatusCode::Unset, String::new()));
    let limits = Limits { text_length: 3, ..Limits::default() };
    let json = json!([with_fields(json!({"tags": {"error": "né non"}}))]).to_string();
    let span = zipkin::spans_from_json(json.as_bytes(), &limits).unwrap().spans.remove(0);
    assert_eq!((&*span.status.message, &span.attributes[0]), ("né", &text("error", "né non")));
}

#[test]
fn the_library_that_an_exporter_names_is_the_scope() {
    let span = one(json!({"tags": {"otel.scope.name": "lib", "otel.scope.version": "2"}}));
    assert_eq!((&*span.scope.name, &*span.scope.version), ("lib", "2"));
}

#[test]
fn tags_that_are_numbers_become_texts() {
    let span = one(json!({"timestamp": 1, "tags": {"a": 1, "b": -1, "c": 1.5, "d": false, "e": null}}));
    assert_eq!(span.attributes, [text("a", "1"), text("b", "-1"), text("c", "1.5"), text("d", "false")]);
}

#[test]
fn a_tag_with_the_name_of_a_part_of_an_endpoint_stays_a_tag() {
    let fields = json!({"remoteEndpoint": {"serviceName": "s"}, "tags": {"peer.service": "t", "network.peer.port": "5"}});
    let span = one(fields.clone());
    assert_eq!(
        span.attributes.iter().find(|found| found.key == "peer.service"),
        Some(&text("peer.service", "t"))
    );
    assert_eq!(zipkin::spans_to_json(&[span]), json!([with_fields(fields)]));
    let only_tag = json!({"tags": {"peer.service": "t"}});
    assert_eq!(zipkin::spans_to_json(&[one(only_tag.clone())]), json!([with_fields(only_tag)]));
}

#[test]
fn addresses_count_by_what_they_are_and_not_by_their_field() {
    let endpoint = json!({"ipv4": "2001:DB8::0:1", "ipv6": "::ffff:10.0.0.1", "port": 70_000});
    let found = zipkin::spans_to_json(&[one(json!({"localEndpoint": endpoint}))]);
    assert_eq!(found[0]["localEndpoint"], json!({"ipv4": "10.0.0.1", "ipv6": "2001:db8::1"}));
    assert_eq!(
        zipkin::spans_to_json(&[one(json!({"localEndpoint": {"ipv4": "host"}}))])[0].get("localEndpoint"),
        None
    );
}

#[test]
fn limits_hold_for_tags_endpoints_and_annotations() {
    let limits = Limits {
        attributes: 2,
        key_length: 4,
        value_length: 8,
        text_length: 4,
        events: 1,
        ..Limits::default()
    };
    for (fields, reason) in [
        (json!({"tags": {"a": "", "b": "", "c": ""}}), RefusalReason::AttributeLimit),
        (json!({"tags": {"abcde": ""}}), RefusalReason::AttributeLimit),
        (json!({"tags": {"a": "123456789"}}), RefusalReason::AttributeLimit),
        (json!({"tags": {"a": "", "b": ""}, "localEndpoint": {"port": 1}}), RefusalReason::AttributeLimit),
        (json!({"remoteEndpoint": {"serviceName": "123456789"}}), RefusalReason::AttributeLimit),
        (json!({"name": "12345"}), RefusalReason::AttributeLimit),
        (json!({"annotations": [{"value": "12345"}]}), RefusalReason::AttributeLimit),
        (json!({"annotations": [{}, {}]}), RefusalReason::PartLimit),
    ] {
        let json = json!([with_fields(fields.clone()), with_fields(json!({}))]);
        let batch = zipkin::spans_from_json(json.to_string().as_bytes(), &limits).unwrap();
        assert_eq!((batch.spans.len(), batch.refused.len()), (1, 1), "{fields}");
        assert_eq!(batch.refused[0].reason, reason, "{fields}");
        assert_eq!(batch.refused[0].trace_id, Some(batch.spans[0].trace_id), "{fields}");
    }
}

#[test]
fn what_is_no_list_of_spans_is_malformed() {
    for (text, why) in [
        ("{}", "invalid type: map, expected an array at line 1 column 0"),
        ("[1]", "invalid type: integer `1`, expected an object at line 1 column 2"),
        ("[{\"timestamp\": \"x\"}]", "a number that is not whole, or out of range at line 1 column 18"),
        ("[{", "EOF while parsing an object at line 1 column 2"),
    ] {
        let found = zipkin::spans_from_json(text.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(found, DecodeError::Malformed(why.to_owned()));
    }
}

#[test]
fn a_span_of_opentelemetry_is_transformed_as_its_specification_says() {
    let client = Span {
        kind: Kind::Client,
        start: 1_544_712_660_000_001_999,
        end: 1_544_712_660_000_003_233,
        attributes: vec![
            text("server.address", "db.example"),
            text("network.peer.address", "10.0.0.1"),
            Attribute { key: "flag".into(), value: Value::Bool(true) },
            Attribute {
                key: "list".into(),
                value: Value::Array([Value::Int(1), Value::Text("x".into())].into()),
            },
        ],
        ..full_span()
    };
    let expected = json!([{
        "traceId": "5b8efff798038103d269b633813fc60c", "id": "eee19b7ec3c1b174", "parentId": "eee19b7ec3c1b173",
        "kind": "CLIENT", "name": "GET /", "timestamp": 1_544_712_660_000_001_u64, "duration": 1,
        "localEndpoint": {"serviceName": "shop"},
        "remoteEndpoint": {"serviceName": "db.example"},
        "annotations": [{"timestamp": 0, "value": "\"ev\": {\"ek\":7}"}],
        "tags": {
            "server.address": "db.example", "network.peer.address": "10.0.0.1", "flag": "true", "list": "[1,\"x\"]",
            "otel.scope.name": "lib", "otel.scope.version": "1.0", "otel.status_code": "ERROR", "error": "no",
            "otel.dropped_attributes_count": "1", "otel.dropped_events_count": "3", "otel.dropped_links_count": "5",
        },
    }]);
    assert_eq!(zipkin::spans_to_json(&[client]), expected);
}

#[test]
fn the_transform_covers_every_kind_status_and_remote_address() {
    let plain = Span {
        parent_span_id: None,
        kind: Kind::Internal,
        start: 1_000,
        end: 1_000,
        status: Status::default(),
        attributes: vec![
            Attribute { key: "error".into(), value: Value::Bool(false) },
            text("network.peer.address", "::1"),
        ],
        dropped_attributes: 0,
        events: vec![Event { time: 2_000, name: "plain".into(), attributes: vec![], dropped_attributes: 0 }],
        dropped_events: 0,
        links: vec![],
        dropped_links: 0,
        resource: Arc::new(Resource::new(vec![text("host.name", "h")], 0, "".into())),
        scope: Arc::default(),
        ..full_span()
    };
    let expected = json!({
        "traceId": "5b8efff798038103d269b633813fc60c", "id": "eee19b7ec3c1b174", "name": "GET /", "timestamp": 1,
        "localEndpoint": {"serviceName": "unknown_service"},
        "annotations": [{"timestamp": 2, "value": "plain"}],
        "tags": {"host.name": "h", "network.peer.address": "::1"},
    });
    assert_eq!(zipkin::spans_to_json(std::slice::from_ref(&plain))[0], expected);
    let port = Attribute { key: "network.peer.port".into(), value: Value::Int(80) };
    let producer = Span {
        kind: Kind::Producer,
        status: Status { code: StatusCode::Ok, message: "".into() },
        attributes: [plain.attributes.clone(), vec![port]].concat(),
        end: 1_001,
        ..plain
    };
    let found = &zipkin::spans_to_json(&[producer])[0];
    assert_eq!((&found["kind"], &found["duration"]), (&json!("PRODUCER"), &json!(1)));
    assert_eq!(found["remoteEndpoint"], json!({"ipv6": "::1", "port": 80}));
    assert_eq!(found["tags"]["otel.status_code"], "OK");
}

fn endpoint() -> impl Strategy<Value = Json> {
    let ipv4 = select(vec!["10.0.0.1", "255.255.255.255"]);
    let ipv6 = select(vec!["::1", "2001:db8::ff"]);
    let parts = (option::of("[a-z-]{1,8}"), option::of(ipv4), option::of(ipv6), option::of(1..=u16::MAX));
    parts.prop_map(|(service, ipv4, ipv6, port)| {
        without_nulls(json!({"serviceName": service, "ipv4": ipv4, "ipv6": ipv6, "port": port}))
    })
}

fn without_nulls(json: Json) -> Json {
    let Json::Object(fields) = json else { panic!("{json}") };
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_null() && *value != json!({}) && *value != json!([]))
        .collect()
}

fn zipkin_span() -> impl Strategy<Value = Json> {
    // Times far beyond the year 2100, though not so far that nanoseconds do not fit.
    let time = 1..=18_000_000_000_000_000_u64;
    let key = prop_oneof![
        "[a-z.]{1,8}",
        select(vec!["error", "peer.service", "network.local.port", "otel.status_code"])
            .prop_map(str::to_owned)
    ];
    let tags = proptest::collection::btree_map(key, "\\PC{0,8}", 0..4);
    let annotation = (time.clone(), "\\PC{1,6}")
        .prop_map(|(timestamp, value)| json!({"timestamp": timestamp, "value": value}));
    let kind = option::of(select(vec!["CLIENT", "SERVER", "PRODUCER", "CONSUMER"]));
    let ids = (1..=u128::MAX, 1..=u64::MAX, option::of(1..=u64::MAX));
    let times = (option::of(time.clone()), option::of(1..=400_000_000_000_000_u64), vec(annotation, 0..3));
    let rest = (
        kind,
        option::of("\\PC{1,8}"),
        endpoint(),
        endpoint(),
        tags,
        option::of(Just(true)),
        option::of(Just(true)),
    );
    (ids, times, rest).prop_map(|((trace, id, parent), (timestamp, duration, annotations), rest)| {
        let (kind, name, local, remote, tags, debug, shared) = rest;
        without_nulls(json!({
            "traceId": format!("{trace:032x}"), "id": format!("{id:016x}"), "parentId": parent.map(|id| format!("{id:016x}")),
            "timestamp": timestamp, "duration": duration, "annotations": annotations, "kind": kind, "name": name,
            "localEndpoint": local, "remoteEndpoint": remote, "tags": tags, "debug": debug, "shared": shared,
        }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_came_in_zipkins_format_goes_out_as_it_came(json in vec(zipkin_span(), 0..4)) {
        let json = Json::from(json);
        prop_assert_eq!(zipkin::spans_to_json(&spans(&json)), json);
    }
}

#[test]
fn spans_of_a_service_share_its_resource() {
    let found = spans(&json!([call()[0], call()[1], call()[0]]));
    assert!(Arc::ptr_eq(&found[0].resource, &found[2].resource));
    assert!(Arc::ptr_eq(&found[0].scope, &found[1].scope));
    assert_eq!(
        found[0].trace_id,
        TraceId::from_bytes(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab]).unwrap()
    );
}
