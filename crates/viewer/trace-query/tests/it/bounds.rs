//! Answers that would be too large, and a store that does not answer.

use crate::{
    fixtures::{PING, RANGE, START},
    site::{AnswerExt as _, Site},
};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use waypost_trace_model::{Batch, Kind, Resource, Scope, Span, SpanId, Status, Text, TraceId};
use waypost_trace_store::{BlockStore, Settings};

/// A trace of so many spans, a nanosecond apart from `start`.
fn trace(id: u8, start: u64, spans: u64) -> Batch {
    let resource = Arc::new(Resource::new(Vec::new(), 0, Text::new()));
    let scope = Arc::new(Scope::default());
    let span = |number: u64| Span {
        trace_id: TraceId::from_bytes(&[id; 16]).unwrap(),
        span_id: SpanId::from_bytes(&number.to_be_bytes()).unwrap(),
        parent_span_id: (number > 1).then(|| SpanId::from_bytes(&1_u64.to_be_bytes()).unwrap()),
        trace_state: Text::new(),
        flags: 0,
        name: Text::from_static("x"),
        kind: Kind::Internal,
        start: start + number,
        end: start + number,
        status: Status::default(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        resource: Arc::clone(&resource),
        scope: Arc::clone(&scope),
    };
    Batch { spans: (1..=spans).map(span).collect(), ..Batch::default() }
}

fn spans(trace: &Value) -> usize {
    trace["spans"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_trace_that_is_too_large_is_cut_and_says_so() {
    // In files: the store in memory takes minutes to pick out so many spans.
    let folder = tempfile::tempdir().unwrap();
    let site = Site { store: Arc::new(BlockStore::open(folder.path(), Settings::default()).unwrap()) };
    site.keep(trace(1, START, 100_001)).await;
    let id = "01".repeat(16);
    let cut = "this trace has 100001 spans; the first 100000 are given, which is the most in one answer";

    let answer = site.jaeger(&format!("/api/traces/{id}")).await.ok();
    let given = &answer["data"][0];
    assert_eq!((spans(given), &given["warnings"]), (100_000, &json!([cut])));
    assert!(given["spans"].as_array().unwrap().iter().all(|span| span["warnings"].is_null()));

    let answer = site.jaeger(&format!("/api/v3/traces/{id}")).await;
    assert_eq!(answer.header("waypost-partial"), cut);
    let first = answer.ok()["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone();
    let warning =
        json!([{"key": "@jaeger@warnings", "value": {"arrayValue": {"values": [{"stringValue": cut}]}}}]);
    assert_eq!((&first["spanId"], &first["attributes"]), (&json!("0000000000000001"), &warning));

    let answer = site.zipkin(&format!("/api/v2/trace/{id}")).await;
    assert_eq!(answer.header("waypost-partial"), cut);
    assert_eq!(answer.ok().as_array().unwrap().len(), 100_000);
    site.store.close().await;
}

#[tokio::test]
async fn traces_that_do_not_fit_into_one_answer_are_left_out_and_counted() {
    let site = Site::with(&[]).await;
    for (id, size) in [(1, 10), (2, 60_000), (3, 40_001), (4, 10)] {
        site.keep(trace(id, START + u64::from(id) * 1_000_000, size)).await;
    }
    let left_out = "traces found and left out: 2; an answer has at most 100000 spans, ask for fewer traces";
    let answer = site.jaeger(&format!("/api/traces?{RANGE}")).await.ok();
    let given: Vec<_> = answer["data"].as_array().unwrap().iter().map(spans).collect();
    assert_eq!(given, [10, 40_001]);
    assert_eq!(answer["errors"], json!([{"msg": left_out}]));
    let end = START / 1_000_000 + 1_000;
    let answer = site.zipkin(&format!("/api/v2/traces?endTs={end}")).await;
    assert_eq!(answer.header("waypost-partial"), left_out);
    assert_eq!(answer.ok().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn more_than_a_thousand_traces_are_not_given() {
    let site = Site::with(&[]).await;
    let mut batch = Batch::default();
    for number in 1..=1_001_u64 {
        let mut one = trace(1, START + number, 1);
        one.spans[0].trace_id = TraceId::from_bytes(&u128::from(number).to_be_bytes()).unwrap();
        batch.spans.append(&mut one.spans);
    }
    site.keep(batch).await;
    let note = "only the newest 1000 traces are given, which is the most in one answer";
    let answer = site.jaeger(&format!("/api/traces?{RANGE}&limit=5000")).await.ok();
    assert_eq!(
        (answer["data"].as_array().unwrap().len(), &answer["errors"]),
        (1_000, &json!([{"msg": note}]))
    );
    assert_eq!(answer["data"][0]["traceID"], "00000000000003e9");
    let answer = site.jaeger(&format!("/api/traces?{RANGE}&limit=1000")).await.ok();
    assert_eq!((answer["data"].as_array().unwrap().len(), &answer["errors"]), (1_000, &Value::Null));
    let times = "query.startTimeMin=2026-09-21T14:00:00Z&query.startTimeMax=2026-09-21T15:00:00Z";
    let answer = site.jaeger(&format!("/api/v3/trace-summaries?{times}&query.searchDepth=2000")).await;
    assert_eq!(answer.header("waypost-partial"), note);
    assert_eq!(answer.ok()["summaries"].as_array().unwrap().len(), 1_000);
    let end = START / 1_000_000 + 1_000;
    let answer = site.zipkin(&format!("/api/v2/traces?endTs={end}&limit=1001")).await;
    assert_eq!(answer.header("waypost-partial"), note);
    assert_eq!(answer.ok().as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_store_that_is_closed_is_a_503_in_each_apis_form() {
    let site = Site::with(&[]).await;
    site.store.close().await;
    let message = "the store cannot be read";
    let answer = site.jaeger(&format!("/api/traces/{PING}")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    let errors = json!([{"code": 503, "msg": message}]);
    assert_eq!(
        answer.as_json(),
        json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors})
    );
    let answer = site.jaeger(&format!("/api/v3/traces/{PING}")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert_eq!(answer.as_json(), json!({"error": {"httpCode": 503, "message": message}}));
    let answer = site.zipkin(&format!("/api/v2/trace/{PING}")).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::SERVICE_UNAVAILABLE, message));
}
