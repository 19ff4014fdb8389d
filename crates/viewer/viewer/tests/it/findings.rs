//! `GET /traces/{id}/findings`.

use crate::{
    fixture::{OTHER_TRACE, START, TRACE, at, resource, shop},
    http::ReplyExt as _,
    viewer::Viewer,
};
use serde_json::{Value, json};

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A request of 120 ms that asks for 23 products, two milliseconds each, after it looked into a cache without luck and waited
/// for a connection; it calls a host that sends nothing twice, as the first call failed.
fn slow_page() -> Value {
    let span =
        |number: u64, parent: Option<u64>, name: &str, kind: u64, from: u64, to: u64, attributes: Value| {
            let mut span = json!({
                "traceId": TRACE, "spanId": format!("{number:016x}"), "name": name, "kind": kind,
                "startTimeUnixNano": at(from), "endTimeUnixNano": at(to), "attributes": attributes,
            });
            if let Some(parent) = parent {
                span["parentSpanId"] = json!(format!("{parent:016x}"));
            }
            span
        };
    let mut spans = vec![span(1, None, "GET /products", 2, 0, 600, json!([]))];
    let missed = json!([text("cache.name", "prices"), {"key": "cache.hit", "value": {"boolValue": false}}]);
    spans.push(span(2, Some(1), "cache get", 1, 0, 1, missed));
    for number in 0..23 {
        let from = 2 + 2 * number;
        let query = format!("SELECT name FROM products WHERE id = {number}");
        let attributes = json!([
            text("db.system.name", "postgresql"), text("db.namespace", "catalogue"), text("db.query.text", &query),
            {"key": "waypost.db.wait_duration", "value": {"doubleValue": 0.0001}},
        ]);
        spans.push(span(10 + number, Some(1), "SELECT products", 3, from, from + 2, attributes));
    }
    let call = |number: u64, from: u64, to: u64| {
        let attributes = json!([
            text("http.request.method", "POST"),
            text("server.address", "bank.example"),
            text("url.full", &format!("https://bank.example/quotes/{number}")),
        ]);
        span(number, Some(1), "POST", 3, from, to, attributes)
    };
    let mut failed = call(50, 60, 160);
    failed["status"] = json!({"code": 2, "message": "timeout"});
    spans.extend([failed, call(51, 170, 600)]);
    json!({"resourceSpans": [resource("shop", &json!(spans))]})
}

fn of_kind<'a>(answer: &'a Value, kind: &str) -> &'a Value {
    let found = answer["findings"].as_array().unwrap().iter().find(|finding| finding["kind"] == kind);
    found.unwrap_or_else(|| panic!("{kind} is not among {answer}"))
}

#[tokio::test]
async fn findings_count_name_their_spans_and_say_what_they_cost() {
    let viewer = Viewer::open();
    viewer.import(&slow_page()).await;
    let answer = viewer.api(&format!("/traces/{TRACE}/findings")).await;
    assert_eq!(
        (&answer["spans"], &answer["detailed"], &answer["duration"]),
        (&json!(27), &json!(27), &json!(600_000_000))
    );
    let kinds: Vec<&str> =
        answer["findings"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["slow_dependency", "retries", "repeated_call"], "{answer}");

    let retries = of_kind(&answer, "retries");
    assert_eq!(retries["span_ids"], json!([format!("{:016x}", 50), format!("{:016x}", 51)]));
    assert_eq!((&retries["saves"], &retries["service"]), (&json!(110_000_000), &json!("shop")));
    assert_eq!(retries["place"], "POST bank.example /quotes/{}");
    let repeated = of_kind(&answer, "repeated_call");
    assert_eq!((&repeated["spans"], &repeated["on_path"]), (&json!(23), &json!(46_000_000)));
    assert_eq!(repeated["saves"], 44_000_000);
    let sentence = repeated["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("23 times the same call, 46 ms of 600 ms on the critical path"),
        "{sentence}"
    );
    assert!(sentence.contains("SELECT name FROM products WHERE id = ?"), "{sentence}");
}

#[tokio::test]
async fn a_healthy_trace_has_none_and_a_swallowed_error_is_one() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    // Its status code is 502, so nothing was swallowed.
    let answer = viewer.api(&format!("/traces/{TRACE}/findings")).await;
    assert_eq!(answer["findings"], json!([]), "{answer}");
    let mut swallowing = shop();
    swallowing["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"] = json!([]);
    let text = swallowing.to_string().replace(TRACE, OTHER_TRACE);
    viewer.import(&serde_json::from_str(&text).unwrap()).await;
    let answer = viewer.api(&format!("/traces/{OTHER_TRACE}/findings")).await;
    assert_eq!(of_kind(&answer, "swallowed_error")["span_ids"], json!(["00000000000000c3"]));
}

#[tokio::test]
async fn a_trace_that_is_not_kept_is_said_to_be_so() {
    let viewer = Viewer::open();
    let reply = viewer.get(&format!("/api/v1/traces/{START:032x}/findings")).await;
    assert_eq!(reply.status.as_u16(), 404);
    let reply = viewer.get(&format!("/api/v1/traces/{TRACE}/findings?limit=3")).await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, "bad-parameter"));
}
