//! `/metrics`, in both formats.

use crate::{
    fixtures::{CART, cart, lone, text},
    site::Site,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

/// The lines of a document that are samples, without exemplars: name with labels, and value.
fn samples(document: &str) -> BTreeMap<&str, f64> {
    let lines = document.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<(&str, f64)> = lines
        .map(|line| {
            let line = line.split_once(" # ").map_or(line, |(sample, _)| sample);
            let (sample, value) = line.rsplit_once(' ').unwrap();
            (sample, value.parse().unwrap())
        })
        .collect();
    let count = samples.len();
    let samples = BTreeMap::from_iter(samples);
    assert_eq!(samples.len(), count, "a sample stands twice");
    samples
}

async fn document(site: &Site, accept: &str) -> String {
    let answer = site.prometheus("/metrics", accept).await;
    assert_eq!(answer.status.as_u16(), 200);
    let expected = if accept.contains("openmetrics") {
        "application/openmetrics-text; version=1.0.0"
    } else {
        "text/plain; version=0.0.4"
    };
    assert_eq!(answer.header("content-type"), format!("{expected}; charset=utf-8"));
    answer.text().to_owned()
}

const PROMETHEUS: &str =
    "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

#[tokio::test]
async fn spans_and_the_service_graph_are_counted() {
    let [web, stock] = cart();
    let query = json!({"kind": 3, "attributes": [text("db.system.name", "postgresql"), text("db.namespace", "shop")]});
    let query = lone("stock", "0123456789abcdef0123456789abcdef", "0000000000000001", query);
    let site = Site::with(&[web, stock, query]).await;
    let plain = document(&site, "text/plain").await;
    let open = document(&site, PROMETHEUS).await;
    let plain = samples(&plain);
    assert_eq!(plain, samples(&open));
    let of = |sample: &str| plain.get(sample).copied().unwrap_or(-1.0);
    let labels = r#"service="shop-web",span_name="reserve",span_kind="SPAN_KIND_CLIENT""#;
    for (status, count) in [("UNSET", 0.0), ("ERROR", 1.0)] {
        let sample =
            format!(r#"traces_spanmetrics_calls_total{{{labels},status_code="STATUS_CODE_{status}"}}"#);
        assert!((of(&sample) - count).abs() < 1e-9, "{sample}");
    }
    // It took 30 ms.
    for (le, count) in [("0.001", 0.0), ("0.025", 0.0), ("0.05", 1.0), ("10.0", 1.0), ("+Inf", 1.0)] {
        let sample = format!(r#"traces_spanmetrics_latency_bucket{{{labels},le="{le}"}}"#);
        assert!((of(&sample) - count).abs() < 1e-9, "{sample}");
    }
    assert!((of(&format!("traces_spanmetrics_latency_sum{{{labels}}}")) - 0.03).abs() < 1e-9);
    assert!((of(&format!("traces_spanmetrics_latency_count{{{labels}}}")) - 1.0).abs() < 1e-9);
    for (client, server, kind, failed) in
        [("shop-web", "stock", "", 1.0), ("stock", "postgresql/shop", "database", 0.0)]
    {
        let labels = format!(r#"client="{client}",server="{server}",connection_type="{kind}""#);
        assert!(
            (of(&format!("traces_service_graph_request_total{{{labels}}}")) - 1.0).abs() < 1e-9,
            "{labels}"
        );
        assert!(
            (of(&format!("traces_service_graph_request_failed_total{{{labels}}}")) - failed).abs() < 1e-9
        );
        assert!(
            (of(&format!("traces_service_graph_request_server_seconds_count{{{labels}}}")) - 1.0).abs()
                < 1e-9
        );
    }
}

#[tokio::test]
async fn open_metrics_have_traces_as_exemplars() {
    let [web, stock] = cart();
    let site = Site::with(&[web, stock]).await;
    let open = document(&site, PROMETHEUS).await;
    assert!(open.ends_with("# EOF\n"));
    let labels = r#"service="shop-web",span_name="reserve",span_kind="SPAN_KIND_CLIENT""#;
    let failed = format!(
        "traces_spanmetrics_calls_total{{{labels},status_code=\"STATUS_CODE_ERROR\"}} 1 # {{trace_id=\"{CART}\"}} 1.0\n"
    );
    assert!(open.contains(&failed), "{open}");
    let slowest = format!(
        "traces_spanmetrics_latency_bucket{{{labels},le=\"0.05\"}} 1 # {{trace_id=\"{CART}\"}} 0.03\n"
    );
    assert!(open.contains(&slowest), "{open}");
    assert!(!document(&site, "text/plain").await.contains("trace_id"));
}

#[tokio::test]
async fn names_of_spans_are_escaped_and_operations_bounded() {
    let nasty = "a\"b\\c\nd";
    let trace = |number: u64| format!("{number:032x}");
    let mut messages = vec![lone("x", &trace(1), "0000000000000001", json!({"name": nasty, "kind": 2}))];
    let service = |number: u64| format!("service-{}", number % 4);
    messages.extend((2..1_500).map(|number| {
        let fields = json!({"name": format!("GET /{number}"), "kind": 2});
        lone(&service(number), &trace(number), "0000000000000001", fields)
    }));
    let site = Site::with(&messages).await;
    let plain = document(&site, "text/plain").await;
    assert!(
        plain.contains(r#"span_name="a\"b\\c\nd""#),
        "{}",
        plain.lines().take(9).collect::<Vec<_>>().join("\n")
    );
    let samples = samples(&plain);
    let calls = || samples.iter().filter(|(name, _)| name.starts_with("traces_spanmetrics_calls_total"));
    assert!(calls().map(|(_, calls)| calls).sum::<f64>() > 1_498.5, "all are counted");
    let named = calls().filter(|(name, _)| !name.contains("(other)")).count();
    assert_eq!(named, 1_000);
    assert_prometheus_reads(&plain);
}

/// Prometheus's own parser and linter have no complaint.
fn assert_prometheus_reads(document: &str) {
    let mut check = Command::new("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut running = match check.spawn() {
        Ok(running) => running,
        Err(error) => {
            // Past the capture of a test that passes.
            let said = writeln!(std::io::stderr(), "left out: metrics read by Prometheus: promtool: {error}");
            return said.unwrap();
        }
    };
    running.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
