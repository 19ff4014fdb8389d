//! Nginx, HAProxy and Envoy in front of the shop, with the files of `deploy/`: whose address, whose trace, what is kept open,
//! what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::StatusCode;
use tokio::task::JoinSet;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::testing::SpanTree;
use waypost_test_servers::front::{Behind, Front, Kind};
use waypost_testkit::{Answer, Behaviour, Client, Collector, Shop, ShopBuilder, until};

use crate::{Traced, seed_order, trace_of};

/// Another customer's machine, as far as a proxy can tell.
const CUSTOMER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const CALLERS_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A shop with one of them in front.
struct Fronted {
    traced: Traced,
    front: Front,
}

impl Fronted {
    async fn start(kind: Kind) -> Fronted {
        Fronted::with(kind, |shop| shop).await
    }

    async fn with(kind: Kind, change: impl FnOnce(ShopBuilder) -> ShopBuilder) -> Fronted {
        let collector = Collector::start(Behaviour::Takes).unwrap();
        let spans: SocketAddr = collector.endpoint().trim_start_matches("http://").parse().unwrap();
        let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).export_to(&collector);
        let shop = change(shop.set("gateway.trusted_proxies", r#"["127.0.0.0/31"]"#)).start().await.unwrap();
        let behind = Behind {
            gateways: vec![(shop.address("gateway"), shop.address("admin"))],
            inventories: vec![shop.address("inventory")],
            spans: Some(spans),
        };
        let front = Front::start(kind, &behind);
        let fronted = Fronted { traced: Traced { shop, collector }, front };
        // Those that ask for its health have to have heard first.
        until("the gateway to be reached", async || {
            let answer = fronted.client().get("/api/products/prod456").await;
            answer.is_ok_and(|answer| answer.status == StatusCode::OK)
        })
        .await;
        fronted
    }

    fn client(&self) -> Client {
        Client::from(CUSTOMER, self.front.customers())
    }

    /// The order of the seed, by a customer who names another address and another trace.
    async fn forged_order(&self) -> Answer {
        let headers = [
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=203.0.113.7"),
            ("traceparent", CALLER),
            ("idempotency-key", "a-forged-order"),
        ];
        self.client().post("/api/orders", &headers, &seed_order()).await.unwrap()
    }
}

/// The addresses that a trace's spans of the gateway give the client.
fn clients(spans: &[FinishedSpan]) -> BTreeSet<String> {
    let of_gateway = spans.iter().filter(|span| span.service_name() == "api-gateway");
    of_gateway.filter_map(|span| span.attribute("client.address").map(ToString::to_string)).collect()
}

async fn an_order_is_one_trace_from_the_gateway_on(kind: Kind) {
    let fronted = Fronted::start(kind).await;
    let answer = fronted.forged_order().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let trace = trace_of(&answer);
    assert_ne!(trace, CALLERS_TRACE);

    let spans = fronted.traced.trace_with(&trace, "process order-events").await;
    let roots: Vec<&FinishedSpan> = spans.iter().filter(|span| span.parent_id().is_none()).collect();
    assert_eq!(roots.iter().map(|span| span.name()).collect::<Vec<_>>(), ["POST /api/orders"]);
    let linked: Vec<String> =
        roots[0].links().iter().map(|link| link.span_context().trace_id().to_string()).collect();
    assert_eq!(linked, [CALLERS_TRACE], "the caller's context came through");
    assert_eq!(clients(&spans), BTreeSet::from(["127.0.0.2".to_owned()]));
}

#[tokio::test]
async fn an_order_through_nginx_is_one_trace_with_the_customers_address() {
    an_order_is_one_trace_from_the_gateway_on(Kind::Nginx).await;
}

#[tokio::test]
async fn an_order_through_haproxy_is_one_trace_with_the_customers_address() {
    an_order_is_one_trace_from_the_gateway_on(Kind::HaProxy).await;
}

#[tokio::test]
async fn an_order_through_envoy_is_one_trace_with_its_two_spans_on_top() {
    let fronted = Fronted::with(Kind::Envoy, |shop| shop.set("gateway.continue_traces", true)).await;
    let answer = fronted.forged_order().await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let trace = trace_of(&answer);
    assert_ne!(trace, CALLERS_TRACE);

    let mut shown = String::new();
    until("the spans of Envoy", async || {
        let spans = fronted.traced.collector.trace(&trace);
        let names: BTreeSet<&str> = spans.iter().map(FinishedSpan::service_name).collect();
        shown = SpanTree::of(&spans, &trace).render();
        names.contains("edge-proxy") && names.contains("notification-service")
    })
    .await;
    let spans = fronted.traced.collector.trace(&trace);
    let roots: Vec<&FinishedSpan> = spans.iter().filter(|span| span.parent_id().is_none()).collect();
    let [root] = roots[..] else { panic!("not one root but {}: {shown}", roots.len()) };
    let below = |parent: &FinishedSpan| -> Vec<&FinishedSpan> {
        spans.iter().filter(|span| span.parent_id() == Some(parent.span_id())).collect()
    };
    assert_eq!((root.service_name(), format!("{:?}", root.kind())), ("edge-proxy", "Server".to_owned()));
    let tries = below(root);
    let [a_try] = tries[..] else { panic!("not one try: {shown}") };
    assert_eq!((a_try.service_name(), format!("{:?}", a_try.kind())), ("edge-proxy", "Client".to_owned()));
    let requests = below(a_try);
    let [request] = requests[..] else { panic!("not one request: {shown}") };
    assert_eq!((request.service_name(), request.name()), ("api-gateway", "POST /api/orders"));
    assert!(request.links().is_empty(), "it is continued, so there is nothing to link to");
    assert_eq!(clients(&spans), BTreeSet::from(["127.0.0.2".to_owned()]));
}

/// Many orders over connections that are kept: none meets one that is being closed, and few connections are made.
async fn orders_over_kept_connections_are_all_answered(kind: Kind) {
    const CUSTOMERS: usize = 8;
    const ORDERS: usize = 50;
    let fronted = Fronted::with(kind, |shop| {
        shop.set("gateway.rate_limit.enabled", false).set("gateway.requests_at_once", 4096)
    })
    .await;
    let mut customers = JoinSet::new();
    for customer in 0..CUSTOMERS {
        let client = fronted.client();
        customers.spawn(async move {
            let mut told: BTreeMap<u16, usize> = BTreeMap::new();
            for order in 0..ORDERS {
                let key = format!("customer-{customer}-{order}");
                let headers = [("idempotency-key", key.as_str())];
                let answer = client.post("/api/orders", &headers, &seed_order()).await.unwrap();
                *told.entry(answer.status.as_u16()).or_default() += 1;
            }
            told
        });
    }
    let mut told: BTreeMap<u16, usize> = BTreeMap::new();
    for of_one in customers.join_all().await {
        for (status, count) in of_one {
            *told.entry(status).or_default() += count;
        }
    }
    // Accepted is an answer too: this machine may be busy.
    let good = told.get(&201).copied().unwrap_or_default() + told.get(&202).copied().unwrap_or_default();
    assert_eq!(good, CUSTOMERS * ORDERS, "{told:?} {}", fronted.front.log());

    until("a span of each order", async || requests(&fronted.traced.collector).count() >= CUSTOMERS * ORDERS)
        .await;
    let peers: BTreeSet<String> = requests(&fronted.traced.collector)
        .filter_map(|span| span.attribute("network.peer.port").map(ToString::to_string))
        .collect();
    assert!(peers.len() <= 2 * CUSTOMERS, "{} connections to the gateway for {good} orders", peers.len());
}

fn requests(collector: &Collector) -> impl Iterator<Item = FinishedSpan> + use<> {
    let spans = collector.spans().into_iter();
    spans.filter(|span| span.service_name() == "api-gateway" && span.name() == "POST /api/orders")
}

#[tokio::test]
async fn orders_over_connections_that_nginx_keeps_are_all_answered() {
    orders_over_kept_connections_are_all_answered(Kind::Nginx).await;
}

#[tokio::test]
async fn orders_over_connections_that_haproxy_keeps_are_all_answered() {
    orders_over_kept_connections_are_all_answered(Kind::HaProxy).await;
}

#[tokio::test]
async fn orders_over_connections_that_envoy_keeps_are_all_answered() {
    orders_over_kept_connections_are_all_answered(Kind::Envoy).await;
}

/// Who asks gets a problem document, whoever refuses.
async fn a_body_that_is_too_large_is_refused_as_the_gateway_does(kind: Kind) {
    let fronted = Fronted::start(kind).await;
    let body = format!(r#"{{"user_id":"{}"}}"#, "a".repeat(70_000));
    let answer = fronted.client().post("/api/orders", &[("idempotency-key", "large")], &body).await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json["code"], "payload_too_large");
}

#[tokio::test]
async fn a_body_that_is_too_large_for_nginx_is_refused_as_the_gateway_does() {
    a_body_that_is_too_large_is_refused_as_the_gateway_does(Kind::Nginx).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_for_haproxy_is_refused_as_the_gateway_does() {
    a_body_that_is_too_large_is_refused_as_the_gateway_does(Kind::HaProxy).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_behind_envoy_is_refused_by_the_gateway() {
    a_body_that_is_too_large_is_refused_as_the_gateway_does(Kind::Envoy).await;
}

/// A gateway that is gone is told as what the gateway itself would say of somebody who is away.
async fn a_gateway_that_is_away_is_told_as_unavailable(kind: Kind) {
    let fronted = Fronted::start(kind).await;
    let client = fronted.client();
    let Fronted { traced, front: _front } = fronted;
    traced.shop.kill().await.unwrap();
    let answer = client.post("/api/orders", &[("idempotency-key", "nobody")], &seed_order()).await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!((answer.json["code"].as_str(), answer.header("retry-after")), (Some("unavailable"), "1"));
}

#[tokio::test]
async fn a_gateway_that_is_away_is_told_by_nginx_as_unavailable() {
    a_gateway_that_is_away_is_told_as_unavailable(Kind::Nginx).await;
}

#[tokio::test]
async fn a_gateway_that_is_away_is_told_by_haproxy_as_unavailable() {
    a_gateway_that_is_away_is_told_as_unavailable(Kind::HaProxy).await;
}

#[tokio::test]
async fn a_gateway_that_is_away_is_told_by_envoy_as_unavailable() {
    a_gateway_that_is_away_is_told_as_unavailable(Kind::Envoy).await;
}
