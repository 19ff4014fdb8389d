//! `GET /compare`: two traces side by side, and one beside what is typical.

use crate::{
    fixture::{START, resource},
    viewer::Viewer,
};
use serde_json::{Value, json};

const MILLISECOND: u64 = 1_000_000;

/// A request that began `minutes` after the start and took 10 ms and what its parts took: `(name, milliseconds)`, one after the other.
fn request(trace: u64, minutes: u64, parts: &[(&str, u64)]) -> Value {
    let mut at = START + minutes * 60_000 * MILLISECOND;
    let span = |id: usize, name: &str, from: u64, took: u64| {
        let mut span = json!({
            "traceId": format!("{trace:032x}"), "spanId": format!("{:016x}", id + 1), "name": name, "kind": 3,
            "startTimeUnixNano": from.to_string(), "endTimeUnixNano": (from + took * MILLISECOND).to_string(),
        });
        if id > 0 {
            span["parentSpanId"] = json!(format!("{:016x}", 1));
        }
        span
    };
    let total: u64 = 10 + parts.iter().map(|(_, took)| took).sum::<u64>();
    let mut spans = vec![span(0, "GET /basket", at, total)];
    for (id, (name, took)) in (1..).zip(parts) {
        spans.push(span(id, name, at, *took));
        at += took * MILLISECOND;
    }
    resource("basket", &json!(spans))
}

async fn viewer(requests: &[Value]) -> Viewer {
    let viewer = Viewer::open();
    viewer.import(&json!({ "resourceSpans": requests })).await;
    viewer
}

#[tokio::test]
async fn two_traces_are_one_tree_and_the_differences_add_up() {
    let left = request(1, 0, &[("prices", 20), ("tax", 5)]);
    let right = request(2, 1, &[("prices", 20), ("prices", 30), ("stock", 7)]);
    let viewer = viewer(&[left, right]).await;
    let answer = viewer.api("/compare?left=1&right=2").await;
    assert_eq!(answer["typical"], Value::Null);
    let heads =
        |side: &str| json!([answer[side]["trace_id"], answer[side]["duration"], answer[side]["spans"]]);
    assert_eq!(heads("left"), json!([format!("{:032x}", 1), 35 * MILLISECOND, 3]));
    assert_eq!(heads("right"), json!([format!("{:032x}", 2), 67 * MILLISECOND, 4]));

    let side = |side: &Value| json!([side["spans"], side["time"]]);
    let lines = answer["lines"].as_array().unwrap().iter();
    let lines: Vec<Value> = lines
        .map(|line| json!([line["parent"], line["name"], side(&line["left"]), side(&line["right"])]))
        .collect();
    assert_eq!(
        lines,
        [
            json!([null, "GET /basket", [1, 35 * MILLISECOND], [1, 67 * MILLISECOND]]),
            json!([0, "prices", [1, 20 * MILLISECOND], [2, 50 * MILLISECOND]]),
            json!([0, "stock", [null, null], [1, 7 * MILLISECOND]]),
            json!([0, "tax", [1, 5 * MILLISECOND], [null, null]]),
        ]
    );
    assert_eq!(
        answer["lines"][1]["right"]["span_ids"],
        json!([format!("{:016x}", 2), format!("{:016x}", 3)])
    );

    let changes = answer["changes"].as_array().unwrap();
    assert_eq!(changes[0]["operation"], "prices");
    let sum = |side: &str| changes.iter().map(|change| change[side].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("left"), sum("right")), (35 * MILLISECOND, 67 * MILLISECOND));
}

#[tokio::test]
async fn typical_is_the_commonest_shape_nearest_to_its_median() {
    let mut requests: Vec<Value> =
        (0..5).map(|number| request(10 + number, number, &[("prices", 20 + number), ("tax", 5)])).collect();
    // Another shape, less often; and the one that is asked about.
    requests.extend((0..3).map(|number| request(20 + number, number, &[("prices", 500)])));
    requests.push(request(99, 6, &[("prices", 300), ("tax", 5)]));
    let viewer = viewer(&requests).await;
    let answer = viewer.api("/compare?left=63&right=typical").await;
    assert_eq!(answer["left"]["trace_id"], format!("{:032x}", 99));
    assert_eq!(answer["typical"], json!({"of": 8, "same_shape": 5, "median": 37 * MILLISECOND}));
    assert_eq!(answer["right"]["trace_id"], format!("{:032x}", 12), "22 ms for the prices are the middle");
}

#[tokio::test]
async fn what_is_near_in_time_is_typical_if_there_is_enough_of_it() {
    let near = (0..5).map(|number| request(10 + number, number, &[("prices", 20)]));
    let far = (0..20).map(|number| request(100 + number, 600 + number, &[("prices", 900)]));
    let requests: Vec<Value> = near.chain(far).chain([request(99, 6, &[("prices", 30)])]).collect();
    let viewer = viewer(&requests).await;
    let answer = viewer.api("/compare?left=63&right=typical").await;
    assert_eq!(answer["typical"]["of"], 5);
    assert_eq!(answer["right"]["duration"], 30 * MILLISECOND);
    let answer = viewer.api(&format!("/compare?left={:x}&right=typical", 100)).await;
    assert_eq!(answer["typical"]["of"], 19);
}

#[tokio::test]
async fn what_cannot_be_compared_is_said() {
    let viewer = viewer(&[request(1, 0, &[])]).await;
    for (path, status) in [
        ("compare", 400),
        ("compare?left=1", 400),
        ("compare?left=1&right=xyz", 400),
        ("compare?left=typical&right=1", 400),
        ("compare?left=1&right=2", 404),
        ("compare?left=2&right=typical", 404),
        ("compare?left=1&right=typical", 404),
    ] {
        let reply = viewer.get(&format!("/api/v1/{path}")).await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.text());
    }
    let reply = viewer.get("/api/v1/compare?left=1&right=typical").await;
    assert!(reply.text().contains("no other trace with this root"), "{}", reply.text());
}
