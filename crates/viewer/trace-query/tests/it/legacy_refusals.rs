//! What Jaeger's JSON API refuses, and what it answers without an archive.

use crate::site::{AnswerExt as _, Site, escaped};
use serde_json::json;

/// Asks, and expects an error in the envelope.
async fn expect(path: &str, code: u16, message: &str) {
    let answer = Site::with(&[]).await.jaeger(path).await;
    assert_eq!(answer.status.as_u16(), code, "{path}");
    let errors = json!([{"code": code, "msg": message}]);
    let expected = json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors});
    assert_eq!(answer.as_json(), expected, "{path}");
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    for (query, message) in [
        ("start=yesterday", "parameter 'start': `yesterday` is not a whole number"),
        ("end=1.5", "parameter 'end': `1.5` is not a whole number"),
        ("limit=many", "parameter 'limit': `many` is not a whole number"),
        ("limit=0", "parameter 'limit': `0` is not a number of traces"),
        ("limit=-1", "parameter 'limit': `-1` is not a number of traces"),
        ("minDuration=5", "parameter 'minDuration': `5` is not a duration such as 1.5s or 250ms"),
        ("maxDuration=-5s", "parameter 'maxDuration': `-5s` is not a duration such as 1.5s or 250ms"),
        (
            "minDuration=2s&maxDuration=1s",
            "parameter 'maxDuration': it is less than the shortest duration asked for",
        ),
        ("tag=k", "parameter 'tag': `k` is not of the form key:value"),
        ("tag=otel.scope.name:x", "parameter 'tag': `otel.scope.name` cannot be searched for here"),
        ("traceID=xyz", "parameter 'traceID': `xyz` is not a trace id: `z` is not a hex digit"),
        ("raw=maybe", "parameter 'raw': `maybe` is not true or false"),
    ] {
        expect(&format!("/api/traces?{query}"), 400, message).await;
    }
    let tags = escaped(r#"{"k":1}"#);
    let message = "parameter 'tags': it is not a JSON object of strings: invalid type: integer `1`, expected a string \
                   at line 1 column 6";
    expect(&format!("/api/traces?tags={tags}"), 400, message).await;
}

#[tokio::test]
async fn a_bad_trace_id_or_time_is_named() {
    let message = "parameter 'traceID': `0` is not a trace id: an id of zeros is not valid";
    expect("/api/traces/0", 400, message).await;
    let long = "1".repeat(33);
    let message = format!("parameter 'traceID': `{long}` is not a trace id: an id has 1 to 32 hex digits");
    expect(&format!("/api/traces/{long}"), 400, &message).await;
    expect("/api/traces/1?start=x", 400, "parameter 'start': `x` is not a whole number").await;
    expect("/api/traces/1?end=x", 400, "parameter 'end': `x` is not a whole number").await;
    expect("/api/traces/1?raw=x", 400, "parameter 'raw': `x` is not true or false").await;
}

#[tokio::test]
async fn bad_windows_of_dependencies_are_named() {
    expect("/api/dependencies?endTs=x", 400, "parameter 'endTs': `x` is not a whole number").await;
    expect("/api/dependencies?lookback=1h", 400, "parameter 'lookback': `1h` is not a whole number").await;
    expect("/api/dependencies?lookback=-1", 400, "parameter 'lookback': it is negative").await;
}

#[tokio::test]
async fn what_is_asked_wrongly_of_figures_is_named() {
    for (query, message) in [
        ("latencies?service=a", "parameter 'quantile': it must be a number"),
        ("latencies?service=a&quantile=95", "parameter 'quantile': it must be above 0 and at most 1"),
        ("calls", "parameter 'service': at least one service must be named"),
        ("errors?service=a&step=x", "parameter 'step': `x` is not a whole number"),
        ("errors?service=a&ratePer=0", "parameter 'ratePer': it must be more than 0"),
        ("calls?service=a&spanKind=clerk", "parameter 'spanKind': `clerk` is not a kind of span"),
        (
            "calls?service=a&groupByOperation=maybe",
            "parameter 'groupByOperation': `maybe` is not true or false",
        ),
    ] {
        expect(&format!("/api/metrics/{query}"), 400, message).await;
    }
}

#[tokio::test]
async fn there_is_no_archive() {
    let site = Site::with(&[]).await;
    let answer = site.jaeger_post("/api/archive/1", "").await;
    assert_eq!(answer.status.as_u16(), 500);
    let errors = json!([{"code": 500, "msg": "archive storage is not configured"}]);
    assert_eq!(
        answer.as_json(),
        json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors})
    );
    assert_eq!(site.jaeger_post("/api/archive/zz", "").await.status.as_u16(), 400);
}

#[tokio::test]
async fn paths_that_jaeger_has_not_are_left_to_the_fallback() {
    assert_eq!(Site::with(&[]).await.jaeger("/api/nothing").await.status.as_u16(), 404);
}
