//! `GET /search` and `GET /points`.

use crate::{
    fixture::{CHARGE, NASTY, OTHER_TRACE, ROOT, TRACE, at, shop, single},
    viewer::Viewer,
};
use serde_json::{Value, json};

fn trace_ids(page: &Value) -> Vec<String> {
    let traces = page["traces"].as_array().unwrap().iter();
    traces.map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_page_of_traces_has_a_line_for_each() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let expected = json!({
        "traces": [{
            "trace_id": TRACE, "start": at(0), "duration": 48_000_000, "spans": 3, "errors": 1, "orphans": 0,
            "complete": true,
            "root": {
                "span_id": ROOT, "service": "api-gateway", "name": "POST /api/orders", "kind": "server",
                "status": "unset", "is_root": true,
            },
            "services": [
                {"name": "api-gateway", "spans": 2, "errors": 0},
                {"name": "payment-service", "spans": 1, "errors": 1},
            ],
            "match": {
                "span_id": CHARGE, "start": at(5), "duration": 20_000_000, "status": "error",
                "service": "payment-service", "name": NASTY, "message": "card declined",
            },
            "error": {
                "span_id": CHARGE, "service": "payment-service", "name": NASTY, "message": "card declined",
                "reason": "card declined",
            },
            "columns": [],
        }],
        "next": null, "scanned_to": null,
    });
    assert_eq!(viewer.api("/search?service=payment-service").await, expected);
}

#[tokio::test]
async fn a_line_tells_the_failed_span_although_another_was_matched() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let page = viewer.api("/search?root=true").await;
    let lines = page["traces"].as_array().unwrap();
    let shop = lines.iter().find(|line| line["trace_id"] == TRACE).unwrap();
    assert_eq!((&shop["match"]["name"], &shop["match"]["message"]), (&json!("POST /api/orders"), &json!("")));
    assert_eq!(shop["error"]["message"], "card declined");
    let other = lines.iter().find(|line| line["trace_id"] != TRACE).unwrap();
    assert_eq!(other["error"], Value::Null);
}

#[tokio::test]
async fn a_line_tells_why_it_failed_although_the_status_has_no_message() {
    let viewer = Viewer::open();
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let failed = |trace: u64, events: Value| {
        json!({
            "traceId": format!("{trace:032x}"), "spanId": format!("{trace:016x}"), "name": "charge", "kind": 3,
            "startTimeUnixNano": at(trace), "endTimeUnixNano": at(trace + 1), "status": {"code": 2},
            "attributes": [attribute("error.type", "timeout")], "events": events,
        })
    };
    let raised =
        |attributes: Value| json!([{"timeUnixNano": at(5), "name": "exception", "attributes": attributes}]);
    let spans = json!([
        failed(1, json!([])),
        failed(2, raised(json!([attribute("exception.type", "IoError")]))),
        failed(
            3,
            raised(json!([
                attribute("exception.type", "IoError"),
                attribute("exception.message", "broken pipe")
            ]))
        ),
    ]);
    viewer.import(&json!({"resourceSpans": [crate::fixture::resource("till", &spans)]})).await;
    let page = viewer.api("/search?order=oldest").await;
    let reasons: Vec<&str> = page["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["error"]["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["timeout", "IoError", "broken pipe"]);
}

#[tokio::test]
async fn a_line_has_the_columns_that_are_asked_for() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let columns =
        "column=http.response.status_code&column=map&column=resource:host.name&column=message&column=x";
    let page = viewer.api(&format!("/search?service=payment-service&{columns}")).await;
    let expected = json!(["502", "{\"k\":\"00ff\"}", "box-1", "card declined", null]);
    assert_eq!(
        page["traces"][0]["columns"], expected,
        "of the root, of the match, of both, of its status, of none"
    );
    let page = viewer.api(&format!("/search?root=true&service=api-gateway&{columns}")).await;
    assert_eq!(page["traces"][0]["columns"], expected, "of the failed span where the root has none");
}

#[tokio::test]
async fn what_is_excluded_is_not_found() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    for query in [
        "not=service%3Dapi-gateway&service=api-gateway",
        "not=kind%3Dserver%26root%3Dtrue&service=api-gateway&kind=server",
        "not=text%3Ddeclined&status=error",
        "not=attr%3Dhttp.response.status_code%253D502&root=true&service=api-gateway",
        "not=attr%3Dhttp.response.status_code&root=true&service=api-gateway",
        "service=api-gateway&with=service%3Dpayment-service%26not%3Dstatus%253Derror",
        "attr=http.response.status_code%3E502",
        "attr=http.response.status_code%3C502",
    ] {
        assert!(trace_ids(&viewer.api(&format!("/search?{query}")).await).is_empty(), "{query}");
    }
    for query in [
        // A span without the attribute is not excluded by its value.
        "not=attr%3Dhttp.response.status_code%253D502&service=api-gateway",
        "not=kind%3Dclient%26root%3Dtrue&service=api-gateway&root=true",
        "not=attr%3Dhttp.response.status_code%253E502&root=true&service=api-gateway",
        "attr=http.response.status_code%3E501&attr=http.response.status_code%3C503",
    ] {
        assert_eq!(trace_ids(&viewer.api(&format!("/search?{query}")).await), [TRACE], "{query}");
    }
}

#[tokio::test]
async fn every_condition_is_asked_of_the_store() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let nasty: String = form_urlencoded::byte_serialize(NASTY.as_bytes()).collect();
    let hits = [
        "service=api-gateway",
        "operation=charge",
        "kind=client&max_duration=30ms&min_duration=30ms",
        "status=error",
        "root=true&service=api-gateway",
        "root=false",
        "attr=http.response.status_code%3E%3D500&attr=order.total%3C%3D100",
        "attr=span:order.total%3D99.99",
        "attr=resource:host.name%3Dbox-1&service=api-gateway",
        "attr=event:exception.message",
        "text=DECLINED",
        "min_trace_duration=48ms&max_trace_duration=48ms",
        "service=api-gateway&with=service%3Dpayment-service%26status%3Derror",
        "from=1790000000123456789&to=1790000000123456789",
        "from=2026-09-21T14:13:20Z&to=2026-09-21T14:13:20.13%2B00:00",
        &format!("operation={nasty}"),
    ];
    for query in hits {
        assert!(
            trace_ids(&viewer.api(&format!("/search?{query}")).await).contains(&TRACE.to_owned()),
            "{query}"
        );
    }
    let misses = [
        "service=api",
        "operation=charge&service=payment-service",
        "status=ok",
        "attr=http.response.status_code%3C%3D500",
        "attr=resource:order.total",
        "attr=event:exception.message!%3Ddeclined",
        "text=accepted",
        "min_trace_duration=49ms",
        "service=api-gateway&with=service%3Dsettlement",
        "from=1h",
        "to=1790000000123456788",
    ];
    for query in misses {
        assert_eq!(trace_ids(&viewer.api(&format!("/search?{query}")).await), [""; 0], "{query}");
    }
}

#[tokio::test]
async fn pages_lead_through_everything_once_whatever_comes_in_between() {
    let viewer = Viewer::open();
    for number in 1..=7 {
        viewer.import(&single(number)).await;
    }
    let mut seen = Vec::new();
    let mut query = "/search?service=clock&limit=3".to_owned();
    loop {
        let page = viewer.api(&query).await;
        seen.extend(trace_ids(&page));
        // Newer than the first page.
        viewer.import(&single(100 + seen.len() as u64)).await;
        let Some(next) = page["next"].as_str() else { break };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        query = format!("/search?service=clock&limit=3&after={next}");
    }
    let expected: Vec<String> = (1..=7).rev().map(|number| format!("{:032x}", 0x1000 + number)).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_order_is_that_of_the_span_that_meets_the_filter() {
    let viewer = Viewer::open();
    for number in [2, 1, 3] {
        viewer.import(&single(number)).await;
    }
    for (order, expected) in
        [("newest", [3, 2, 1]), ("oldest", [1, 2, 3]), ("longest", [3, 2, 1]), ("shortest", [1, 2, 3])]
    {
        let page = viewer.api(&format!("/search?service=clock&order={order}")).await;
        assert_eq!(trace_ids(&page), expected.map(|number| format!("{:032x}", 0x1000 + number)), "{order}");
    }
}

#[tokio::test]
async fn points_are_matches_without_their_traces() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let points = viewer.api("/points?status=error&limit=2000").await;
    let point = json!({
        "trace_id": TRACE, "span_id": CHARGE, "start": at(5), "duration": 20_000_000, "status": "error",
    });
    assert_eq!(points, json!({"points": [point], "next": null, "scanned_to": null}));
}

#[tokio::test]
async fn without_a_filter_everything_is_found() {
    let viewer = Viewer::open();
    assert_eq!(viewer.api("/search").await, json!({"traces": [], "next": null, "scanned_to": null}));
    viewer.import(&shop()).await;
    assert_eq!(trace_ids(&viewer.api("/search").await), [OTHER_TRACE, TRACE]);
}
