//! Zipkin v2 protobuf.

use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;
use waypost_trace_model::{Limits, RefusalReason, otlp::DecodeError, zipkin};

/// The messages of `zipkin.proto`, written down anew.
#[derive(Clone, PartialEq, Message)]
struct ListOfSpans {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    parent_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(int32, tag = "4")]
    kind: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp: u64,
    #[prost(uint64, tag = "7")]
    duration: u64,
    #[prost(message, optional, tag = "8")]
    local_endpoint: Option<Endpoint>,
    #[prost(message, optional, tag = "9")]
    remote_endpoint: Option<Endpoint>,
    #[prost(message, repeated, tag = "10")]
    annotations: Vec<Annotation>,
    #[prost(btree_map = "string, string", tag = "11")]
    tags: BTreeMap<String, String>,
    #[prost(bool, tag = "12")]
    debug: bool,
    #[prost(bool, tag = "13")]
    shared: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    port: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Annotation {
    #[prost(fixed64, tag = "1")]
    timestamp: u64,
    #[prost(string, tag = "2")]
    value: String,
}

fn span() -> Span {
    Span {
        trace_id: vec![0x5a, 0xf7, 0x18, 0x3f, 0xb1, 0xd4, 0xcf, 0x5f],
        id: vec![1, 2, 3, 4, 5, 6, 7, 8],
        ..Span::default()
    }
}

fn bytes(spans: Vec<Span>) -> Bytes {
    ListOfSpans { spans }.encode_to_vec().into()
}

#[test]
fn every_field_is_read() {
    let tags = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("error".to_owned(), String::new())]);
    let full = Span {
        parent_id: vec![0, 0, 0, 0, 0, 0, 0, 9],
        kind: 3,
        name: "send".to_owned(),
        timestamp: 1_556_604_172_355_737,
        duration: 1431,
        local_endpoint: Some(Endpoint {
            service_name: "svc".to_owned(),
            ipv4: vec![10, 0, 0, 1],
            ipv6: vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            port: 80,
        }),
        remote_endpoint: Some(Endpoint {
            service_name: "broker".to_owned(),
            ipv4: vec![1],
            port: -1,
            ..Endpoint::default()
        }),
        annotations: vec![Annotation { timestamp: 5, value: "ms".to_owned() }],
        tags,
        debug: true,
        shared: true,
        ..span()
    };
    let bytes = bytes(vec![full]);
    let batch = zipkin::spans_from_protobuf(&bytes, &Limits::default()).unwrap();
    assert_eq!((batch.refused, batch.wire), (vec![], None));
    let expected = serde_json::json!([{
        "traceId": "00000000000000005af7183fb1d4cf5f", "parentId": "0000000000000009", "id": "0102030405060708",
        "kind": "PRODUCER", "name": "send", "timestamp": 1_556_604_172_355_737_u64, "duration": 1431,
        "localEndpoint": {"serviceName": "svc", "ipv4": "10.0.0.1", "ipv6": "::1", "port": 80},
        "remoteEndpoint": {"serviceName": "broker"},
        "annotations": [{"timestamp": 5, "value": "ms"}],
        "tags": {"a": "b", "error": ""},
        "debug": true, "shared": true,
    }]);
    assert_eq!(zipkin::spans_to_json(&batch.spans), expected);
    assert!(bytes.as_ptr_range().contains(&batch.spans[0].name.as_ptr()), "the name is a copy");
    let from_json = zipkin::spans_from_json(expected.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(from_json.spans, batch.spans, "both formats mean the same");
}

#[test]
fn kinds_have_their_own_numbers() {
    let spans = (0..6).map(|kind| Span { kind, ..span() }).collect();
    let batch = zipkin::spans_from_protobuf(&bytes(spans), &Limits::default()).unwrap();
    let kinds: Vec<_> = batch.spans.iter().map(|span| span.kind.name()).collect();
    assert_eq!(kinds, ["unspecified", "client", "server", "producer", "consumer", "unspecified"]);
}

#[test]
fn spans_with_wrong_ids_or_beyond_the_limits_are_refused() {
    let svc = Some(Endpoint { service_name: "svc".to_owned(), ..Endpoint::default() });
    let annotations = vec![Annotation::default(); 2];
    let wrong = vec![
        Span { trace_id: vec![1; 4], local_endpoint: svc.clone(), ..span() },
        Span { id: vec![0; 8], local_endpoint: svc.clone(), ..span() },
        Span { parent_id: vec![1], local_endpoint: svc.clone(), ..span() },
        Span { name: "123456".to_owned(), local_endpoint: svc.clone(), ..span() },
        Span { annotations, local_endpoint: svc, ..span() },
        span(),
    ];
    let limits = Limits { text_length: 5, events: 1, ..Limits::default() };
    let batch = zipkin::spans_from_protobuf(&bytes(wrong), &limits).unwrap();
    assert_eq!(batch.spans.len(), 1);
    let refused: Vec<_> = batch
        .refused
        .iter()
        .map(|refusal| (&*refusal.service, refusal.trace_id.is_some(), refusal.reason, refusal.spans))
        .collect();
    assert_eq!(
        refused,
        [
            ("svc", false, RefusalReason::InvalidId, 1),
            ("svc", true, RefusalReason::InvalidId, 2),
            ("svc", true, RefusalReason::AttributeLimit, 1),
            ("svc", true, RefusalReason::PartLimit, 1),
        ]
    );
}

#[test]
fn a_list_that_ends_early_is_malformed() {
    let bytes = bytes(vec![span()]);
    let error = zipkin::spans_from_protobuf(&bytes.slice(..bytes.len() - 1), &Limits::default()).unwrap_err();
    assert_eq!(error, DecodeError::Malformed("a length runs past the end (at byte 0)".to_owned()));
    let inner = Bytes::from_static(b"\x0a\x03\x52\x01\x09");
    let error = zipkin::spans_from_protobuf(&inner, &Limits::default()).unwrap_err();
    assert_eq!(
        error,
        DecodeError::Malformed("spans.annotations: a number runs past the end (at byte 4)".to_owned())
    );
}
