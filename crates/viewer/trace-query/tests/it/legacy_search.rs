//! `GET /api/traces`: what is found. The form of a trace is another test's.

use crate::{
    fixtures::{CART, PING, RANGE, at, cart, int, lone, ping, text},
    site::{AnswerExt as _, Site, escaped},
};
use serde_json::{Value, json};

/// Last digits of the ids of the traces that are found, in their order.
async fn found(site: &Site, query: &str) -> Vec<String> {
    let answer = site.jaeger(&format!("/api/traces?{query}")).await.ok();
    assert_eq!(answer["errors"], Value::Null);
    let ids = answer["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].as_str().unwrap());
    ids.map(|id| id.trim_start_matches('0').to_owned()).collect()
}

/// Traces `1` to `4` of service `a`, each a second after the one before.
async fn four() -> Site {
    let trace = |number: u64, mut fields: Value| {
        fields["startTimeUnixNano"] = json!(at(number * 1_000_000_000));
        let end = number * 1_000_000_000 + number * 1_500_000;
        fields["endTimeUnixNano"] = json!(at(end));
        lone("a", &format!("{number:032x}"), "00000000000000aa", fields)
    };
    let event = json!([{"timeUnixNano": at(0), "name": "e", "attributes": [text("in.event", "x")]}]);
    let mut on_host = trace(4, json!({"status": {"code": 1}}));
    on_host["resourceSpans"][0]["resource"]["attributes"]
        .as_array_mut()
        .unwrap()
        .push(text("host.name", "h"));
    Site::with(&[
        trace(1, json!({"name": "get", "attributes": [text("k", "v:w"), int("n", 5)]})),
        trace(2, json!({"name": "put", "status": {"code": 2}, "attributes": [text("k", "v:w")]})),
        trace(3, json!({"name": "get", "kind": 2, "events": event})),
        on_host,
    ])
    .await
}

#[tokio::test]
async fn everything_in_the_range_is_found_newest_first() {
    let site = four().await;
    assert_eq!(found(&site, RANGE).await, ["4", "3", "2", "1"]);
    assert_eq!(found(&site, &format!("{RANGE}&service=a&limit=2&lookback=custom")).await, ["4", "3"]);
    assert_eq!(found(&site, &format!("{RANGE}&service=b")).await, [""; 0]);
}

#[tokio::test]
async fn both_ends_of_the_range_count_to_the_microsecond() {
    let site = four().await;
    let range = |start: u64, end: u64| {
        format!("start={}&end={}", 1_790_000_000_000_000 + start, 1_790_000_000_000_000 + end)
    };
    assert_eq!(found(&site, &range(2_000_000, 3_000_000)).await, ["3", "2"]);
    assert_eq!(found(&site, &range(2_000_001, 2_999_999)).await, [""; 0]);
    assert_eq!(found(&site, "start=-5&end=1").await, [""; 0]);
}

#[tokio::test]
async fn conditions_narrow_the_search() {
    let site = four().await;
    for (condition, expected) in [
        ("operation=get".to_owned(), vec!["3", "1"]),
        ("minDuration=3ms".to_owned(), vec!["4", "3", "2"]),
        ("minDuration=3.001ms&maxDuration=4500us".to_owned(), vec!["3"]),
        ("maxDuration=0".to_owned(), vec!["4", "3", "2", "1"]),
        ("tag=k:v:w".to_owned(), vec!["2", "1"]),
        ("tag=k:v:w&tag=n:5".to_owned(), vec!["1"]),
        (format!("tags={}", escaped(r#"{"k":"v:w","error":"true"}"#)), vec!["2"]),
        ("tag=error:true".to_owned(), vec!["2"]),
        ("tag=error:false".to_owned(), vec!["4", "3", "1"]),
        ("tag=error:false&limit=2".to_owned(), vec!["4", "3"]),
        ("tag=otel.status_code:OK".to_owned(), vec!["4"]),
        ("tag=span.kind:server".to_owned(), vec!["3"]),
        ("tag=in.event:x".to_owned(), vec!["3"]),
        ("tag=host.name:h".to_owned(), vec!["4"]),
        ("tag=resource.host.name:h".to_owned(), vec!["4"]),
        ("tag=resource.k:v:w".to_owned(), vec![]),
        ("tag=k:v".to_owned(), vec![]),
    ] {
        assert_eq!(found(&site, &format!("{RANGE}&service=a&{condition}")).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn all_conditions_must_hold_for_one_span() {
    let site = Site::with(&cart()).await;
    let query = |rest: &str| format!("{RANGE}&service=shop-web&{rest}");
    assert_eq!(found(&site, &query("operation=reserve&tag=error:true")).await, [CART]);
    assert_eq!(found(&site, &query("operation=GET+/cart&tag=error:true")).await, [""; 0]);
    assert_eq!(found(&site, &query("operation=Reserve")).await, [""; 0], "an operation of another service");
}

#[tokio::test]
async fn without_times_the_last_two_days_are_searched() {
    let site = four().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let time = |age: u128| json!((now - age).to_string());
    let day = 24 * 3_600 * 1_000_000_000;
    for (id, age) in [("e1", day), ("e2", 3 * day)] {
        let fields = json!({"startTimeUnixNano": time(age), "endTimeUnixNano": time(age - 1)});
        let message = lone("now", &format!("{id:0>32}"), "00000000000000aa", fields);
        let batch = waypost_trace_model::otlp::traces_from_json(
            message.to_string().as_bytes(),
            &waypost_trace_model::Limits::default(),
        );
        site.keep(batch.unwrap()).await;
    }
    assert_eq!(found(&site, "service=now").await, ["e1"]);
}

#[tokio::test]
async fn traces_are_found_by_their_ids_and_the_others_are_named() {
    let [web, stock] = cart();
    let site = Site::with(&[web, stock, ping()]).await;
    let answer = site
        .jaeger(&format!("/api/traces?traceID={PING}&traceID=77&traceID=a1b2c3d4e5f6071&traceID={CART}"))
        .await
        .ok();
    let ids: Vec<_> =
        answer["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].clone()).collect();
    assert_eq!(ids, ["0a1b2c3d4e5f6071", CART]);
    assert_eq!(answer["errors"], json!([{"msg": "trace not found", "traceID": "0000000000000077"}]));
}

#[tokio::test]
async fn a_search_gives_the_same_trace_as_its_id() {
    let site = Site::with(&cart()).await;
    let searched = site.jaeger(&format!("/api/traces?{RANGE}&service=stock")).await.ok();
    assert_eq!(searched, site.jaeger(&format!("/api/traces/{CART}")).await.ok());
}

#[tokio::test]
async fn nothing_found_is_an_empty_list() {
    let site = Site::with(&[]).await;
    let expected = json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": null});
    assert_eq!(site.jaeger("/api/traces?service=a").await.ok(), expected);
}
