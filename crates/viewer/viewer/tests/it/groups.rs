//! `GET /groups`, `/facets`, `/differences` and `/search/series`: many spans at once, with the filters of a search.

use crate::{fixture::resource, http::ReplyExt as _, viewer::Viewer};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const MILLISECOND: u64 = 1_000_000;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// 200 orders of the last minutes. Every tenth is declined, of those most in the region `south`; every fourth of the
/// release 2 takes 40 times as long.
fn orders(start: u64) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let order = |number: u64| {
        let is_declined = number.is_multiple_of(10);
        let is_slow = number.is_multiple_of(4) && number >= 100;
        let region = if is_declined && number > 0 {
            "south"
        } else {
            ["north", "south", "east"][usize::try_from(number % 3).unwrap()]
        };
        let took = MILLISECOND * if is_slow { 400 } else { 10 };
        let reason = if number.is_multiple_of(20) { "insufficient_funds" } else { "expired_card" };
        json!({
            "traceId": format!("{:032x}", number + 1), "spanId": format!("{:016x}", number + 1),
            "name": "POST /orders", "kind": 2,
            "startTimeUnixNano": (start + number * 500 * MILLISECOND).to_string(),
            "endTimeUnixNano": (start + number * 500 * MILLISECOND + took).to_string(),
            "status": if is_declined { json!({"code": 2, "message": reason}) } else { json!({}) },
            "attributes": [
                text("region", region), text("order.id", &format!("order-{number}")),
                text("release", if number < 100 { "1" } else { "2" }),
            ],
        })
    };
    let orders: Vec<Value> = (0..200).map(order).collect();
    json!({"resourceSpans": [resource("shop", &json!(orders))]})
}

/// A viewer that has them in blocks.
async fn viewer(folder: &TempDir) -> (Viewer, u64) {
    let viewer = Viewer::kept_in(folder);
    let start = now() - 120_000 * MILLISECOND;
    viewer.import(&orders(start)).await;
    (viewer, start)
}

fn pairs(answer: &Value, list: &str, keys: &[&str]) -> Vec<Value> {
    let list = answer[list].as_array().unwrap().iter();
    list.map(|one| keys.iter().map(|key| one[key].clone()).collect()).collect()
}

#[tokio::test]
async fn failed_orders_are_grouped_by_reason() {
    let folder = TempDir::new().unwrap();
    let (viewer, _) = viewer(&folder).await;
    let answer = viewer.api("/groups?by=message&service=shop&status=error").await;
    assert_eq!(
        pairs(&answer, "groups", &["value", "spans", "errors", "share"]),
        [json!(["expired_card", 10, 10, 0.5]), json!(["insufficient_funds", 10, 10, 0.5])]
    );
    assert_eq!(
        (&answer["spans"], &answer["errors"], &answer["without"]),
        (&json!(20), &json!(20), &json!(0))
    );
    let example = answer["groups"][0]["examples"]["recent"].as_str().unwrap();
    let trace = viewer.api(&format!("/traces/{example}")).await;
    assert_eq!(trace["errors"], 1);

    let answer = viewer.api("/groups?by=release&order=p95").await;
    assert_eq!(
        pairs(&answer, "groups", &["value", "spans", "errors"]),
        [json!(["2", 100, 10]), json!(["1", 100, 10])]
    );
    let p95 = |place: usize| answer["groups"][place]["p95"].as_f64().unwrap();
    assert!((p95(0) - 400e6).abs() <= 8e6 && (p95(1) - 10e6).abs() <= 2e5, "{answer}");
    let answer = viewer.api("/groups?by=resource:host.name").await;
    assert_eq!(pairs(&answer, "groups", &["value", "spans", "share"]), [json!(["box-1", 200, 1.0])]);
    let answer = viewer.api("/groups?by=span:host.name").await;
    assert_eq!((&answer["groups"], &answer["without"]), (&json!([]), &json!(200)));
    let answer = viewer.api("/groups?by=order.id&limit=3").await;
    assert_eq!((&answer["values"], &answer["others"]), (&json!(200), &json!(197)));
    viewer.close().await;
}

#[tokio::test]
async fn values_of_several_fields_are_counted_at_once() {
    let folder = TempDir::new().unwrap();
    let (viewer, _) = viewer(&folder).await;
    // What is not in a block yet counts too.
    let late = json!([{
        "traceId": format!("{:032x}", 9_000), "spanId": format!("{:016x}", 9_000), "name": "GET /stock", "kind": 2,
        "startTimeUnixNano": now().to_string(), "endTimeUnixNano": (now() + 1).to_string(),
    }]);
    viewer.import(&json!({"resourceSpans": [resource("stock", &late)]})).await;
    let answer = viewer.api("/facets?by=service&by=status&by=region&by=order.id&limit=2").await;
    assert_eq!((&answer["spans"], &answer["errors"]), (&json!(201), &json!(20)));
    let value =
        |value: &str, spans: u64, errors: u64| json!({"value": value, "spans": spans, "errors": errors});
    let expected = json!([
        {"by": "service", "distinct": 2, "others": 0, "without": 0,
         "values": [value("shop", 200, 20), value("stock", 1, 0)]},
        {"by": "status", "distinct": 2, "others": 0, "without": 0,
         "values": [value("unset", 181, 0), value("error", 20, 20)]},
        {"by": "region", "distinct": 3, "others": 60, "without": 1,
         "values": [value("south", 79, 19), value("north", 61, 1)]},
        {"by": "order.id", "distinct": 200, "others": 198, "without": 1,
         "values": [value("order-0", 1, 1), value("order-1", 1, 0)]},
    ]);
    assert_eq!(answer["facets"], expected);
    let answer = viewer.api("/facets?by=region&status=error&not=attr%3Dregion%253Dsouth").await;
    assert_eq!(answer["facets"][0]["values"], json!([value("north", 1, 1)]));
    viewer.close().await;
}

#[tokio::test]
async fn what_is_different_about_failed_and_slow_orders_is_named_first() {
    let folder = TempDir::new().unwrap();
    let (viewer, _) = viewer(&folder).await;
    let keys = ["field", "value", "selected", "rest"];
    let answer = viewer.api("/differences?service=shop&selected=status%3Derror").await;
    assert_eq!((&answer["selected"], &answer["rest"]), (&json!(20), &json!(180)));
    let named = pairs(&answer, "differences", &keys);
    let expected = [
        json!(["span:region", "south", 19, 60]),
        json!(["message", "expired_card", 10, 0]),
        json!(["message", "insufficient_funds", 10, 0]),
    ];
    assert_eq!(named[..3], expected, "{answer}");
    assert_eq!(answer["varied"], json!([]), "200 different orders are not too many");
    let share = &answer["differences"][0]["selected_share"];
    assert_eq!(*share, json!(0.95));

    let answer = viewer.api("/differences?service=shop&selected=min_duration%3D100ms&limit=1").await;
    assert_eq!(pairs(&answer, "differences", &keys), [json!(["span:release", "2", 25, 75])]);
    viewer.close().await;
}

#[tokio::test]
async fn spans_that_are_found_are_drawn_over_the_time_they_began() {
    let folder = TempDir::new().unwrap();
    let (viewer, start) = viewer(&folder).await;
    let (from, to) = (start, start + 100_000 * MILLISECOND);
    let sums = |answer: &Value| {
        let steps = answer["steps"].as_array().unwrap();
        let sum = |key: &str| steps.iter().map(|step| step[key].as_u64().unwrap()).sum::<u64>();
        (sum("calls"), sum("errors"))
    };
    let all = viewer.api(&format!("/search/series?from={from}&to={to}&step=10s")).await;
    assert_eq!(sums(&all), (200, 20));
    let inner = &all["steps"][5];
    assert_eq!(
        (&inner["calls"], &inner["errors"], &inner["rate"]),
        (&json!(20), &json!(2), &json!(2.0)),
        "{inner}"
    );
    assert_eq!(all["step"], 10_000 * MILLISECOND);
    let slow = viewer.api(&format!("/search/series?from={from}&to={to}&min_duration=100ms")).await;
    assert_eq!(sums(&slow), (25, 5));
    assert_eq!(slow["step"], 2_000 * MILLISECOND, "about sixty steps");
    let latencies =
        slow["steps"].as_array().unwrap().iter().flat_map(|step| step["latencies"].as_array().unwrap());
    for range in latencies {
        let [low, high] = ["from", "to"].map(|key| range[key].as_u64().unwrap());
        assert!((low..high).contains(&(400 * MILLISECOND)), "{range}");
    }
    let none = viewer.api("/search/series?from=2d&to=1d").await;
    assert_eq!(sums(&none), (0, 0));
    viewer.close().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let viewer = Viewer::open();
    for (path, parameter) in [
        ("groups", "by"),
        ("groups?by=event:name", "by"),
        ("groups?by=span:", "by"),
        ("groups?by=service&order=name", "order"),
        ("groups?by=service&limit=501", "limit"),
        ("groups?by=service&from=soon", "from"),
        ("differences", "selected"),
        ("differences?selected=colour%3Dred", "selected"),
        ("differences?selected=root%3D", "selected"),
        ("search/series?step=0", "step"),
        ("search/series?step=1ms", "step"),
        ("search/series?limit=5", "limit"),
    ] {
        let reply = viewer.get(&format!("/api/v1/{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, "bad-parameter"), "{path}");
        assert_eq!(reply.problem()["parameter"], parameter, "{path}: {}", reply.text());
    }
}
