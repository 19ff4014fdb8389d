//! An order as a real Jaeger shows it, and as the viewer does at the same interface: the same ids, parents, times and attributes.
//!
//! `cargo xtask test` starts Jaeger where Go can build it, and says when it cannot.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;
use waypost_testkit::{Client, Shop, until};

use crate::observability::{client, list, variable};
use crate::{seed_order, trace_of};

/// A span of a trace in Jaeger's form.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    parent: Option<String>,
    /// Spans that it only refers to, with their traces.
    links: BTreeSet<(String, String)>,
    name: String,
    service: String,
    /// In microseconds.
    start: u64,
    duration: u64,
    tags: BTreeMap<String, String>,
    /// Of its process.
    resource: BTreeMap<String, String>,
    events: usize,
}

/// The spans of a trace by id; none while it is not known.
async fn spans(server: &Client, trace: &str) -> BTreeMap<String, Span> {
    let Ok(answer) = server.get(&format!("/api/traces/{trace}")).await else { return BTreeMap::new() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags = |tags: &Value| -> BTreeMap<String, String> {
        let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        list(tags).iter().map(|tag| (text(&tag["key"]), value(&tag["value"]))).collect()
    };
    let data = &answer.json["data"][0];
    let spans = list(&data["spans"]).iter().map(|span| {
        let process = &data["processes"][text(&span["processID"])];
        let refers = |kind: &str| {
            let of_kind = list(&span["references"]).iter().filter(move |one| one["refType"] == kind);
            of_kind.map(|one| (text(&one["traceID"]), text(&one["spanID"]))).collect::<BTreeSet<_>>()
        };
        let read = Span {
            parent: refers("CHILD_OF").pop_first().map(|(_, id)| id),
            links: refers("FOLLOWS_FROM"),
            name: text(&span["operationName"]),
            service: text(&process["serviceName"]),
            start: span["startTime"].as_u64().unwrap(),
            duration: span["duration"].as_u64().unwrap(),
            tags: tags(&span["tags"]),
            resource: tags(&process["tags"]),
            events: list(&span["logs"]).len(),
        };
        (text(&span["spanID"]), read)
    });
    spans.collect()
}

async fn an_order_is_the_same_in_jaeger_and_in_the_viewer(endpoint: &str, protocol: &str) {
    let (Some(endpoint), Some(jaeger)) = (variable(endpoint), variable("TEST_JAEGER_URL")) else { return };
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .viewer()
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .environment("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
        .start()
        .await
        .unwrap();
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("traceparent", caller)];
    let answer = shop.client("gateway").post("/api/orders", &headers, &seed_order()).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let trace = trace_of(&answer);
    let (jaeger, viewer) = (client(&jaeger), shop.client("viewer"));
    let (mut there, mut here) = (BTreeMap::new(), BTreeMap::new());
    until("the whole trace in Jaeger and in the viewer", async || {
        (there, here) = (spans(&jaeger, &trace).await, spans(&viewer, &trace).await);
        there.len() == here.len() && there.values().any(|span| span.name == "process order-events")
    })
    .await;

    let services: BTreeSet<&str> = there.values().map(|span| span.service.as_str()).collect();
    assert_eq!(services.len(), 7, "{services:?}");
    let root = there.values().find(|span| span.parent.is_none()).unwrap();
    let caller = ("0af7651916cd43dd8448eb211c80319c".to_owned(), "b7ad6b7169203331".to_owned());
    assert_eq!((root.name.as_str(), &root.links), ("POST /api/orders", &BTreeSet::from([caller])));
    for (id, there) in &there {
        let here = here.get(id).unwrap_or_else(|| panic!("{id} is not in the viewer: {there:?}"));
        assert_eq!(there, here, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_by_http_is_the_same_in_jaeger_and_in_the_viewer() {
    an_order_is_the_same_in_jaeger_and_in_the_viewer("TEST_JAEGER_OTLP_URL", "http/protobuf").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_by_grpc_is_the_same_in_jaeger_and_in_the_viewer() {
    an_order_is_the_same_in_jaeger_and_in_the_viewer("TEST_JAEGER_OTLP_GRPC_URL", "grpc").await;
}
