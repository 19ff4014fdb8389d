//! The rules, alerts and dashboards of `deploy/`, with a real Prometheus that scrapes real shops, one that is well and one that
//! is not: whatever they ask for is there.

mod expressions;
mod prometheus;
mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::task::JoinSet;
use waypost_test_servers::postgres::Database;
use waypost_testkit::{Shop, program, until};

use crate::observability::{encoded, list, variable};
use crate::{order_of, seed_order};
use expressions::{Expression, panels, rules};
use prometheus::Prometheus;
use promql::asked;

const BINARY: &str = env!("CARGO_BIN_EXE_waypost");

/// What no shop of this test has, and why.
const NOT_HERE: [(&str, &str); 3] = [
    (
        r#"http_server_request_duration_seconds_count{http_response_status_code="507"}"#,
        "a disk has to be full: `orders_go_on_when_the_disk_of_the_tables_was_full`",
    ),
    (
        "waypost_peer_refused_total",
        "a role has to call what is not its business: `a_role_calls_what_the_table_of_the_service_names`",
    ),
    (
        r#"traces_span_metrics_duration_seconds_bucket{service_name=~".*",span_kind="SPAN_KIND_SERVER"}"#,
        "counted by a Collector: `prometheus_counts_orders_as_the_shop_and_as_the_collector_do`",
    ),
];

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(deploy(file)).unwrap()).unwrap()
}

/// A customer of a proxy, whose rate is counted; that of this machine itself is not.
const CUSTOMER: [(&str, &str); 1] = [("x-forwarded-for", "203.0.113.7")];
const TRUSTED: (&str, &str) = ("gateway.trusted_proxies", r#"["127.0.0.1"]"#);

/// A shop that is well.
async fn well(data: &Path) -> Shop {
    let shop = Shop::of(BINARY).data(data).viewer().set(TRUSTED.0, TRUSTED.1);
    let shop = shop.set("gateway.login_limit.requests", 1).environment("OTEL_BSP_SCHEDULE_DELAY", "20");
    shop.start().await.unwrap()
}

/// A shop whose provider denies it, whose inventory, Redis and receiver of spans are away, with certificates, and with room for one
/// request.
async fn ill(certificates: &Path) -> Shop {
    let made = program::command(BINARY, certificates).args(["certificates", "."]).status().unwrap();
    assert!(made.success());
    let file = |name: &str| certificates.join(name).display().to_string();
    Shop::of(BINARY)
        .set("provider.faults.unauthorized_rate", 1)
        .set("gateway.requests_at_once", 1)
        .set("gateway.budget", "1s")
        .set("gateway.inventory_service", "http://127.0.0.1:1")
        .set(TRUSTED.0, TRUSTED.1)
        .set("cache.kind", "redis")
        .set("cache.redis.urls", "redis://127.0.0.1:1")
        .environment("WAYPOST_TLS__CERTIFICATE", &file("{role}.pem"))
        .environment("WAYPOST_TLS__KEY", &file("{role}.key"))
        .environment("WAYPOST_TLS__CA", &file("ca.pem"))
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .environment("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
        .environment("OTEL_BSP_MAX_QUEUE_SIZE", "64")
        .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
        .start()
        .await
        .unwrap()
}

/// What buyers do in a moment.
async fn buy(well: &Shop, ill: &Shop) {
    let orders = [
        seed_order(),
        order_of("user-declined", "prod456", 2, "99.99"),
        order_of("user123", "prod-soldout", 1, "89.00"),
        order_of("user-timeout-before", "prod456", 2, "99.99"),
    ];
    let mut buyers = JoinSet::new();
    let gateway = well.client("gateway");
    for order in orders {
        let gateway = gateway.clone();
        buyers.spawn(async move { gateway.post("/api/orders", &[], &order).await.unwrap().status });
    }
    let login = json!({"user_id": "user123", "password": "wrong"}).to_string();
    buyers.spawn(async move { gateway.post("/api/login", &CUSTOMER, &login).await.unwrap().status });
    let gateway = ill.client("gateway");
    for _ in 0..24 {
        let gateway = gateway.clone();
        buyers.spawn(async move { gateway.post("/api/orders", &[], &seed_order()).await.unwrap().status });
    }
    buyers.join_all().await;
    gateway.send(Method::GET, "/api/products/prod456", &CUSTOMER, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_alert_and_panel_asks_for_what_is_there() {
    let Some(program) = variable("TEST_PROMETHEUS") else { return };
    let (data, certificates) = (tempdir().unwrap(), tempdir().unwrap());
    let (well, ill) = (well(data.path()).await, ill(certificates.path()).await);
    // Only on a server are there pools.
    let database = Database::create();
    let on_server = Shop::of(BINARY).on_postgres(&database.url()).start().await.unwrap();
    let prometheus = Prometheus::start(&program, &[&well, &ill, &on_server], &well).await;
    let (rules, panels) = (rules(), panels());
    assert!(rules.len() > 30 && panels.len() > 30, "{} rules, {} panels", rules.len(), panels.len());

    // Every selector, with the labels that whoever uses it wants of it.
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut labels: Vec<(String, BTreeSet<String>, BTreeSet<String>)> = Vec::new();
    for expression in rules.iter().chain(panels.iter().flatten()) {
        let asked = asked(&expression.text);
        for selector in &asked.selectors {
            wanted.entry(selector.clone()).or_default().insert(expression.place.clone());
        }
        let names = asked.labels.union(&expression.names).cloned().collect();
        labels.push((expression.place.clone(), names, asked.selectors));
    }
    for (selector, reason) in NOT_HERE {
        assert!(wanted.remove(selector).is_some(), "nothing asks for {selector} any more ({reason})");
    }
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    let end = tokio::time::Instant::now() + 2 * waypost_testkit::PATIENCE;
    while tokio::time::Instant::now() < end {
        buy(&well, &ill).await;
        for selector in wanted.keys() {
            let series = prometheus.series(selector).await;
            seen.entry(selector.clone())
                .or_default()
                .extend(series.into_iter().flat_map(BTreeMap::into_keys));
        }
        missing = problems(&prometheus, &wanted, &seen, &labels, &panels).await;
        if missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "{} questions have no answer:\n{}", missing.len(), missing.join("\n"));
    for (selector, reason) in NOT_HERE {
        assert!(prometheus.series(selector).await.is_empty(), "{selector} is here after all ({reason})");
    }
}

/// What is asked for and not there.
async fn problems(
    prometheus: &Prometheus,
    wanted: &BTreeMap<String, BTreeSet<String>>,
    seen: &BTreeMap<String, BTreeSet<String>>,
    labels: &[(String, BTreeSet<String>, BTreeSet<String>)],
    panels: &[Vec<Expression>],
) -> Vec<String> {
    let mut problems = Vec::new();
    for (selector, places) in wanted {
        if seen.get(selector).is_none_or(BTreeSet::is_empty) {
            problems.push(format!("no series of {selector}, which {places:?} ask for"));
        }
    }
    for (place, names, selectors) in labels {
        let has =
            |name: &String| selectors.iter().any(|one| seen.get(one).is_some_and(|seen| seen.contains(name)));
        let is_here = selectors.iter().any(|selector| wanted.contains_key(selector));
        // Buckets are summed by their bound, and `vector(0)` has no label.
        problems.extend(
            names.iter().filter(|name| is_here && !has(name)).map(|name| format!("{place}: no label {name}")),
        );
    }
    for panel in panels {
        let mut answers = 0;
        for query in panel {
            answers += prometheus.series(&query.text).await.len();
        }
        if answers == 0 {
            problems.push(format!("{} is empty", panel[0].place));
        }
    }
    problems
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_of_the_dashboard_leads_to_a_trace_of_the_viewer() {
    let Some(program) = variable("TEST_PROMETHEUS") else { return };
    let data = tempdir().unwrap();
    let shop = well(data.path()).await;
    let prometheus = Prometheus::start(&program, &[&shop], &shop).await;
    let file = std::fs::read_to_string(deploy("grafana/dashboards/waypost-service.json")).unwrap();
    let board: Value = serde_json::from_str(&file).unwrap();
    let targets = list(&board["panels"]).iter().flat_map(|panel| list(&panel["targets"]));
    let with_points = targets.filter(|target| target["exemplar"] == true).map(|target| &target["expr"]);
    let of_viewer = |query: &&str| query.contains("traces_spanmetrics_");
    let query = with_points.filter_map(Value::as_str).find(of_viewer).unwrap();
    let query = query.replace("$__rate_interval", "5m").replace("$service", "api-gateway");
    let sources = yaml("grafana/provisioning/datasources/waypost.yaml");
    let label = &sources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"][0]["name"];

    let path = format!("/api/v1/query_exemplars?query={}&start=0&end=4000000000", encoded(&query));
    let mut traces = Vec::new();
    until("the points of an order in Prometheus", async || {
        let answer = shop.client("gateway").post("/api/orders", &[], &seed_order()).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        let answer = prometheus.client.get(&path).await.unwrap();
        let series = list(&answer.json["data"]).iter();
        let points = series.filter(|one| one["seriesLabels"]["span_name"] == "POST /api/orders");
        let points = points.flat_map(|one| list(&one["exemplars"]));
        traces = points
            .map(|point| point["labels"][label.as_str().unwrap()].as_str().unwrap().to_owned())
            .collect();
        !traces.is_empty()
    })
    .await;
    for trace in traces {
        let answer = shop.client("viewer").get(&format!("/api/traces/{trace}")).await.unwrap();
        assert_eq!(answer.status, 200, "{trace}");
        let spans = list(&answer.json["data"][0]["spans"]);
        assert!(spans.iter().any(|span| span["operationName"] == "POST /api/orders"), "{trace}: {spans:?}");
    }
}
