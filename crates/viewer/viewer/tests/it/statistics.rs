//! `GET /services`, `/services/{service}/operations`, `/map` and `/names/...`.

use crate::{
    fixture::{NASTY, TRACE, shop},
    viewer::Viewer,
};
use serde_json::{Value, json};

/// Within the 2 % that the sketches promise.
fn assert_near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() <= expected * 0.02, "{value} is not near {expected}");
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn services_have_their_figures() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let answer = viewer.api("/services?from=100s").await;
    let services = answer["services"].as_array().unwrap();
    let names: Vec<&str> = services.iter().map(|service| service["service"].as_str().unwrap()).collect();
    assert_eq!(names, ["api-gateway", "payment-service", "settlement"]);
    let mut payment = services[1].clone();
    for percentile in ["p50", "p95", "p99"] {
        assert_near(&payment[percentile].take(), 20e6);
    }
    let rate = payment["rate"].take().as_f64().unwrap();
    // One call, and spans come in since a moment ago: not one in the 100 seconds that were asked for.
    assert!(rate > 0.02, "{rate}");
    let expected = json!({
        "service": "payment-service", "operations": 1, "calls": 1, "errors": 1, "rate": null,
        "p50": null, "p95": null, "p99": null,
        "examples": {"recent": TRACE, "slowest": TRACE, "failed": TRACE},
    });
    assert_eq!(payment, expected);
    assert_eq!(services[0]["examples"]["failed"], Value::Null);
}

#[tokio::test]
async fn operations_have_theirs() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let answer = viewer.api("/services/payment-service/operations").await;
    let operations = answer["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 1);
    assert_eq!(
        keys(&operations[0]),
        ["calls", "errors", "examples", "kind", "name", "p50", "p95", "p99", "rate"]
    );
    assert_eq!((&operations[0]["name"], &operations[0]["kind"]), (&json!(NASTY), &json!("server")));
    assert_eq!(viewer.api("/services/nobody/operations").await, json!({"operations": []}));
}

#[tokio::test]
async fn a_window_before_the_spans_came_has_no_figures() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let answer = viewer.api("/services?from=2d&to=1d").await;
    let calls = answer["services"].as_array().unwrap().iter().map(|service| service["calls"].clone());
    assert!(calls.clone().all(|calls| calls == 0), "{answer}");
}

#[tokio::test]
async fn the_map_joins_the_two_sides_of_a_call() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let map = viewer.api("/map").await;
    let edges = map["edges"].as_array().unwrap();
    let edge = edges.iter().find(|edge| edge["to"] == "service:payment-service").unwrap();
    assert_eq!(
        (&edge["from"], &edge["calls"], &edge["errors"]),
        (&json!("service:api-gateway"), &json!(1), &json!(0)),
        "as the caller saw them: its span has no error"
    );
    let nodes = map["nodes"].as_array().unwrap();
    let node = |id: &str| nodes.iter().find(|node| node["id"] == id).unwrap();
    let gateway = node("service:api-gateway");
    assert_eq!(
        (&gateway["kind"], &gateway["name"], &gateway["calls"]),
        (&json!("service"), &json!("api-gateway"), &json!(1))
    );
    let ends: Vec<&Value> = edges.iter().flat_map(|edge| [&edge["from"], &edge["to"]]).collect();
    assert!(ends.iter().all(|end| nodes.iter().any(|node| node["id"] == **end)), "every end is a node");
    let caller = nodes.iter().find(|node| node["kind"] == "caller").unwrap();
    assert_eq!((&caller["calls"], &caller["examples"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn names_complete_what_is_typed() {
    let viewer = Viewer::open();
    viewer.import(&shop()).await;
    let names = |names: Value| json!({"names": names, "is_partial": false});
    let all = names(json!(["api-gateway", "payment-service", "settlement"]));
    assert_eq!(viewer.api("/names/services").await, all);
    assert_eq!(viewer.api("/names/services?part=PAY").await, names(json!(["payment-service"])));
    let cut = viewer.api("/names/services?limit=1").await;
    assert_eq!(cut, json!({"names": ["api-gateway"], "is_partial": true}));
    let operations =
        json!([{"name": "POST /api/orders", "kind": "server"}, {"name": "charge", "kind": "client"}]);
    assert_eq!(viewer.api("/names/operations?service=api-gateway").await, names(operations));
    assert_eq!(viewer.api("/names/keys?scope=span&part=TOTAL").await, names(json!(["order.total"])));
    assert_eq!(viewer.api("/names/keys?scope=resource&part=total").await, names(json!([])));
    let values = viewer.api("/names/values?scope=resource&key=host.name&part=box").await;
    assert_eq!(values, names(json!(["box-1"])));
}
