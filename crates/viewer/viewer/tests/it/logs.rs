//! `GET /logs` and `GET /traces/{id}/logs`.

use crate::{
    fixture::{CALL, CHARGE, NASTY, START, TRACE, at, shop},
    http::ReplyExt as _,
    viewer::Viewer,
};
use serde_json::{Value, json};

/// A trace with a log record of its own beside that of its span, and one of no trace.
async fn opened() -> Viewer {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let record = |ms: u64, severity: u8, body: &str, trace: &str, span: &str| json!({"timeUnixNano": at(ms), "severityNumber": severity, "body": {"stringValue": body}, "traceId": trace, "spanId": span});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "clerk"}}]});
    let logs = json!([
        record(1, 9, "the order came", TRACE, ""),
        record(2, 9, "asking for Order N-17", TRACE, CALL),
        record(500, 13, "nobody asked", "", ""),
    ]);
    viewer
        .import(&json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": logs}]}]}))
        .await;
    viewer
}

fn bodies(answer: &Value) -> Vec<&str> {
    answer["logs"].as_array().unwrap().iter().map(|log| log["body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn log_records_are_listed_by_time_with_and_without_a_trace() {
    let viewer = opened().await;
    let all = viewer.api("/logs").await;
    assert_eq!(bodies(&all), ["nobody asked", NASTY, "asking for Order N-17", "the order came"]);
    assert_eq!(all["logs"][0]["trace_id"], Value::Null);
    let expected = json!({
        "time": at(6), "observed": at(7), "severity": 17, "severity_text": "ERROR", "body": NASTY, "body_type": "string",
        "event_name": "", "attributes": [{"key": "attempt", "type": "int", "value": "1"}], "dropped_attributes": 0,
        "trace_id": TRACE, "span_id": CHARGE, "service": "payment-service", "scope": "log",
    });
    assert_eq!(all["logs"][1], expected);
    for (query, found) in [
        ("service=clerk&order=oldest", &["the order came", "asking for Order N-17", "nobody asked"][..]),
        ("severity=warn", &["nobody asked", NASTY]),
        ("severity=error", &[NASTY]),
        ("text=order", &["asking for Order N-17", "the order came"]),
        (&*format!("from={}", START + 400_000_000), &["nobody asked"]),
        (&*format!("to={START}"), &[]),
    ] {
        assert_eq!(bodies(&viewer.api(&format!("/logs?{query}")).await), found, "{query}");
    }
}

#[tokio::test]
async fn the_log_records_of_a_trace_are_all_of_it_in_pages() {
    let viewer = opened().await;
    let path = format!("/traces/{TRACE}/logs");
    assert_eq!(bodies(&viewer.api(&path).await), ["the order came", "asking for Order N-17", NASTY]);
    let first = viewer.api(&format!("{path}?limit=2")).await;
    assert_eq!(bodies(&first), ["the order came", "asking for Order N-17"]);
    let next = first["next"].as_str().unwrap();
    let last = viewer.api(&format!("{path}?limit=2&after={next}")).await;
    assert_eq!((bodies(&last), &last["next"]), (vec![NASTY], &Value::Null));
    for query in ["severity=loud", "limit=1001", "after=x", "color=red"] {
        let reply = viewer.get(&format!("/api/v1{path}?{query}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, "bad-parameter"), "{query}");
    }
}

#[tokio::test]
async fn a_span_is_found_by_what_was_logged_during_it() {
    let viewer = opened().await;
    let matches =
        async |query: &str| viewer.api(&format!("/traces/{TRACE}/matches?{query}")).await["span_ids"].clone();
    assert_eq!(matches("text=n-17").await, json!([CALL]));
    assert_eq!(matches("text=n-17&kind=client").await, json!([CALL]));
    assert_eq!(matches("text=n-17&kind=server").await, json!([]));
    assert_eq!(matches("text=charge").await, json!([CALL]), "its own name");
}
