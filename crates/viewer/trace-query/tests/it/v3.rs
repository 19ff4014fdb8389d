//! api_v3: the same spans come out as went in.

use crate::{
    fixtures::{CART, PING, at, cart, lone, ping, text},
    site::{AnswerExt as _, Site, escaped},
};
use http::StatusCode;
use serde_json::{Value, json};

/// A search of everything.
const TIMES: &str = "query.startTimeMin=2026-09-21T14:00:00Z&query.startTimeMax=2026-09-21T15:00:00Z";

/// Last digits of the ids of the traces that are found, in their order.
async fn found(site: &Site, query: &str) -> Vec<String> {
    let answer = site.jaeger(&format!("/api/v3/traces?{query}")).await;
    if answer.status == StatusCode::NOT_FOUND {
        assert_eq!(answer.as_json(), json!({"error": {"httpCode": 404, "message": "No traces found"}}));
        return Vec::new();
    }
    let answer = answer.ok();
    let resources = answer["result"]["resourceSpans"].as_array().unwrap();
    let id = |resource: &Value| resource["scopeSpans"][0]["spans"][0]["traceId"].as_str().unwrap().to_owned();
    resources.iter().map(|resource| id(resource).trim_start_matches('0').to_owned()).collect()
}

#[tokio::test]
async fn what_went_in_as_otlp_json_comes_out_the_same() {
    let attributes = json!([
        text("url.path", "/a <script>\u{7}"),
        {"key": "large", "value": {"intValue": "9007199254740993"}},
        {"key": "ratio", "value": {"doubleValue": 0.25}},
        {"key": "cached", "value": {"boolValue": true}},
        {"key": "digest", "value": {"bytesValue": "AP8="}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [text("k", "v")]}}},
    ]);
    let span = json!({
        "traceId": CART, "spanId": "00f1e2d3c4b5a697", "parentSpanId": "0000000000000009", "name": "GET /a", "kind": 2,
        "flags": 257, "traceState": "vendor=1",
        "startTimeUnixNano": at(123_456_789), "endTimeUnixNano": at(123_456_790),
        "attributes": attributes, "droppedAttributesCount": 3,
        "events": [{"timeUnixNano": at(1), "name": "e", "attributes": [text("k", "v")], "droppedAttributesCount": 1}],
        "droppedEventsCount": 2,
        "links": [{
            "traceId": PING, "spanId": "0000000000000001", "traceState": "a=b", "flags": 1,
            "attributes": [text("k", "v")], "droppedAttributesCount": 4,
        }],
        "droppedLinksCount": 5, "status": {"code": 2, "message": "no"},
    });
    let attributes = json!([text("service.name", "a"), text("host.name", "h")]);
    let resource = json!({"attributes": attributes, "droppedAttributesCount": 6});
    let scope =
        json!({"name": "lib", "version": "1", "attributes": [text("k", "v")], "droppedAttributesCount": 7});
    let message = json!({"resourceSpans": [{
        "resource": resource, "schemaUrl": "https://example.com/r",
        "scopeSpans": [{"scope": scope, "schemaUrl": "https://example.com/s", "spans": [span]}],
    }]});
    let site = Site::with(std::slice::from_ref(&message)).await;
    let expected = json!({"result": message});
    assert_eq!(site.jaeger(&format!("/api/v3/traces/{CART}")).await.ok(), expected);
    assert_eq!(site.jaeger(&format!("/api/v3/traces?{TIMES}&query.serviceName=a")).await.ok(), expected);
}

#[tokio::test]
async fn a_trace_is_found_by_every_form_of_its_id_and_with_times_beside_it() {
    let site = Site::with(&[ping()]).await;
    let times = "startTime=2026-01-01T00:00:00.000000001Z&end_time=2027-01-01T02:00:00+02:00&rawTraces=true";
    for id in [PING, "a1b2c3d4e5f6071", "AAAAAAAAAAAKGyw9Tl9gcQ=="] {
        let answer = site.jaeger(&format!("/api/v3/traces/{id}?{times}")).await.ok();
        assert_eq!(
            answer["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"], PING,
            "{id}"
        );
    }
}

#[tokio::test]
async fn names_are_bare_lists() {
    let [web, stock] = cart();
    let site = Site::with(&[web, stock]).await;
    assert_eq!(site.jaeger("/api/v3/services").await.ok(), json!({"services": ["shop-web", "stock"]}));
    let operation = |name: &str, kind: &str| json!({"name": name, "spanKind": kind});
    let servers = json!({"operations": [operation("Reserve", "server")]});
    assert_eq!(site.jaeger("/api/v3/operations?service=stock&spanKind=server").await.ok(), servers);
    assert_eq!(site.jaeger("/api/v3/operations?service=stock&span_kind=SERVER").await.ok(), servers);
    let all = json!({"operations": [operation("GET /cart", "server"), operation("reserve", "client")]});
    assert_eq!(site.jaeger("/api/v3/operations?service=shop-web").await.ok(), all);
    let site = Site::with(&[ping()]).await;
    let unsaid = json!({"operations": [operation("ping", "internal")]});
    assert_eq!(site.jaeger("/api/v3/operations?service=unknown_service").await.ok(), unsaid);
    let empty = Site::with(&[]).await;
    assert_eq!(empty.jaeger("/api/v3/services").await.ok(), json!({"services": []}));
    assert_eq!(empty.jaeger("/api/v3/operations?service=a").await.ok(), json!({"operations": []}));
}

/// Three traces of service `a`, a second apart.
async fn three() -> Site {
    let trace = |number: u64, mut fields: Value| {
        fields["startTimeUnixNano"] = json!(at(number * 1_000_000_000));
        fields["endTimeUnixNano"] = json!(at(number * 1_001_000_000));
        lone("a", &format!("{number:032x}"), "00000000000000aa", fields)
    };
    Site::with(&[
        trace(1, json!({"name": "get", "attributes": [text("k", "v")]})),
        trace(2, json!({"name": "put", "status": {"code": 2}})),
        trace(3, json!({"name": "get"})),
    ])
    .await
}

#[tokio::test]
async fn conditions_narrow_the_search_under_both_spellings() {
    let site = three().await;
    for (condition, expected) in [
        ("query.serviceName=a".to_owned(), vec!["3", "2", "1"]),
        ("query.service_name=b".to_owned(), vec![]),
        ("query.operationName=get".to_owned(), vec!["3", "1"]),
        ("query.operation_name=put".to_owned(), vec!["2"]),
        ("query.searchDepth=2".to_owned(), vec!["3", "2"]),
        ("query.search_depth=1".to_owned(), vec!["3"]),
        ("query.num_traces=1".to_owned(), vec!["3"]),
        ("query.durationMin=2ms&query.durationMax=0.002s".to_owned(), vec!["2"]),
        ("query.duration_min=2.5ms".to_owned(), vec!["3"]),
        ("query.duration_max=1ms".to_owned(), vec!["1"]),
        (format!("query.attributes={}", escaped(r#"{"k":"v"}"#)), vec!["1"]),
        (format!("query.attributes={}", escaped(r#"{"error":"true"}"#)), vec!["2"]),
        ("query.rawTraces=true".to_owned(), vec!["3", "2", "1"]),
    ] {
        assert_eq!(found(&site, &format!("{TIMES}&{condition}")).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn times_have_offsets_and_nanoseconds() {
    let site = three().await;
    for (min, max, expected) in [
        ("2026-09-21T14:13:22Z", "2026-09-21T14:13:23Z", vec!["3", "2"]),
        ("2026-09-21T14:13:22.000000001Z", "2026-09-21T14:13:22.999999999Z", vec![]),
        ("2026-09-21T16:13:22%2B02:00", "2026-09-21T09:13:22.5-05:00", vec!["2"]),
        // A client that does not escape the plus.
        ("2026-09-21T16:13:22+02:00", "2026-09-21T16:13:22.5+02:00", vec!["2"]),
    ] {
        let query = format!("query.start_time_min={min}&query.start_time_max={max}");
        assert_eq!(found(&site, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_summary_says_what_a_trace_is_without_its_spans() {
    let [web, stock] = cart();
    let site = Site::with(&[web, stock, ping()]).await;
    let summaries = site.jaeger(&format!("/api/v3/trace-summaries?{TIMES}&query.searchDepth=5")).await.ok();
    let ping = json!({
        "traceId": PING, "rootServiceName": "unknown_service", "rootOperationName": "ping",
        "minStartTimeUnixNano": at(5_000_000_000), "maxEndTimeUnixNano": at(5_000_000_999), "spanCount": 1,
        "services": [{"name": "unknown_service", "spanCount": 1}],
    });
    let cart = json!({
        "traceId": CART, "rootServiceName": "shop-web", "rootOperationName": "GET /cart",
        "minStartTimeUnixNano": at(123_456_789), "maxEndTimeUnixNano": at(171_668_788),
        "spanCount": 5, "errorSpanCount": 2, "orphanSpanCount": 1,
        "services": [
            {"name": "shop-web", "spanCount": 2, "errorSpanCount": 1},
            {"name": "stock", "spanCount": 3, "errorSpanCount": 1},
        ],
    });
    assert_eq!(summaries, json!({"summaries": [ping, cart]}));
}

#[tokio::test]
async fn a_trace_without_a_root_has_no_root_in_its_summary() {
    let fields = json!({"parentSpanId": "00000000000000bb"});
    let site = Site::with(&[lone("a", CART, "00000000000000aa", fields)]).await;
    let summaries = site.jaeger(&format!("/api/v3/trace-summaries?{TIMES}")).await.ok();
    let expected = json!({
        "traceId": CART, "minStartTimeUnixNano": at(0), "maxEndTimeUnixNano": at(1_000_000), "spanCount": 1,
        "orphanSpanCount": 1, "services": [{"name": "a", "spanCount": 1}],
    });
    assert_eq!(summaries, json!({"summaries": [expected]}));
}

#[tokio::test]
async fn no_match_is_a_404_for_traces_and_an_empty_list_for_summaries() {
    let site = Site::with(&[]).await;
    assert_eq!(found(&site, TIMES).await, [""; 0]);
    assert_eq!(site.jaeger(&format!("/api/v3/trace-summaries?{TIMES}")).await.ok(), json!({"summaries": []}));
    let answer = site.jaeger(&format!("/api/v3/traces/{CART}")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.as_json(), json!({"error": {"httpCode": 404, "message": "No traces found"}}));
}

#[tokio::test]
async fn a_large_trace_comes_in_parts_with_every_span_once() {
    let span = |number: u64| {
        let mut message =
            lone("a", CART, &format!("{number:016x}"), json!({"startTimeUnixNano": at(number)}));
        message["resourceSpans"][0]["scopeSpans"][0]["spans"][0].take()
    };
    let spans: Vec<Value> = (1..=4_500).map(span).collect();
    let mut message = lone("a", CART, "0000000000000001", json!({}));
    message["resourceSpans"][0]["scopeSpans"][0]["spans"] = json!(spans);
    let site = Site::with(&[message]).await;
    let answer = site.jaeger(&format!("/api/v3/traces/{CART}")).await.ok();
    let resources = answer["result"]["resourceSpans"].as_array().unwrap();
    let given: Vec<Value> = resources
        .iter()
        .flat_map(|resource| resource["scopeSpans"].as_array().unwrap())
        .flat_map(|scope| scope["spans"].as_array().unwrap().clone())
        .collect();
    let ids = |spans: &[Value]| spans.iter().map(|span| span["spanId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&given), ids(&spans));
}

#[tokio::test]
async fn a_service_without_a_name_has_the_one_under_which_it_is_listed() {
    let site = Site::with(&[ping()]).await;
    let listed = site.jaeger("/api/v3/services").await.ok();
    let answer = site.jaeger(&format!("/api/v3/traces/{PING}")).await.ok();
    let named = &answer["result"]["resourceSpans"][0]["resource"]["attributes"];
    assert_eq!(*named, json!([text("service.name", "unknown_service")]));
    assert_eq!(listed["services"], json!(["unknown_service"]));
}
