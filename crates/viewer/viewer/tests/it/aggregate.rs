//! `GET /aggregate`: what the traces of a search have in common.

use crate::{
    fixture::{START, resource},
    http::ReplyExt as _,
    viewer::Viewer,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const MILLISECOND: u64 = 1_000_000;

/// Order `number`: the stock takes 10 ms, or 60 ms for every tenth; every fourth asks prices `number` times, one after the other.
fn order(number: u64) -> [Value; 2] {
    let trace = format!("{:032x}", number + 1);
    let at = |milliseconds: u64| (START + (number * 1_000 + milliseconds) * MILLISECOND).to_string();
    let span = |id: u64, parent: u64, name: &str, kind: u64, from: u64, to: u64| {
        let mut span = json!({
            "traceId": trace, "spanId": format!("{id:016x}"), "name": name, "kind": kind,
            "startTimeUnixNano": at(from), "endTimeUnixNano": at(to), "attributes": [],
        });
        if parent > 0 {
            span["parentSpanId"] = json!(format!("{parent:016x}"));
        }
        span
    };
    let stock = if number % 10 == 9 { 60 } else { 10 };
    let prices = if number % 4 == 3 { number.min(20) } else { 1 };
    let mut shop = vec![span(1, 0, "POST /orders", 2, 0, 100), span(2, 1, "reserve", 3, 1, 1 + stock)];
    for price in 0..prices {
        let from = 62 + price;
        let mut query = span(10 + price, 1, "SELECT prices", 3, from, from + 1);
        query["attributes"] = json!([
            {"key": "db.system.name", "value": {"stringValue": "sqlite"}},
            {"key": "db.namespace", "value": {"stringValue": "prices"}},
            {"key": "db.query.text", "value": {"stringValue": format!("SELECT price FROM prices WHERE id = {price}")}},
        ]);
        shop.push(query);
    }
    let reserve = span(3, 2, "reserve", 2, 1, 1 + stock);
    [resource("shop", &json!(shop)), resource("stock", &json!([reserve]))]
}

async fn viewer(folder: &TempDir) -> Viewer {
    let viewer = Viewer::kept_in(folder);
    let orders: Vec<Value> = (0..40).flat_map(order).collect();
    viewer.import(&json!({ "resourceSpans": orders })).await;
    viewer
}

fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|one| one[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value} in {list}"))
}

#[tokio::test]
async fn time_calls_and_findings_of_all_traces_are_added_up() {
    let folder = TempDir::new().unwrap();
    let viewer = viewer(&folder).await;
    let answer = viewer.api("/aggregate?service=shop&operation=POST+%2Forders").await;
    assert_eq!(
        (&answer["traces"], &answer["matching"], &answer["is_partial"]),
        (&json!(40), &json!(40), &json!(false))
    );
    assert_eq!((&answer["total"], &answer["p50"]), (&json!(4_000_000_000_u64), &json!(100_000_000)));

    let places = answer["places"].as_array().unwrap();
    let sum: u64 = places.iter().map(|place| place["time"].as_u64().unwrap()).sum();
    assert_eq!(sum, 4_000_000_000);
    let stock = find(&answer["places"], "service", "stock");
    assert_eq!((&stock["time"], &stock["traces"]), (&json!((36 * 10 + 4 * 60) * MILLISECOND), &json!(40)));
    assert_eq!((&stock["p50"], &stock["p95"]), (&json!(10_000_000), &json!(60_000_000)));

    let faster = find(&answer["what_if"], "service", "stock");
    assert_eq!(
        (&faster["p50"], &faster["saved"]),
        (&json!(5_000_000), &json!((36 * 5 + 4 * 30) * MILLISECOND))
    );

    let flame = answer["flame"].as_array().unwrap();
    let tree: Vec<Value> =
        flame.iter().map(|node| json!([node["parent"], node["operation"], node["traces"]])).collect();
    assert_eq!(
        tree,
        [
            json!([null, "POST /orders", 40]),
            json!([0, "reserve", 40]),
            json!([1, "reserve", 40]),
            json!([0, "SELECT prices", 40]),
        ]
    );

    let edge = find(&answer["edges"], "to", "prices");
    assert_eq!((&edge["p50"], &edge["max"], &edge["alike"]), (&json!(1), &json!(20), &json!(20)));
    assert_eq!(edge["call"], "sqlite prices SELECT price FROM prices WHERE id = ?");
    assert_eq!(find(&answer["edges"], "to", "stock")["is_service"], true);

    // Every fourth order but the first of them asks often enough: 7, 11, 15, 19 and then 20 times.
    let repeated = find(&answer["findings"], "kind", "repeated_call");
    assert_eq!((&repeated["traces"], &repeated["service"]), (&json!(9), &json!("shop")));
    assert_eq!(repeated["spans"], 7 + 11 + 15 + 19 + 5 * 20);
    assert_eq!(repeated["saves"], (6 + 10 + 14 + 18 + 5 * 19) * MILLISECOND);
    let example = repeated["examples"][0].as_str().unwrap();
    let of_one = viewer.api(&format!("/traces/{example}/findings")).await;
    assert_eq!(find(&of_one["findings"], "kind", "repeated_call")["sentence"], repeated["sentence"]);
    viewer.close().await;
}

#[tokio::test]
async fn a_sample_is_bounded_says_of_how_many_and_is_the_same_each_time() {
    let folder = TempDir::new().unwrap();
    let viewer = viewer(&folder).await;
    let path = "/aggregate?service=shop&traces=8";
    let answer = viewer.api(path).await;
    assert_eq!((&answer["traces"], &answer["matching"]), (&json!(8), &json!(40)));
    assert_eq!(viewer.api(path).await, answer);
    let none = viewer.api("/aggregate?service=nobody").await;
    assert_eq!((&none["traces"], &none["matching"], &none["places"]), (&json!(0), &json!(0), &json!([])));
    viewer.close().await;
}

#[tokio::test]
async fn an_operation_that_is_no_root_is_looked_at_from_its_span_on() {
    let folder = TempDir::new().unwrap();
    let viewer = viewer(&folder).await;
    let answer = viewer.api("/aggregate?service=stock&operation=reserve&from_match=true").await;
    assert_eq!(answer["total"], (36 * 10 + 4 * 60) * MILLISECOND);
    assert_eq!(answer["places"].as_array().unwrap().len(), 1);
    let whole = viewer.api("/aggregate?service=stock&operation=reserve").await;
    assert_eq!(whole["total"], 4_000_000_000_u64);
    viewer.close().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let viewer = Viewer::open();
    for (path, parameter) in [
        ("aggregate?traces=0", "traces"),
        ("aggregate?traces=501", "traces"),
        ("aggregate?from_match=yes", "from_match"),
        ("aggregate?limit=3", "limit"),
    ] {
        let reply = viewer.get(&format!("/api/v1/{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, "bad-parameter"), "{path}");
        assert_eq!(reply.problem()["parameter"], parameter, "{path}: {}", reply.text());
    }
}
