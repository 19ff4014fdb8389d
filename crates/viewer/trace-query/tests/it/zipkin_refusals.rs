//! What Zipkin's API refuses, in plain text.

use crate::site::Site;

async fn expect(path: &str, code: u16, message: &str) {
    let answer = Site::with(&[]).await.zipkin(path).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (code, message), "{path}");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{path}");
}

#[tokio::test]
async fn a_trace_that_is_not_kept_is_a_404() {
    expect("/api/v2/trace/abc", 404, "0000000000000abc not found").await;
    let id = "7180c278b62e8f6a216a2aea45d08fc9";
    expect(&format!("/api/v2/trace/{id}"), 404, &format!("{id} not found")).await;
}

#[tokio::test]
async fn a_malformed_id_is_a_bad_request() {
    expect("/api/v2/trace/xyz", 400, "parameter 'traceId': `xyz` is not a trace id: `z` is not a hex digit")
        .await;
    expect("/api/v2/trace/0", 400, "parameter 'traceId': `0` is not a trace id: an id of zeros is not valid")
        .await;
    let long = "1".repeat(33);
    let message = format!("parameter 'traceId': `{long}` is not a trace id: an id has 1 to 32 hex digits");
    expect(&format!("/api/v2/trace/{long}"), 400, &message).await;
}

#[tokio::test]
async fn many_traces_are_at_least_two_different_ones() {
    expect("/api/v2/traceMany", 400, "parameter 'traceIds': it is required").await;
    expect("/api/v2/traceMany?traceIds=", 400, "parameter 'traceIds': it is required").await;
    let single = "parameter 'traceIds': ask /api/v2/trace/{traceId} for a single trace";
    expect("/api/v2/traceMany?traceIds=1", 400, single).await;
    expect("/api/v2/traceMany?traceIds=1,01", 400, "parameter 'traceIds': `01` is there twice").await;
    let malformed = "parameter 'traceIds': `` is not a trace id: an id has 1 to 32 hex digits";
    expect("/api/v2/traceMany?traceIds=1,", 400, malformed).await;
}

#[tokio::test]
async fn names_want_what_they_are_names_of() {
    expect("/api/v2/spans", 400, "parameter 'serviceName': it is required").await;
    expect("/api/v2/remoteServices", 400, "parameter 'serviceName': it is required").await;
    expect("/api/v2/autocompleteValues", 400, "parameter 'key': it is required").await;
    expect("/api/v2/dependencies", 400, "parameter 'endTs': it is required").await;
}

#[tokio::test]
async fn a_bad_parameter_of_a_search_is_named() {
    for (query, message) in [
        ("endTs=x", "parameter 'endTs': `x` is not a whole number"),
        ("endTs=0", "parameter 'endTs': `0` is not above zero"),
        ("lookback=-1", "parameter 'lookback': `-1` is not above zero"),
        ("limit=0", "parameter 'limit': `0` is not above zero"),
        ("minDuration=1ms", "parameter 'minDuration': `1ms` is not a whole number"),
        ("maxDuration=5", "parameter 'maxDuration': it is only valid with minDuration"),
        ("minDuration=5&maxDuration=4", "parameter 'maxDuration': it is less than minDuration"),
        (
            "annotationQuery==x",
            "parameter 'annotationQuery': it must be at most 100 times `word` or `key=value`",
        ),
    ] {
        expect(&format!("/api/v2/traces?{query}"), 400, message).await;
    }
    expect("/api/v2/dependencies?endTs=x", 400, "parameter 'endTs': `x` is not a whole number").await;
    expect("/api/v2/dependencies?endTs=5&lookback=0", 400, "parameter 'lookback': `0` is not above zero")
        .await;
}
