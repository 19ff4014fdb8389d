//! `GET /traces/{id}`.

use crate::{
    fixture::{CALL, CHARGE, NASTY, ROOT, START, TRACE, at, resource, shop},
    http::ReplyExt as _,
    viewer::Viewer,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_trace_is_columns_in_the_order_of_a_walk_with_its_critical_path() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let expected = json!({
        "trace_id": TRACE, "start": START.to_string(), "duration": 48_000_000, "spans": 3, "errors": 1,
        "services": ["api-gateway", "payment-service"], "names": ["POST /api/orders", "charge", NASTY],
        "rows": {
            "id": [ROOT, CALL, CHARGE], "parent": [-1, 0, 1], "depth": [0, 1, 2], "descendants": [2, 1, 0],
            "service": [0, 0, 1], "name": [0, 1, 2], "kind": ["server", "client", "server"],
            "status": ["unset", "unset", "error"], "start": [0, 1_000_000, 5_000_000],
            "duration": [48_000_000, 30_000_000, 20_000_000], "attributes": [3, 0, 2], "events": [0, 0, 1],
            "links": [0, 0, 1], "logs": [0, 0, 1], "dropped": [0, 0, 13], "orphan": [false, false, false],
        },
        "roots": [0], "repairs": [],
        "completeness": {"complete": true, "orphans": 0, "refused": {}, "evicted": 0, "dropped": 13},
        "critical_path": {
            "root": 0,
            "segments": [
                {"row": 0, "start": 0, "duration": 1_000_000},
                {"row": 1, "start": 1_000_000, "duration": 4_000_000},
                {"row": 2, "start": 5_000_000, "duration": 20_000_000},
                {"row": 1, "start": 25_000_000, "duration": 6_000_000},
                {"row": 0, "start": 31_000_000, "duration": 17_000_000},
            ],
            "parts": [
                {"row": 2, "category": "work", "time": 20_000_000},
                {"row": 0, "category": "work", "time": 18_000_000},
                {"row": 1, "category": "network", "time": 10_000_000},
            ],
            "slowest": 2, "overlaps": [], "outliving": [],
        },
    });
    assert_eq!(viewer.api(&format!("/traces/{TRACE}")).await, expected);
}

#[tokio::test]
async fn leading_zeros_of_an_id_may_be_left_out_and_what_is_not_kept_is_404() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    assert_eq!(viewer.api("/traces/AB").await["spans"], 1);
    let reply = viewer.get("/api/v1/traces/abc").await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (404, "not-found"));
    assert_eq!(reply.json["detail"], "trace 00000000000000000000000000000abc is not kept here");
}

#[tokio::test]
async fn missing_parents_and_negative_durations_are_said() {
    let viewer = Viewer::open();
    let span = json!({
        "traceId": "1", "spanId": "2", "parentSpanId": "3", "name": "left behind",
        "startTimeUnixNano": at(5), "endTimeUnixNano": at(4),
    });
    let ids = span.to_string().replace("\"1\"", "\"00000000000000000000000000000001\"");
    let ids = ids.replace("\"2\"", "\"0000000000000002\"").replace("\"3\"", "\"0000000000000003\"");
    let span: Value = serde_json::from_str(&ids).unwrap();
    viewer.import(&json!({"resourceSpans": [resource("shop", &json!([span]))]})).await;
    let trace = viewer.api("/traces/1").await;
    assert_eq!(trace["rows"]["orphan"], json!([true]));
    assert_eq!(trace["rows"]["duration"], json!([0]));
    assert_eq!(trace["completeness"]["complete"], false);
    let mut repairs: Vec<String> =
        trace["repairs"].as_array().unwrap().iter().map(Value::to_string).collect();
    repairs.sort();
    assert_eq!(repairs, [r#"{"row":0,"what":"missing_parent"}"#, r#"{"row":0,"what":"negative_duration"}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_spans_are_one_answer() {
    const SPANS: usize = 100_000;
    let viewer = Viewer::open();
    let span = |number: usize| {
        let parent = if number == 1 { String::new() } else { format!("{:016x}", number / 2) };
        json!({
            "traceId": TRACE, "spanId": format!("{number:016x}"), "parentSpanId": parent, "name": "step",
            "startTimeUnixNano": at(number as u64), "endTimeUnixNano": at(1_000_000),
        })
    };
    let spans: Vec<Value> = (1..=SPANS).map(span).collect();
    viewer.import(&json!({"resourceSpans": [resource("shop", &Value::from(spans))]})).await;
    let trace = viewer.api(&format!("/traces/{TRACE}")).await;
    assert_eq!(trace["spans"], SPANS);
    let rows = trace["rows"].as_object().unwrap();
    assert_eq!(rows.len(), 16);
    for (name, column) in rows {
        assert_eq!(column.as_array().unwrap().len(), SPANS, "{name}");
    }
    assert_eq!(rows["descendants"][0], SPANS - 1);
    assert_eq!(trace["names"], json!(["step"]));
}

#[tokio::test]
async fn fields_of_all_spans_are_answered_at_once() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let answer =
        viewer.api(&format!("/traces/{TRACE}/columns?column=http.response.status_code&column=message")).await;
    let expected = json!({"spans": [
        {"span_id": ROOT, "values": ["502", null]},
        {"span_id": CHARGE, "values": [null, "card declined"]},
    ]});
    assert_eq!(answer, expected, "a span without any is left out");
    let answer = viewer.api(&format!("/traces/{TRACE}/columns?column=kind")).await;
    assert_eq!(answer["spans"].as_array().unwrap().len(), 3);
    for (path, status) in
        [(format!("/traces/{TRACE}/columns"), 400), ("/traces/77/columns?column=kind".to_owned(), 404)]
    {
        assert_eq!(viewer.get(&format!("/api/v1{path}")).await.status.as_u16(), status, "{path}");
    }
}
