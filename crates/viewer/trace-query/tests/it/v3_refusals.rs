//! What api_v3 refuses.

use crate::site::{AnswerExt as _, Site, escaped};
use serde_json::json;

async fn expect(path: &str, message: &str) {
    let answer = Site::with(&[]).await.jaeger(path).await;
    assert_eq!(answer.status.as_u16(), 400, "{path}");
    assert_eq!(answer.as_json(), json!({"error": {"httpCode": 400, "message": message}}), "{path}");
}

#[tokio::test]
async fn both_times_of_a_search_are_required() {
    for path in ["/api/v3/traces", "/api/v3/trace-summaries"] {
        expect(path, "parameter 'query.startTimeMin': it is required").await;
        let only_min = format!("{path}?query.startTimeMin=2026-01-01T00:00:00Z");
        expect(&only_min, "parameter 'query.startTimeMax': it is required").await;
    }
}

#[tokio::test]
async fn a_bad_parameter_of_a_search_is_named() {
    let times = "query.start_time_min=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z";
    for (query, message) in [
        ("query.searchDepth=x", "parameter 'query.searchDepth': `x` is not a whole number"),
        ("query.num_traces=0", "parameter 'query.num_traces': `0` is not a number of traces"),
        ("query.durationMin=5", "parameter 'query.durationMin': `5` is not a duration such as 1.5s or 250ms"),
        (
            "query.duration_max=x",
            "parameter 'query.duration_max': `x` is not a duration such as 1.5s or 250ms",
        ),
        (
            "query.durationMin=2s&query.durationMax=1s",
            "parameter 'query.durationMax': it is less than the shortest duration asked for",
        ),
        ("query.rawTraces=x", "parameter 'query.rawTraces': `x` is not true or false"),
        ("query.filter=%7B%7D", "parameter 'query.filter': structured filters are not supported"),
    ] {
        expect(&format!("/api/v3/traces?{times}&{query}"), message).await;
    }
    let attributes = escaped(r#"{"scope.name":"x"}"#);
    let message = "parameter 'query.attributes': `scope.name` cannot be searched for here";
    expect(&format!("/api/v3/traces?{times}&query.attributes={attributes}"), message).await;
    let message =
        "parameter 'query.attributes': it is not a JSON object of strings: expected value at line 1 column 1";
    expect(&format!("/api/v3/traces?{times}&query.attributes=x"), message).await;
}

#[tokio::test]
async fn times_must_be_rfc_3339_and_in_order() {
    let message = "parameter 'query.start_time_min': `1790000000` is not a time in RFC 3339";
    expect("/api/v3/traces?query.start_time_min=1790000000", message).await;
    let same = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-01T00:00:00Z";
    let message = "parameter 'query.startTimeMin': it must be before query.startTimeMax";
    expect(&format!("/api/v3/traces?{same}"), message).await;
}

#[tokio::test]
async fn a_bad_trace_id_or_time_beside_it_is_named() {
    expect("/api/v3/traces/xyz", "parameter 'trace_id': `xyz` is not a trace id: `z` is not a hex digit")
        .await;
    expect("/api/v3/traces/1?startTime=x", "parameter 'startTime': `x` is not a time in RFC 3339").await;
    expect("/api/v3/traces/1?end_time=x", "parameter 'end_time': `x` is not a time in RFC 3339").await;
    expect("/api/v3/traces/1?raw_traces=x", "parameter 'raw_traces': `x` is not true or false").await;
}

#[tokio::test]
async fn operations_want_a_service_and_dependencies_a_window() {
    expect("/api/v3/operations", "parameter 'service': it is required").await;
    expect("/api/v3/dependencies", "parameter 'startTime': it is required").await;
    let start = "startTime=2026-01-01T00:00:00Z";
    expect(&format!("/api/v3/dependencies?{start}"), "parameter 'endTime': it is required").await;
    let message = "parameter 'endTime': it must be after startTime";
    expect(&format!("/api/v3/dependencies?{start}&endTime=2026-01-01T00:00:00Z"), message).await;
}
