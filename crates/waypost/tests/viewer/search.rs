//! Searches through the binary: where an attribute stands, and which span of a trace it stands on.

use serde_json::{Value, json};
use waypost_testkit::{Shop, Viewer, until};

use crate::otlp::{MILLISECOND, ago, send, service, span, text};
use crate::{BINARY, account, shop};

/// Two traces that have the same words in different places.
async fn viewer(data: &tempfile::TempDir) -> Viewer {
    let viewer = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    let with = |mut span: Value, key: &str, value: Value| {
        span[key] = value;
        span
    };
    let start = ago(5_000);
    let step = |trace: u128, id: u64, name: &str, took: u64| {
        span(trace, id, u64::from(id > 1), name, 1, start, took * MILLISECOND)
    };
    let number = |key: &str, value: i64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let event = |attribute: Value| json!([{"timeUnixNano": "1", "name": "retry", "attributes": [attribute]}]);
    let link = |attribute: Value| json!([{"traceId": format!("{:032x}", 1), "spanId": format!("{:016x}", 1), "attributes": [attribute]}]);
    let first = [
        with(step(1, 1, "outer", 100), "attributes", json!([text("place", "span"), number("size", 10)])),
        with(step(1, 2, "inner", 10), "events", event(text("place", "event"))),
    ];
    let second = [
        with(step(2, 1, "outer", 20), "attributes", json!([number("size", 20)])),
        with(step(2, 2, "inner", 15), "links", link(text("place", "link"))),
    ];
    let of_resource = json!({"attributes": [text("service.name", "resourceful"), text("place", "resource")]});
    let third = json!({"resource": of_resource, "scopeSpans": [{"spans": [step(3, 1, "outer", 30)]}]});
    send(&viewer.client("otlp-http"), &[service("a", &first), service("a", &second), third]).await;
    viewer
}

#[tokio::test]
async fn an_attribute_is_found_where_it_stands_and_nowhere_else() {
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(&data).await;
    let ui = viewer.client("viewer");
    // Trace and span.
    let cases: [(&str, &[(u64, u64)]); 12] = [
        ("place", &[(1, 1), (2, 2), (3, 1)]),
        ("span:place", &[(1, 1)]),
        ("event:place=event", &[(1, 2)]),
        ("event:place=span", &[]),
        ("link:place~LIN", &[(2, 2)]),
        ("resource:place=resource", &[(3, 1)]),
        ("span:place=resource", &[]),
        ("size>=10", &[(1, 1), (2, 1)]),
        ("size>=11", &[(2, 1)]),
        ("size<=19", &[(1, 1)]),
        ("size!=10", &[(2, 1)]),
        ("nowhere", &[]),
    ];
    for (condition, expected) in cases {
        let query = format!("order=oldest&attr={}", account::encoded(condition));
        let lines = account::traces(&ui, &query).await;
        let mut found: Vec<(String, String)> = lines
            .iter()
            .map(|line| (line["trace_id"].as_str().unwrap(), line["match"]["span_id"].as_str().unwrap()))
            .map(|(trace, span)| (trace.to_owned(), span.to_owned()))
            .collect();
        found.sort();
        let id = |(trace, span): &(u64, u64)| (format!("{trace:032x}"), format!("{span:016x}"));
        // A trace is named once, by one of the spans that meet the condition.
        assert_eq!(found, expected.iter().map(id).collect::<Vec<_>>(), "{condition}");
    }
}

#[tokio::test]
async fn conditions_hold_for_one_span_or_for_several_of_a_trace_as_is_asked() {
    let data = tempfile::tempdir().unwrap();
    let viewer = viewer(&data).await;
    let ui = viewer.client("viewer");
    let cases: [(&str, &[u64]); 7] = [
        ("operation=inner&attr=place%3Devent", &[1]),
        ("operation=outer&attr=place%3Devent", &[]),
        ("operation=outer&with=attr%3Dplace%253Devent", &[1]),
        ("operation=outer&attr=size%3E%3D10&with=operation%3Dinner%26min_duration%3D12ms", &[2]),
        ("operation=outer&min_trace_duration=50ms", &[1]),
        ("operation=outer&max_duration=20ms", &[2]),
        ("text=RESOURCEFUL", &[3]),
    ];
    for (query, expected) in cases {
        let mut found = account::found(&ui, query).await;
        found.sort();
        assert_eq!(found, expected.iter().map(|id| format!("{id:032x}")).collect::<Vec<_>>(), "{query}");
    }
}

#[tokio::test]
async fn a_link_of_a_repeated_order_leads_to_the_first_one_and_back() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let (gateway, ui) = (shop.client("gateway"), shop.client("viewer"));
    let order = async || {
        let answer =
            gateway.post("/api/orders", &[("idempotency-key", "once-1")], shop::ORDER).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.json);
        answer.json["trace_id"].as_str().unwrap().to_owned()
    };
    let first = order().await;
    shop::whole_trace(&ui, &first).await;
    order().await;
    let mut lines = Vec::new();
    until("the repeated order", async || {
        lines = account::traces(&ui, "operation=replay-order").await;
        !lines.is_empty()
    })
    .await;
    let (second, replay) =
        (lines[0]["trace_id"].as_str().unwrap(), lines[0]["match"]["span_id"].as_str().unwrap());
    assert_ne!(second, first);
    let details = ui.get(&format!("/api/v1/traces/{second}/spans/{replay}")).await.unwrap().json;
    let link = &details["spans"][0]["links"][0];
    assert_eq!((&link["trace_id"], &link["kept"]), (&json!(first), &json!(true)));
    let target = link["span_id"].as_str().unwrap();
    let back = ui.get(&format!("/api/v1/traces/{first}/spans/{target}")).await.unwrap().json;
    assert_eq!(back["linked_from"], json!([{"trace_id": second, "span_id": replay}]));
    assert_eq!(back["linked_from_is_partial"], false);
}

#[tokio::test]
async fn what_a_role_logged_stands_beside_its_span() {
    let shop = Shop::of(BINARY).viewer().set("telemetry.logs.filter", "info").start().await.unwrap();
    let ui = shop.client("viewer");
    let id = shop::order(&shop).await;
    let trace = shop::trace_with_log(&ui, &id).await;
    let rows = &trace["rows"];
    let with_logs: Vec<usize> =
        (0..rows["id"].as_array().unwrap().len()).filter(|row| rows["logs"][*row] != 0).collect();
    let mut said = Vec::new();
    for row in with_logs {
        let name = &trace["names"][shop::place(&rows["name"][row])];
        let path = format!("/api/v1/traces/{id}/spans/{}", rows["id"][row].as_str().unwrap());
        let details = ui.get(&path).await.unwrap().json;
        let logs = details["logs"].as_array().unwrap();
        assert_eq!(rows["logs"][row], logs.len(), "{details}");
        for log in logs {
            assert_eq!(log["service"], details["spans"][0]["resource"]["service"]);
            let times = ["time", "observed"].map(|key| log[key].as_str().unwrap().parse::<u64>().unwrap());
            let start: u64 = details["spans"][0]["start"].as_str().unwrap().parse().unwrap();
            assert!(times[0].max(times[1]) >= start, "{log}");
            said.push((name.as_str().unwrap().to_owned(), log.clone()));
        }
    }
    let of_notification = said
        .iter()
        .find(|(name, log)| name == "process order-events" && log["service"] == "notification-service");
    let (_, log) = of_notification.unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!((&log["severity"], &log["body_type"]), (&json!(9), &json!("string")));
    let keys: Vec<&Value> = log["attributes"].as_array().unwrap().iter().map(|entry| &entry["key"]).collect();
    assert!(keys.contains(&&json!("order.id")), "{log}");
}
