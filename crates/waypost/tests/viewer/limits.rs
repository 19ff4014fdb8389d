//! What is too large, too much or not readable is refused by the rules of each protocol, and the ledger says why.

use std::io::Write as _;

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tonic::{Code, Status};
use waypost_testkit::{Answer, Client, Viewer};

use crate::otlp::{ago, export, noise, post, refusal, request, send, service, span, text};
use crate::{BINARY, account};

const TOO_LARGE: &str = "the request is larger than 65536 bytes; send smaller batches";
const OVERLOADED: &str = "too much is on its way to the disk; try again after a moment";

async fn viewer(data: &tempfile::TempDir, settings: &[(&str, &str)]) -> Viewer {
    Viewer::start(BINARY, data.path(), settings).await.unwrap()
}

/// A trace of one span with a text of so many characters.
fn with_text(trace: u128, text_of: &str) -> Value {
    let mut span = span(trace, 1, 0, "step", 1, ago(1_000), 1_000);
    span["attributes"] = json!([text("text", text_of)]);
    service("sender", &[span])
}

/// `[{..}]` of Zipkin with the same.
fn zipkin(trace: u128, text: &str) -> String {
    json!([{"traceId": format!("{trace:x}"), "id": "1", "name": "step", "timestamp": ago(1_000) / 1_000,
            "localEndpoint": {"serviceName": "sender"}, "tags": {"text": text}}])
    .to_string()
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap().into()
}

/// A call of gRPC with a compressed message, made by hand.
async fn export_gzip(viewer: &Viewer, message: &[u8]) -> Status {
    let packed = gzip(message);
    let mut frame = vec![1];
    frame.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&packed);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let call = http::Request::post(format!("http://{}{path}", viewer.address("otlp-grpc")))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", "gzip")
        .body(Full::from(frame))
        .unwrap();
    let client = Pooled::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let answer = client.request(call).await.unwrap();
    Status::from_header_map(answer.headers()).unwrap()
}

/// The status, `Retry-After`, and the body as JSON or text.
fn told(answer: &Answer) -> (u16, Option<&str>, Value) {
    let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
    let text = || json!(String::from_utf8_lossy(&answer.bytes));
    let body = if answer.json.is_null() { text() } else { answer.json.clone() };
    (answer.status.as_u16(), retry_after, body)
}

async fn found(viewer: &Client, trace: u128) -> u16 {
    viewer.get(&format!("/api/v1/traces/{trace:x}")).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn a_request_that_is_too_large_before_or_after_decompression_is_refused_for_good() {
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(&data, &[("viewer.intake.body_size", "64KiB")]).await;
    let (otlp, door) = (viewer.client("otlp-http"), viewer.client("zipkin"));
    let large = noise(1, 70_000);
    // A few hundred bytes that become a megabyte.
    let bomb = gzip(request(&[with_text(1, &"a".repeat(1 << 20))]).as_bytes());
    assert!(bomb.len() < 2_000);

    let refused = json!({"code": 8, "message": TOO_LARGE});
    assert_eq!(told(&post(&otlp, &[with_text(1, &large)]).await), (413, None, refused.clone()));
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = otlp.send_bytes(Method::POST, "/v1/traces", &headers, Some(bomb.clone())).await.unwrap();
    assert_eq!(told(&answer), (413, None, refused));

    let status = export(viewer.address("otlp-grpc"), &[with_text(1, &large)], None).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::ResourceExhausted, TOO_LARGE.to_owned(), None));
    let status = export_gzip(&viewer, &vec![0; 1 << 20]).await;
    assert_eq!(refusal(&status), (Code::ResourceExhausted, TOO_LARGE.to_owned(), None));

    let sentence = json!(format!("{TOO_LARGE}\n"));
    let answer = door.post("/api/v2/spans", &[], &zipkin(1, &large)).await.unwrap();
    assert_eq!(told(&answer), (413, None, sentence.clone()));
    let packed = gzip(zipkin(1, &"a".repeat(1 << 20)).as_bytes());
    let answer = door.send_bytes(Method::POST, "/api/v2/spans", &headers, Some(packed)).await.unwrap();
    assert_eq!(told(&answer), (413, None, sentence));

    send(&otlp, &[with_text(2, "small")]).await;
    let ui = viewer.client("viewer");
    assert_eq!((found(&ui, 1).await, found(&ui, 2).await), (404, 200));
    // Nobody can count what was in them: each is one span of nobody.
    assert_eq!(
        account::after(&ui, "unknown_service", 6).await,
        json!({"received": 6, "stored": 0, "refused": {"too_large": 6}, "evicted": {}})
    );
    assert_eq!(
        account::after(&ui, "sender", 1).await,
        json!({"received": 1, "stored": 1, "refused": {}, "evicted": {}})
    );
}

#[tokio::test]
async fn spans_beyond_a_traces_number_are_refused_and_the_trace_says_so_through_every_door() {
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(&data, &[("viewer.store.spans_per_trace", "3")]).await;
    let (otlp, ui) = (viewer.client("otlp-http"), viewer.client("viewer"));
    let spans = |trace: u128, ids: std::ops::RangeInclusive<u64>| {
        let parent = |id: u64| u64::from(id > 1);
        let spans: Vec<Value> =
            ids.map(|id| span(trace, id, parent(id), "step", 1, ago(1_000), 1_000)).collect();
        [service("sender", &spans)]
    };
    let answer = post(&otlp, &spans(1, 1..=5)).await;
    let partial = json!({"rejectedSpans": "2", "errorMessage": "not kept: 2 spans: trace_limit 2"});
    assert_eq!(told(&answer), (200, None, json!({"partialSuccess": partial})));
    let grpc = viewer.address("otlp-grpc");
    let rejected = export(grpc, &spans(1, 6..=6), None).await.unwrap();
    assert_eq!(rejected, Some((1, "not kept: 1 spans: trace_limit 1".to_owned())));
    assert_eq!(export(grpc, &spans(2, 1..=3), None).await.unwrap(), None);

    let trace = ui.get("/api/v1/traces/1").await.unwrap().json;
    assert_eq!(trace["spans"], 3);
    let completeness =
        json!({"complete": false, "orphans": 0, "refused": {"trace_limit": 3}, "evicted": 0, "dropped": 0});
    assert_eq!(trace["completeness"], completeness);
    let lines = account::traces(&ui, "order=oldest").await;
    let complete = |trace: u128| {
        let id = format!("{trace:032x}");
        lines.iter().find(|line| line["trace_id"] == id.as_str()).unwrap()["complete"].clone()
    };
    assert_eq!((complete(1), complete(2)), (json!(false), json!(true)));
    let legacy = ui.get("/api/traces/1").await.unwrap().json;
    let warnings = legacy["data"][0]["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{legacy}");
    assert!(warnings[0].as_str().unwrap().contains("trace_limit"), "{warnings:?}");
    assert_eq!(ui.get("/api/traces/2").await.unwrap().json["data"][0]["warnings"], Value::Null);
    assert_eq!(
        account::after(&ui, "sender", 9).await,
        json!({"received": 9, "stored": 6, "refused": {"trace_limit": 3}, "evicted": {}})
    );
}

#[tokio::test]
async fn a_span_beyond_the_limits_of_a_record_is_refused_for_itself_and_its_trace_says_why() {
    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("viewer.intake.limits.attributes", "2"),
        ("viewer.intake.limits.value_length", "64"),
        ("viewer.intake.limits.events", "1"),
        ("viewer.intake.limits.records", "6"),
    ];
    let viewer = viewer(&data, &settings).await;
    let (otlp, ui) = (viewer.client("otlp-http"), viewer.client("viewer"));
    let step = |id: u64| span(1, id, u64::from(id > 1), "step", 1, ago(1_000), 1_000);
    let with = |id: u64, key: &str, value: Value| {
        let mut span = step(id);
        span[key] = value;
        span
    };
    let event = json!({"timeUnixNano": "1", "name": "tried"});
    let spans = [
        with(1, "attributes", json!([text("a", "1"), text("b", "2")])),
        with(2, "attributes", json!([text("a", "1"), text("b", "2"), text("c", "3")])),
        with(3, "attributes", json!([text("a", &"x".repeat(65))])),
        with(4, "events", json!([event, event])),
        with(5, "spanId", json!("0000000000000000")),
        with(6, "traceId", json!("12345")),
    ];
    let answer = post(&otlp, &[service("sender", &spans)]).await;
    let sentence = "not kept: 5 spans: invalid_id 2, attribute_limit 2, part_limit 1";
    let partial = json!({"rejectedSpans": "5", "errorMessage": sentence});
    assert_eq!(told(&answer), (200, None, json!({"partialSuccess": partial})));
    let trace = ui.get("/api/v1/traces/1").await.unwrap().json;
    let refused = json!({"invalid_id": 1, "attribute_limit": 2, "part_limit": 1});
    assert_eq!((&trace["spans"], &trace["completeness"]["refused"]), (&json!(1), &refused));
    assert_eq!(trace["completeness"]["complete"], false);

    // Over gRPC, by Zipkin (which has no partial success), and one that brings nothing that can be kept.
    let service_of = |span: Value| [service("sender", &[span])];
    let three = with(7, "attributes", json!([text("a", "1"), text("b", "2"), text("c", "3")]));
    let rejected = export(viewer.address("otlp-grpc"), &service_of(three), None).await.unwrap();
    assert_eq!(rejected, Some((1, "not kept: 1 spans: attribute_limit 1".to_owned())));
    let answer =
        viewer.client("zipkin").post("/api/v2/spans", &[], &zipkin(2, &"x".repeat(65))).await.unwrap();
    assert_eq!(told(&answer), (400, None, json!("not kept: 1 spans: attribute_limit 1\n")));

    let many: Vec<Value> = (11..=17).map(step).collect();
    let answer = post(&otlp, &[service("sender", &many)]).await;
    let sentence = "more than 6 records in one request; send smaller batches";
    assert_eq!(told(&answer), (413, None, json!({"code": 8, "message": sentence})));

    let refused = json!({"invalid_id": 2, "attribute_limit": 4, "part_limit": 1});
    assert_eq!(
        account::after(&ui, "sender", 8).await,
        json!({"received": 8, "stored": 1, "refused": refused, "evicted": {}})
    );
    assert_eq!(
        account::after(&ui, "unknown_service", 1).await,
        json!({"received": 1, "stored": 0, "refused": {"too_large": 1}, "evicted": {}})
    );
}

#[tokio::test]
async fn a_sender_for_whom_there_is_no_memory_is_asked_to_come_back() {
    let data = tempfile::tempdir().unwrap();
    let settings = [("viewer.intake.in_flight", "32KiB"), ("viewer.intake.retry_after", "3s")];
    let viewer = viewer(&data, &settings).await;
    let (otlp, ui) = (viewer.client("otlp-http"), viewer.client("viewer"));
    let large = noise(1, 40_000);
    let refused = json!({"code": 8, "message": OVERLOADED});
    assert_eq!(told(&post(&otlp, &[with_text(1, &large)]).await), (429, Some("3"), refused));
    let status = export(viewer.address("otlp-grpc"), &[with_text(1, &large)], None).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::ResourceExhausted, OVERLOADED.to_owned(), Some(3)));
    let answer = viewer.client("zipkin").post("/api/v2/spans", &[], &zipkin(1, &large)).await.unwrap();
    assert_eq!(told(&answer), (429, Some("3"), json!(format!("{OVERLOADED}\n"))));
    assert_eq!(
        account::after(&ui, "unknown_service", 3).await,
        json!({"received": 3, "stored": 0, "refused": {"overloaded": 3}, "evicted": {}})
    );

    // What fits is still taken, by every door.
    send(&otlp, &[with_text(2, "small")]).await;
    assert_eq!(export(viewer.address("otlp-grpc"), &[with_text(3, "small")], None).await.unwrap(), None);
    let answer = viewer.client("zipkin").post("/api/v2/spans", &[], &zipkin(4, "small")).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!((found(&ui, 1).await, account::found(&ui, "service=sender").await.len()), (404, 3));
    assert_eq!(
        account::after(&ui, "sender", 3).await,
        json!({"received": 3, "stored": 3, "refused": {}, "evicted": {}})
    );
}

#[tokio::test]
async fn what_is_no_message_is_refused_for_good_and_counted() {
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(&data, &[]).await;
    let answer = viewer.client("otlp-http").post("/v1/traces", &[], "{\"resourceSpans\":").await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json["code"]), (400, &json!(3)));
    assert!(!answer.headers.contains_key("retry-after"));
    let status = export_gzip(&viewer, b"\x0a\x05abc").await;
    assert_eq!((status.code(), status.details()), (Code::InvalidArgument, &[][..]));
    let answer = viewer.client("zipkin").post("/api/v2/spans", &[], "{}").await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(
        account::after(&viewer.client("viewer"), "unknown_service", 3).await,
        json!({"received": 3, "stored": 0, "refused": {"malformed": 3}, "evicted": {}})
    );
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_a_success_and_kept_once_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut viewer = viewer(&data, &[]).await;
    let spans = [with_text(1, "once")];
    for received in 1..=4 {
        send(&viewer.client("otlp-http"), &spans).await;
        let refused = if received == 1 { json!({}) } else { json!({"repeated": received - 1}) };
        let ui = viewer.client("viewer");
        assert_eq!(
            account::after(&ui, "sender", received).await,
            json!({"received": received, "stored": 1, "refused": refused, "evicted": {}})
        );
        let trace = ui.get("/api/v1/traces/1").await.unwrap().json;
        assert_eq!((&trace["spans"], &trace["repairs"]), (&json!(1), &json!([])));
        if received == 2 {
            assert!(viewer.stop().await.unwrap().status.success());
            viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
        }
    }
}
