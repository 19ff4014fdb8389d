//! Every panel of every dashboard, and every rule, asked of a real Prometheus that scrapes a real shop.

use std::collections::BTreeMap;

use serde_json::Value;
use waypost_testkit::{Client, Shop, until};

use crate::ORDER;
use crate::server::{Server, file, free, program, repository, with};

/// Orders of every kind that a dashboard tells apart.
const ORDERS: [&str; 3] = [
    ORDER,
    r#"{"user_id": "user-declined", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#,
    r#"{"user_id": "user123", "product_id": "prod-soldout", "quantity": 1, "amount": 89.00}"#,
];

/// Rules about what does not happen while the test runs; they have no series until it does.
const QUIET: [&str; 3] = ["http_server_errors", "spans_lost", "requests_shed"];

/// A shop and a Prometheus with the files of `deploy/prometheus` that scrapes it each second.
struct Watched {
    shop: Shop,
    prometheus: Client,
    _server: Server,
}

async fn watched(test: &str) -> Option<Watched> {
    let program = program(test, "prometheus")?;
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .viewer()
        .set("gateway.rate_limit.enabled", false)
        .set("health.interval", "100ms")
        .start()
        .await
        .unwrap();
    let rules = repository().join("deploy/prometheus/rules");
    let configuration = with(
        &file("deploy/prometheus/prometheus.yml"),
        &[
            ("127.0.0.1:9464", shop.address("admin").to_string()),
            ("15s", "1s".to_owned()),
            ("  - rules/", format!("  - {}/", rules.display())),
        ],
    );
    let address = free();
    let listen = format!("--web.listen-address={address}");
    let arguments = ["--config.file={}", "--storage.tsdb.path={folder}/data", &listen];
    let server = Server::start(&program, &arguments, ("prometheus.yml", &configuration), address).await;
    Some(Watched { shop, prometheus: Client::new(address), _server: server })
}

impl Watched {
    /// Something for every panel to show.
    async fn place_orders(&self) {
        let gateway = self.shop.client("gateway");
        for order in ORDERS {
            gateway.post("/api/orders", &[], order).await.unwrap();
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.prometheus.get(path).await.unwrap();
        assert_eq!(answer.json["status"], "success", "{path}: {}", String::from_utf8_lossy(&answer.bytes));
        answer.json["data"].clone()
    }

    /// How many series answer this query with a number.
    async fn answers(&self, query: &str) -> usize {
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let data = self.get(&format!("/api/v1/query?query={query}")).await;
        let series = data["result"].as_array().cloned().unwrap_or_default();
        series.iter().filter(|series| series["value"][1].as_str().is_some_and(|value| value != "NaN")).count()
    }
}

/// The queries of a dashboard's file by panel, as Grafana would send them.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let title = dashboard["title"].as_str().unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let query = |panel: &Value, target: &Value| {
        let text =
            target["expr"].as_str().unwrap().replace("$__rate_interval", "1m").replace("$service", ".*");
        (format!("{title}, {}", panel["title"].as_str().unwrap()), text)
    };
    let targets = |panel: &Value| panel["targets"].as_array().cloned().unwrap_or_default();
    panels
        .iter()
        .flat_map(|panel| targets(panel).into_iter().map(|target| query(panel, &target)).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_panel_is_without_data_after_orders_of_every_kind() {
    let Some(watched) = watched("dashboards").await else { return };
    let mut open = Vec::new();
    for entry in std::fs::read_dir(repository().join("deploy/grafana/dashboards")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        open.extend(queries(&serde_json::from_str(&text).unwrap()));
    }
    assert!(open.len() > 40, "{}", open.len());
    let mut last = BTreeMap::new();
    let filled = tokio::time::timeout(waypost_testkit::PATIENCE, async {
        while !open.is_empty() {
            watched.place_orders().await;
            let mut still = Vec::new();
            for (panel, query) in std::mem::take(&mut open) {
                if watched.answers(&query).await == 0 {
                    last.insert(panel.clone(), query.clone());
                    still.push((panel, query));
                }
            }
            open = still;
        }
    })
    .await;
    assert!(filled.is_ok(), "without data: {last:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_is_evaluated_and_no_alert_fires_while_all_is_well() {
    let Some(watched) = watched("rules").await else { return };
    let mut rules = Vec::new();
    until("every rule with data", async || {
        watched.place_orders().await;
        let groups = watched.get("/api/v1/rules").await["groups"].as_array().cloned().unwrap_or_default();
        rules =
            groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect();
        for rule in &rules {
            let name = rule["name"].as_str().unwrap();
            let is_quiet = rule["type"] == "alerting" || QUIET.iter().any(|part| name.contains(part));
            if rule["health"] != "ok" || (!is_quiet && watched.answers(name).await == 0) {
                return false;
            }
        }
        !rules.is_empty()
    })
    .await;
    let alerts: Vec<&Value> = rules.iter().filter(|rule| rule["type"] == "alerting").collect();
    assert_eq!(alerts.len(), 16);
    // A third of the orders here is declined on purpose; what that alert needs beside is time.
    let on_purpose = ["WaypostManyPaymentsDeclined"];
    for alert in alerts {
        let name = alert["name"].as_str().unwrap();
        assert!(alert["state"] == "inactive" || on_purpose.contains(&name), "{alert:#}");
    }
}
