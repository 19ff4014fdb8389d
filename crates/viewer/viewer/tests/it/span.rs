//! `GET /traces/{id}/spans/{span_id}` and `GET /traces/{id}/matches`.

use crate::{
    fixture::{CALL, CHARGE, NASTY, OTHER_TRACE, ROOT, TRACE, at, shop},
    http::ReplyExt as _,
    viewer::Viewer,
};
use serde_json::json;

#[tokio::test]
async fn a_span_is_told_whole_with_its_logs_and_the_links_that_lead_back() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let expected = json!({
        "spans": [{
            "span_id": CHARGE, "parent_span_id": CALL, "trace_state": "a=b", "flags": 257, "name": NASTY,
            "kind": "server", "start": at(5), "end": at(25),
            "status": {"code": "error", "message": "card declined"},
            "attributes": [
                {"key": "list", "type": "array",
                 "value": [{"type": "bool", "value": true}, {"type": "int", "value": "7"}]},
                {"key": "map", "type": "map", "value": [{"key": "k", "type": "bytes", "value": "AP8="}]},
            ],
            "dropped_attributes": 3,
            "events": [{
                "time": at(24), "name": "exception", "dropped_attributes": 1,
                "attributes": [{"key": "exception.message", "type": "string", "value": "declined"}],
            }],
            "dropped_events": 4,
            "links": [{
                "trace_id": OTHER_TRACE, "span_id": "0000000000000001", "trace_state": "c=d", "flags": 1,
                "attributes": [], "dropped_attributes": 0, "kept": true,
            }],
            "dropped_links": 5,
            "resource": {
                "service": "payment-service", "dropped_attributes": 0, "schema_url": "",
                "attributes": [
                    {"key": "service.name", "type": "string", "value": "payment-service"},
                    {"key": "host.name", "type": "string", "value": "box-1"},
                ],
            },
            "scope": {
                "name": "shop", "version": "1.2", "attributes": [], "dropped_attributes": 0, "schema_url": "",
            },
        }],
        "logs": [{
            "time": at(6), "observed": at(7), "severity": 17, "severity_text": "ERROR",
            "body": NASTY, "body_type": "string", "event_name": "",
            "attributes": [{"key": "attempt", "type": "int", "value": "1"}], "dropped_attributes": 0,
            "trace_id": TRACE, "span_id": CHARGE, "service": "payment-service", "scope": "log",
        }],
        "linked_from": [{"trace_id": OTHER_TRACE, "span_id": "0000000000000001"}],
        "linked_from_is_partial": false,
    });
    let reply = viewer.get(&format!("/api/v1/traces/{TRACE}/spans/c3")).await;
    assert_eq!(reply.json, expected);
    assert!(reply.text().contains(r"\u0001"), "control characters are escaped in the text itself");
}

#[tokio::test]
async fn links_to_traces_that_are_not_kept_say_so() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let span = viewer.api("/traces/ab/spans/1").await;
    let kept: Vec<_> =
        span["spans"][0]["links"].as_array().unwrap().iter().map(|link| &link["kept"]).collect();
    assert_eq!(kept, [&json!(true), &json!(false)]);
    assert_eq!(span["linked_from"], json!([{"trace_id": TRACE, "span_id": CHARGE}]));
    let root = viewer.api(&format!("/traces/{TRACE}/spans/{ROOT}")).await;
    assert_eq!(root["linked_from"], json!([]), "the links into the trace mean another span of it");
}

#[tokio::test]
async fn a_span_that_is_not_there_is_404() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    for path in [format!("/api/v1/traces/{TRACE}/spans/d4"), "/api/v1/traces/5/spans/c3".to_owned()] {
        let reply = viewer.get(&path).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (404, "not-found"));
    }
}

#[tokio::test]
async fn spans_of_a_trace_are_found_by_a_filter() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let matches = |filter: &str| format!("/traces/{TRACE}/matches?{filter}");
    let answer = viewer.api(&matches("service=api-gateway")).await;
    assert_eq!(answer, json!({"span_ids": [ROOT, CALL], "is_partial": false}));
    let answer = viewer.api(&matches("attr=event%3Aexception.message~DECL")).await;
    assert_eq!(answer, json!({"span_ids": [CHARGE], "is_partial": false}));
    assert_eq!(viewer.api("/traces/5/matches").await, json!({"span_ids": [], "is_partial": false}));
}
