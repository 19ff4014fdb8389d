use crate::{
    door::Door,
    fake::{intake, memory},
    made::{compressed, id, trace},
};
use bytes::Bytes;
use http::StatusCode;
use waypost_settings::ByteSize;
use waypost_test_client::Request;
use waypost_trace_intake::Settings;
use waypost_trace_model::Kind;
use waypost_trace_store::TraceStore as _;

fn json(number: u64) -> Bytes {
    let span = serde_json::json!([{
        "traceId": trace(number).to_string(), "id": "0000000000000002", "parentId": "1", "name": "get", "kind": "SERVER",
        "timestamp": 1_790_000_000_123_456_u64, "duration": 1500, "localEndpoint": {"serviceName": "shop"},
        "tags": {"http.method": "GET"},
    }]);
    span.to_string().into()
}

/// A `ListOfSpans` with the same span.
fn protobuf(number: u64) -> Bytes {
    let mut span = vec![0x0a, 16];
    span.extend_from_slice(trace(number).as_bytes());
    span.extend_from_slice(&[0x12, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
    span.extend_from_slice(&[0x1a, 8, 0, 0, 0, 0, 0, 0, 0, 2]);
    span.extend_from_slice(&[0x20, 2]);
    span.extend_from_slice(b"\x2a\x03get");
    span.push(0x31);
    span.extend_from_slice(&1_790_000_000_123_456_u64.to_le_bytes());
    span.extend_from_slice(&[0x38, 0xdc, 0x0b]);
    span.extend_from_slice(b"\x42\x06\x0a\x04shop");
    span.extend_from_slice(b"\x5a\x12\x0a\x0bhttp.method\x12\x03GET");
    let mut list = vec![0x0a, u8::try_from(span.len()).unwrap()];
    list.extend_from_slice(&span);
    list.into()
}

#[tokio::test]
async fn spans_are_taken_in_both_formats_and_every_encoding() {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).zipkin());
    let mut number = 0;
    for format in ["", "application/json", "application/x-protobuf"] {
        for encoding in ["", "gzip"] {
            for is_chunked in [false, true] {
                number += 1;
                let plain = if format.ends_with("protobuf") { protobuf(number) } else { json(number) };
                let body = compressed(encoding, &plain);
                let mut call = Request::post("/api/v2/spans");
                if !format.is_empty() {
                    call = call.header("content-type", format);
                }
                if !encoding.is_empty() {
                    call = call.header("content-encoding", encoding);
                }
                let call = call.body(body);
                let call = if is_chunked { call.in_pieces(9) } else { call };
                let answer = call.send(door.address).await;
                assert_eq!((answer.status, answer.text()), (StatusCode::ACCEPTED, ""), "{format} {encoding}");
                let kept = store.traces(&[trace(number)]).unwrap();
                let span = &kept[0].spans[0];
                assert_eq!((span.span_id, span.parent_span_id), (id(2), Some(id(1))));
                assert_eq!((&*span.name, span.kind, &**span.service()), ("get", Kind::Server, "shop"));
                assert_eq!((span.start, span.duration()), (1_790_000_000_123_456_000, 1_500_000));
            }
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_told_in_a_sentence() {
    let settings = Settings { body_size: ByteSize::bytes(1_000), ..Settings::default() };
    let door = Door::open(intake(memory(), &settings).zipkin());
    let answer = Request::post("/api/v2/spans").body("[{").send(door.address).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert!(answer.text().starts_with("cannot read the request: "), "{}", answer.text());
    let answer = Request::post("/api/v2/spans").body(vec![b' '; 1_001]).send(door.address).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.text(), "the request is larger than 1000 bytes; send smaller batches\n");
    let answer = Request::post("/api/v2/spans")
        .header("content-type", "application/x-thrift")
        .send(door.address)
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = Request::post("/api/v2/spans")
        .body(r#"[{"traceId":"0","id":"0","name":"x"}]"#)
        .send(door.address)
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.text(), "not kept: 1 spans: invalid_id 1\n");
    let answer = Request::post("/api/v1/spans").body("[]").send(door.address).await;
    assert_eq!(answer.status, StatusCode::GONE);
    assert!(answer.text().contains("/api/v2/spans"), "{}", answer.text());
    let answer = Request::new("PUT", "/api/v2/spans").send(door.address).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        Request::post("/api/v2/spans").body("[]").send(door.address).await.status,
        StatusCode::ACCEPTED
    );
}

/// The trace of spans that were sent as JSON.
async fn kept(number: u64, spans: &serde_json::Value) -> Vec<waypost_trace_model::Span> {
    let store = memory();
    let door = Door::open(intake(store.clone(), &Settings::default()).zipkin());
    let answer = Request::post("/api/v2/spans").body(spans.to_string()).send(door.address).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    store.traces(&[trace(number)]).unwrap().remove(0).spans
}

#[tokio::test]
async fn a_span_without_a_time_is_not_of_1970() {
    let (id, at) = (trace(1).to_string(), 1_790_000_000_000_000_u64);
    let client =
        serde_json::json!({"traceId": id, "id": "a", "kind": "CLIENT", "timestamp": at, "duration": 8000});
    let server = |more: serde_json::Value| {
        let mut span = serde_json::json!({"traceId": id, "id": "a", "kind": "SERVER", "shared": true});
        span.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        span
    };
    let starts = |spans: &[waypost_trace_model::Span]| {
        let mut starts: Vec<u64> = spans.iter().map(|span| span.start / 1000).collect();
        starts.sort_unstable();
        starts
    };
    let by_client = kept(1, &serde_json::json!([client, server(serde_json::json!({}))])).await;
    assert_eq!(starts(&by_client), [at, at], "the other half says when");
    let annotations = serde_json::json!({"annotations": [{"timestamp": at + 7, "value": "b"}, {"timestamp": at + 3, "value": "a"}]});
    let by_annotation = kept(1, &serde_json::json!([server(annotations), client])).await;
    assert_eq!(starts(&by_annotation), [at, at + 3], "its first annotation says when");
    let below = serde_json::json!({"traceId": id, "id": "b", "parentId": "a", "duration": 5});
    let by_parent = kept(1, &serde_json::json!([below, client])).await;
    assert_eq!(starts(&by_parent), [at, at], "its parent says when");
    let before = waypost_trace_store::now();
    let by_arrival = kept(1, &serde_json::json!([below])).await;
    assert!((before..=waypost_trace_store::now()).contains(&by_arrival[0].start), "nothing says when");
    assert_eq!(by_arrival[0].duration(), 5_000);
    let sent_back = waypost_trace_model::zipkin::spans_to_json(&by_arrival);
    assert_eq!(sent_back[0].get("timestamp"), None, "it goes out as it came: {sent_back}");
}

#[tokio::test]
async fn a_time_in_nanoseconds_is_one_and_goes_out_as_it_came() {
    let at = 1_790_000_000_123_456_789_u64;
    let span = serde_json::json!([{"traceId": trace(1).to_string(), "id": "a", "timestamp": at, "tags": {"zipkin.timestamp": "mine"}}]);
    let kept = kept(1, &span).await;
    assert_eq!(kept[0].start, at);
    let sent_back = waypost_trace_model::zipkin::spans_to_json(&kept);
    assert_eq!(
        (&sent_back[0]["timestamp"], &sent_back[0]["tags"]),
        (&at.into(), &serde_json::json!({"zipkin.timestamp": "mine"}))
    );
}
