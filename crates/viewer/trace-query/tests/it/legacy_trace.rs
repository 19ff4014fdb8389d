//! `GET /api/traces/{id}`: a trace in the JSON of Jaeger's UI, field by field.

use crate::{
    fixtures::{CART, PING, START, at, cart, lone, ping, text},
    site::{AnswerExt as _, Site, escaped},
};
use http::StatusCode;
use serde_json::{Value, json};
use waypost_trace_model::{Batch, Refusal, RefusalReason, Text};

fn envelope(traces: Value) -> Value {
    json!({"data": traces, "total": 0, "limit": 0, "offset": 0, "errors": null})
}

fn tag(key: &str, kind: &str, value: impl Into<Value>) -> Value {
    json!({"key": key, "type": kind, "value": value.into()})
}

#[tokio::test]
async fn a_trace_has_every_field_in_jaegers_form() {
    let site = Site::with(&cart()).await;
    let root = json!({
        "traceID": CART, "spanID": "00f1e2d3c4b5a697", "flags": 1, "operationName": "GET /cart",
        "references": [
            {"refType": "FOLLOWS_FROM", "traceID": "0a1b2c3d4e5f6071", "spanID": "0000000000000001"},
            {"refType": "CHILD_OF", "traceID": CART, "spanID": "1000000000000002"},
        ],
        "startTime": 1_790_000_000_123_456_u64, "duration": 48_211,
        "tags": [
            tag("cached", "bool", true),
            tag("digest", "binary", "AP8="),
            tag("http.response.status_code", "int64", 200),
            tag("large", "int64", "9007199254740993"),
            tag("nested", "string", r#"{"a":1}"#),
            tag("nothing", "string", ""),
            tag("otel.scope.name", "string", "http-server"),
            tag("otel.scope.version", "string", "1.2.0"),
            tag("ratio", "float64", 0.25),
            tag("span.kind", "string", "server"),
            tag("url.path", "string", "/cart <script>\u{7}\u{1f600}"),
            tag("w3c.tracestate", "string", "vendor=1"),
        ],
        "logs": [
            {"timestamp": 1_790_000_000_124_000_u64, "fields": [
                tag("event", "string", "cache.miss"), tag("key", "string", "cart:7"),
            ]},
            {"timestamp": 1_790_000_000_125_000_u64, "fields": [
                tag("a", "int64", 2), tag("event", "string", "kept"),
            ]},
            {"timestamp": 1_790_000_000_126_000_u64, "fields": []},
        ],
        "processID": "p1",
        "warnings": ["attributes that the client dropped: 3", "events that the client dropped: 1"],
    });
    let handler = json!({
        "traceID": CART, "spanID": "1000000000000003", "operationName": "Reserve",
        "references": [{"refType": "CHILD_OF", "traceID": CART, "spanID": "1000000000000002"}],
        "startTime": 1_790_000_000_129_000_u64, "duration": 21_000,
        "tags": [
            tag("error", "bool", true),
            tag("otel.status_code", "string", "ERROR"),
            tag("span.kind", "string", "server"),
        ],
        "logs": [], "processID": "p2",
        "warnings": ["clock skew: it begins 1ms before its parent; its times are as they were received"],
    });
    let call = json!({
        "traceID": CART, "spanID": "1000000000000002", "operationName": "reserve",
        "references": [{"refType": "CHILD_OF", "traceID": CART, "spanID": "00f1e2d3c4b5a697"}],
        "startTime": 1_790_000_000_130_000_u64, "duration": 30_000,
        "tags": [
            tag("error", "bool", true),
            tag("otel.scope.name", "string", "http-server"),
            tag("otel.scope.version", "string", "1.2.0"),
            tag("otel.status_code", "string", "ERROR"),
            tag("otel.status_description", "string", "out of stock"),
            tag("span.kind", "string", "client"),
        ],
        "logs": [], "processID": "p1", "warnings": null,
    });
    let orphan = json!({
        "traceID": CART, "spanID": "1000000000000004", "operationName": "audit",
        "references": [{"refType": "CHILD_OF", "traceID": CART, "spanID": "10000000000000ff"}],
        "startTime": 1_790_000_000_140_000_u64, "duration": 0,
        "tags": [tag("otel.status_code", "string", "OK"), tag("span.kind", "string", "internal")],
        "logs": [], "processID": "p2",
        "warnings": [
            "its parent 10000000000000ff is not in this trace",
            "it ended before it began, at 2026-09-21T14:13:20.139Z; its duration is shown as 0",
        ],
    });
    let follower = json!({
        "traceID": CART, "spanID": "1000000000000005", "operationName": "notify",
        "references": [{"refType": "FOLLOWS_FROM", "traceID": CART, "spanID": "1000000000000003"}],
        "startTime": 1_790_000_000_149_000_u64, "duration": 500,
        "tags": [tag("span.kind", "string", "producer")],
        "logs": [], "processID": "p2", "warnings": null,
    });
    let processes = json!({
        "p1": {"serviceName": "shop-web", "tags": [
            tag("host.name", "string", "web-1"), tag("process.pid", "int64", 42), tag("zones", "string", r#"["a",1]"#),
        ]},
        "p2": {"serviceName": "stock", "tags": [tag("host.name", "string", "stock-1")]},
    });
    let spans = json!([root, handler, call, orphan, follower]);
    let expected =
        envelope(json!([{"traceID": CART, "spans": spans, "processes": processes, "warnings": null}]));
    assert_eq!(site.jaeger(&format!("/api/traces/{CART}")).await.ok(), expected);
}

/// The answer for [`ping`].
fn ping_answer() -> Value {
    envelope(json!([{
        "traceID": "0a1b2c3d4e5f6071",
        "spans": [{
            "traceID": "0a1b2c3d4e5f6071", "spanID": "0000000000000001", "operationName": "ping", "references": [],
            "startTime": 1_790_000_005_000_000_u64, "duration": 0, "tags": [], "logs": [], "processID": "p1",
            "warnings": null,
        }],
        "processes": {"p1": {"serviceName": "unknown_service", "tags": []}},
        "warnings": null,
    }]))
}

#[tokio::test]
async fn a_trace_is_found_by_every_form_of_its_id() {
    let site = Site::with(&[ping()]).await;
    let base64 = escaped("AAAAAAAAAAAKGyw9Tl9gcQ==");
    for id in [PING, "0a1b2c3d4e5f6071", "a1b2c3d4e5f6071", "0A1B2C3D4E5F6071", &base64, "ChssPU5fYHE="] {
        assert_eq!(site.jaeger(&format!("/api/traces/{id}")).await.ok(), ping_answer(), "{id}");
    }
}

#[tokio::test]
async fn times_beside_an_id_may_be_in_microseconds_or_milliseconds() {
    let site = Site::with(&[ping()]).await;
    let (micros, millis) = (START / 1_000, START / 1_000_000);
    for times in [
        format!("start={micros}&end={}", micros + 9_000_000),
        format!("start={millis}&end={}", millis + 9_000),
    ] {
        assert_eq!(site.jaeger(&format!("/api/traces/{PING}?{times}")).await.ok(), ping_answer(), "{times}");
    }
}

#[tokio::test]
async fn pretty_print_changes_only_the_spaces() {
    let site = Site::with(&[ping()]).await;
    let plain = site.jaeger(&format!("/api/traces/{PING}?prettyPrint=false")).await;
    let pretty = site.jaeger(&format!("/api/traces/{PING}?prettyPrint=true")).await;
    assert!(!plain.text().contains('\n'));
    assert!(pretty.text().contains("\n      \"traceID\""), "{}", pretty.text());
    assert_eq!(plain.ok(), pretty.ok());
}

#[tokio::test]
async fn a_raw_trace_is_as_it_was_received() {
    let [web, stock] = cart();
    let site = Site::with(&[web, stock]).await;
    let answer = site.jaeger(&format!("/api/traces/{CART}?raw=true")).await.ok();
    let spans = answer["data"][0]["spans"].as_array().unwrap();
    let keys: Vec<_> =
        spans[0]["tags"].as_array().unwrap().iter().map(|tag| tag["key"].as_str().unwrap()).collect();
    let expected = [
        "otel.scope.name",
        "otel.scope.version",
        "url.path",
        "http.response.status_code",
        "large",
        "ratio",
        "cached",
        "digest",
        "nested",
        "nothing",
        "span.kind",
        "w3c.tracestate",
    ];
    assert_eq!(keys, expected);
    assert!(spans.iter().all(|span| span["warnings"].is_null()));
}

#[tokio::test]
async fn processes_that_say_the_same_are_one() {
    let other = |span: &str, pid: i64| {
        let mut message = lone("a", CART, span, json!({"startTimeUnixNano": at(0)}));
        let attributes = message["resourceSpans"][0]["resource"]["attributes"].as_array_mut().unwrap();
        attributes.push(crate::fixtures::int("process.pid", pid));
        message
    };
    let site = Site::with(&[other("01", 7), other("02", 8), other("03", 7)].map(padded)).await;
    let answer = site.jaeger(&format!("/api/traces/{CART}")).await.ok();
    let trace = &answer["data"][0];
    let used: Vec<_> =
        trace["spans"].as_array().unwrap().iter().map(|span| span["processID"].clone()).collect();
    assert_eq!(used, ["p1", "p2", "p1"]);
    let process = |pid: i64| json!({"serviceName": "a", "tags": [tag("process.pid", "int64", pid)]});
    assert_eq!(trace["processes"], json!({"p1": process(7), "p2": process(8)}));
}

/// OTLP wants every digit of a span id.
fn padded(mut message: Value) -> Value {
    let id = &mut message["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"];
    *id = json!(format!("{:0>16}", id.as_str().unwrap()));
    message
}

#[tokio::test]
async fn a_server_that_shares_its_clients_id_gets_its_own() {
    let span = |service, id, fields| lone(service, CART, id, fields);
    let site = Site::with(&[
        span("a", "00000000000000aa", json!({"kind": 3, "startTimeUnixNano": at(0)})),
        span("b", "00000000000000aa", json!({"kind": 2, "startTimeUnixNano": at(1)})),
        span(
            "b",
            "0000000000000001",
            json!({"parentSpanId": "00000000000000aa", "startTimeUnixNano": at(2)}),
        ),
        span(
            "a",
            "0000000000000003",
            json!({"parentSpanId": "00000000000000aa", "startTimeUnixNano": at(3)}),
        ),
    ])
    .await;
    let shape = async |query: &str| {
        let answer = site.jaeger(&format!("/api/traces/{CART}{query}")).await.ok();
        let spans = answer["data"][0]["spans"].as_array().unwrap().clone();
        let shape = spans.iter().map(|span| {
            let parent = span["references"][0]["spanID"].as_str().unwrap_or_default();
            format!("{} {}", span["spanID"].as_str().unwrap(), parent).trim().to_owned()
        });
        shape.collect::<Vec<_>>()
    };
    let of_client = "0000000000000003 00000000000000aa";
    let split = [
        "00000000000000aa",
        "0000000000000002 00000000000000aa",
        "0000000000000001 0000000000000002",
        of_client,
    ];
    assert_eq!(shape("").await, split);
    let shared = ["00000000000000aa", "00000000000000aa", "0000000000000001 00000000000000aa", of_client];
    assert_eq!(shape("?raw=1").await, shared);
}

#[tokio::test]
async fn two_spans_with_one_id_are_both_given_and_the_second_says_so() {
    let span = |start| {
        lone(
            "a",
            CART,
            "00000000000000aa",
            json!({"startTimeUnixNano": at(start), "name": start.to_string()}),
        )
    };
    let site = Site::with(&[span(0), span(1)]).await;
    let answer = site.jaeger(&format!("/api/traces/{CART}")).await.ok();
    let warnings: Vec<_> =
        answer["data"][0]["spans"].as_array().unwrap().iter().map(|span| span["warnings"].clone()).collect();
    assert_eq!(warnings, [Value::Null, json!(["another span of this trace has the same id"])]);
}

#[tokio::test]
async fn a_trace_says_what_of_it_was_refused() {
    let site = Site::with(&[ping()]).await;
    let refusal = Refusal {
        service: Text::from_static("unknown_service"),
        trace_id: Some(PING.parse().unwrap()),
        reason: RefusalReason::AttributeLimit,
        spans: 2,
        logs: 0,
    };
    site.keep(Batch { refused: vec![refusal], ..Batch::default() }).await;
    let mut expected = ping_answer();
    expected["data"][0]["warnings"] = json!(["spans of this trace that were refused (attribute_limit): 2"]);
    assert_eq!(site.jaeger(&format!("/api/traces/{PING}")).await.ok(), expected);
}

#[tokio::test]
async fn numbers_that_json_has_not_are_text() {
    let number = |key: &str, value: &str| json!({"key": key, "value": {"doubleValue": value}});
    let attributes =
        json!([number("a", "NaN"), number("b", "Infinity"), number("c", "-Infinity"), text("d", "\u{0}")]);
    let site = Site::with(&[lone("a", CART, "00000000000000aa", json!({"attributes": attributes}))]).await;
    let answer = site.jaeger(&format!("/api/traces/{CART}")).await.ok();
    let expected = json!([
        tag("a", "float64", "NaN"),
        tag("b", "float64", "Infinity"),
        tag("c", "float64", "-Infinity"),
        tag("d", "string", "\u{0}"),
        tag("span.kind", "string", "internal"),
    ]);
    assert_eq!(answer["data"][0]["spans"][0]["tags"], expected);
}

#[tokio::test]
async fn a_trace_that_is_not_kept_is_a_404_in_the_envelope() {
    let site = Site::with(&[]).await;
    let answer = site.jaeger("/api/traces/123").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let errors = json!([{"code": 404, "msg": "trace not found"}]);
    assert_eq!(
        answer.as_json(),
        json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors})
    );
}
