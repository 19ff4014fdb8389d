//! One order of the shop through every door: the same spans, in each door's own units.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use waypost_testkit::{Client, Shop, Viewer};

use crate::otlp::ago;
use crate::{BINARY, shop};

/// What every door tells of a span, times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    parent: Option<String>,
    service: String,
    name: String,
    kind: &'static str,
    start: u64,
    took: u64,
}

/// By id.
type Spans = BTreeMap<String, Told>;

/// In the order of their numbers in OTLP, from 1.
const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];

fn kind(name: &str) -> &'static str {
    KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(name)).unwrap()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.bytes));
    answer.json
}

/// The rows of the own API.
fn of_rows(trace: &Value) -> Spans {
    let rows = &trace["rows"];
    let begin: u64 = trace["start"].as_str().unwrap().parse().unwrap();
    let at = |list: &Value, place: &Value| string(&list[shop::place(place)]);
    let span = |row: usize| {
        let parent = usize::try_from(rows["parent"][row].as_i64().unwrap()).ok();
        let told = Told {
            parent: parent.map(|parent| string(&rows["id"][parent])),
            service: at(&trace["services"], &rows["service"][row]),
            name: at(&trace["names"], &rows["name"][row]),
            kind: kind(rows["kind"][row].as_str().unwrap()),
            start: begin + rows["start"][row].as_u64().unwrap(),
            took: rows["duration"][row].as_u64().unwrap(),
        };
        (string(&rows["id"][row]), told)
    };
    (0..list(&rows["id"]).len()).map(span).collect()
}

/// The export and api_v3.
fn of_otlp(document: &Value) -> Spans {
    let mut spans = Spans::new();
    for group in list(&document["resourceSpans"]) {
        let attributes = list(&group["resource"]["attributes"]).iter();
        let service = attributes.clone().find(|attribute| attribute["key"] == "service.name").unwrap();
        for span in list(&group["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
            let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
            let start = time("startTimeUnixNano");
            let told = Told {
                parent: span["parentSpanId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned),
                service: string(&service["value"]["stringValue"]),
                name: string(&span["name"]),
                kind: KINDS[usize::try_from(span["kind"].as_u64().unwrap()).unwrap() - 1],
                start,
                took: time("endTimeUnixNano") - start,
            };
            assert!(spans.insert(string(&span["spanId"]), told).is_none(), "a span comes once");
        }
    }
    spans
}

/// Jaeger's JSON, as microseconds.
fn of_jaeger(trace: &Value) -> Spans {
    let mut spans = Spans::new();
    for span in list(&trace["spans"]) {
        assert_eq!(span["traceID"], trace["traceID"]);
        let references = list(&span["references"]).iter();
        let parent = references.clone().find(|reference| reference["refType"] == "CHILD_OF");
        let kind_of = list(&span["tags"]).iter().find(|tag| tag["key"] == "span.kind").unwrap();
        let told = Told {
            parent: parent.map(|parent| string(&parent["spanID"])),
            service: string(&trace["processes"][span["processID"].as_str().unwrap()]["serviceName"]),
            name: string(&span["operationName"]),
            kind: kind(kind_of["value"].as_str().unwrap()),
            start: span["startTime"].as_u64().unwrap(),
            took: span["duration"].as_u64().unwrap(),
        };
        assert!(spans.insert(string(&span["spanID"]), told).is_none(), "a span comes once");
    }
    spans
}

/// Zipkin, as microseconds.
fn of_zipkin(trace: &Value) -> Spans {
    let mut spans = Spans::new();
    for span in list(trace) {
        let told = Told {
            parent: span["parentId"].as_str().map(str::to_owned),
            service: string(&span["localEndpoint"]["serviceName"]),
            name: string(&span["name"]),
            kind: kind(span["kind"].as_str().unwrap_or("internal")),
            start: span["timestamp"].as_u64().unwrap(),
            took: span["duration"].as_u64().unwrap_or(0),
        };
        assert!(spans.insert(string(&span["id"]), told).is_none(), "a span comes once");
    }
    spans
}

fn in_microseconds(spans: &Spans, duration: impl Fn(u64) -> u64) -> Spans {
    let one = |(id, told): (&String, &Told)| {
        (id.clone(), Told { start: told.start / 1_000, took: duration(told.took), ..told.clone() })
    };
    spans.iter().map(one).collect()
}

#[tokio::test]
async fn an_order_is_the_same_through_every_door_in_its_own_units() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let (ui, zipkin) = (shop.client("viewer"), shop.client("zipkin"));
    let id = shop::order(&shop).await;
    let own = of_rows(&shop::whole_trace(&ui, &id).await);
    let services: BTreeSet<&str> = own.values().map(|told| told.service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(shop::SERVICES));

    assert_eq!(of_otlp(&get(&ui, &format!("/api/v1/traces/{id}/otlp")).await), own);
    assert_eq!(of_otlp(&get(&ui, &format!("/api/v3/traces/{id}")).await["result"]), own);
    let found = get(&ui, &format!("/api/traces/{id}")).await;
    assert_eq!(found["data"][0]["traceID"], id.as_str());
    assert_eq!(of_jaeger(&found["data"][0]), in_microseconds(&own, |took| took / 1_000));
    let rounded = in_microseconds(&own, |took| if took == 0 { 0 } else { (took / 1_000).max(1) });
    for (client, path) in [(&zipkin, "/api/v2/trace"), (&ui, "/zipkin/api/v2/trace")] {
        assert_eq!(of_zipkin(&get(client, &format!("{path}/{id}")).await), rounded, "{path}");
    }

    // Searches of each tool lead to the same order.
    let found = get(&ui, "/api/traces?service=order-service&operation=create-order").await;
    assert_eq!(of_jaeger(&found["data"][0]), in_microseconds(&own, |took| took / 1_000));
    let found = get(&zipkin, "/api/v2/traces?serviceName=payment-service&spanName=authorize-payment").await;
    assert_eq!(of_zipkin(&found[0]), rounded);
}

#[tokio::test]
async fn who_called_whom_is_the_same_for_jaeger_and_for_zipkin() {
    let shop = Shop::of(BINARY).viewer().start().await.unwrap();
    let (ui, zipkin) = (shop.client("viewer"), shop.client("zipkin"));
    for _ in 0..2 {
        let id = shop::order(&shop).await;
        shop::whole_trace(&ui, &id).await;
    }
    let calls = |links: &Value| -> BTreeMap<(String, String), u64> {
        let count = |link: &Value| {
            let count = &link["callCount"];
            count.as_u64().unwrap_or_else(|| count.as_str().unwrap().parse().unwrap())
        };
        let link = |link: &Value| ((string(&link["parent"]), string(&link["child"])), count(link));
        list(links).iter().map(link).collect()
    };
    let legacy = calls(&get(&ui, "/api/dependencies").await["data"]);
    let year_2000 = "2000-01-01T00:00:00Z";
    let v3 = format!("/api/v3/dependencies?startTime={year_2000}&endTime=2100-01-01T00:00:00Z");
    assert_eq!(calls(&get(&ui, &v3).await["dependencies"]), legacy);
    let soon = ago(0) / 1_000_000 + 60_000;
    let zipkin = calls(&get(&zipkin, &format!("/api/v2/dependencies?endTs={soon}")).await);

    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    // Of an order: it is created; stock is reserved and committed, and checked unless it is known; money is authorised and
    // captured.
    assert_eq!(legacy[&edge("api-gateway", "order-service")], 2);
    assert_eq!(legacy[&edge("order-service", "payment-service")], 4);
    assert!(legacy[&edge("order-service", "inventory-service")] >= 4, "{legacy:?}");
    assert_eq!(legacy[&edge("payment-service", "payment-provider")], 4);
    assert_eq!(legacy[&edge("order-service", "notification-service")], 2, "through the queue");
    for from_to in ["order-service", "api-gateway", "payment-service"].iter().flat_map(|from| {
        let to = ["order-service", "inventory-service", "payment-service", "payment-provider"];
        to.map(|to| edge(from, to))
    }) {
        assert_eq!(zipkin.get(&from_to), legacy.get(&from_to), "{from_to:?}");
    }
    // Only Zipkin's form has what sends no spans.
    assert!(zipkin.keys().any(|(from, to)| from == "order-service" && to.contains("sqlite")), "{zipkin:?}");
    assert_eq!(zipkin[&edge("order-service", "waypost/order-events")], 2);
    assert_eq!(zipkin[&edge("waypost/order-events", "notification-service")], 2);
}

#[tokio::test]
async fn an_order_that_is_exported_and_imported_elsewhere_is_the_same_order() {
    let shop = Shop::of(BINARY).viewer().set("telemetry.logs.filter", "info").start().await.unwrap();
    let ui = shop.client("viewer");
    let id = shop::order(&shop).await;
    let trace = shop::trace_with_log(&ui, &id).await;
    let path = format!("/api/v1/traces/{id}/otlp");
    let export = ui.get(&path).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let other = Viewer::start(BINARY, data.path(), &[]).await.unwrap();
    let there = other.client("viewer");
    let text = String::from_utf8(export.bytes.to_vec()).unwrap();
    let taken = there.post("/api/v1/traces", &[], &text).await.unwrap().json;
    let logs = taken["logs"].as_u64().unwrap();
    assert!(logs > 0, "{taken}");
    assert_eq!(taken, json!({"trace_ids": [id], "spans": trace["spans"], "logs": logs, "refused": {}}));
    assert_eq!(there.get(&path).await.unwrap().bytes, export.bytes);
    assert_eq!(there.get(&format!("/api/v1/traces/{id}")).await.unwrap().json, trace);
}
