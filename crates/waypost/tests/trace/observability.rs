//! An order as others see it: through the OpenTelemetry Collector into Zipkin and a file, and counted by Prometheus. What each
//! keeps is read back through its own interface.
//!
//! `cargo xtask test` starts these programs where Java and Go are there, and says when they are not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::StatusCode;
use serde_json::{Value, json};
use waypost_test_servers::free_port;
use waypost_testkit::{Client, Process, Shop, until};

use crate::{seed_order, trace_of};

/// Orders that are placed before anything is counted.
const ORDERS: u64 = 7;

/// A span as far as every format has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    parent: Option<String>,
    name: String,
    service: String,
    attributes: BTreeMap<String, String>,
}

/// What a variable says; a test without it is left out, and says so.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        eprintln!("LEFT OUT: {name} is not set; `cargo xtask test` sets it where there is Java and Go");
    }
    value
}

pub(crate) fn client(url: &str) -> Client {
    Client::new(url.trim_start_matches("http://").parse().unwrap())
}

/// A shop that sends to the Collector by this protocol.
async fn shop(endpoint: &str, protocol: &str) -> Shop {
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).environment("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let shop = shop.environment("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    shop.environment("OTEL_BSP_SCHEDULE_DELAY", "20").start().await.unwrap()
}

/// The spans of a trace in a file of OTLP as JSON, by id.
fn of_file(file: &str, trace: &str) -> BTreeMap<String, Span> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    // The last line may be half written.
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut spans = BTreeMap::new();
    for resource in lines.iter().flat_map(|line| list(&line["resourceSpans"])) {
        let service = attributes(&resource["resource"]["attributes"]).remove("service.name").unwrap();
        for span in list(&resource["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
            if span["traceId"] == trace {
                let parent = text_of(&span["parentSpanId"]).filter(|parent| !parent.is_empty());
                let read = Span {
                    parent,
                    name: text_of(&span["name"]).unwrap(),
                    service: service.clone(),
                    attributes: attributes(&span["attributes"]),
                };
                let before = spans.insert(text_of(&span["spanId"]).unwrap(), read);
                assert_eq!(before, None, "a span came twice");
            }
        }
    }
    spans
}

/// The spans of a trace in Zipkin, by id.
async fn of_zipkin(zipkin: &Client, trace: &str) -> BTreeMap<String, Span> {
    let Ok(answer) = zipkin.get(&format!("/api/v2/trace/{trace}")).await else { return BTreeMap::new() };
    let spans = list(&answer.json).iter().map(|span| {
        let tags = span["tags"].as_object().into_iter().flatten();
        let read = Span {
            parent: text_of(&span["parentId"]),
            name: text_of(&span["name"]).unwrap_or_default(),
            service: text_of(&span["localEndpoint"]["serviceName"]).unwrap_or_default(),
            attributes: tags.filter_map(|(key, value)| Some((key.clone(), text_of(value)?))).collect(),
        };
        (text_of(&span["id"]).unwrap(), read)
    });
    spans.collect()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Attributes of OTLP as JSON, their values as text.
fn attributes(list_of_pairs: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        let (_, value) = value.as_object()?.iter().next()?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let pairs = list(list_of_pairs).iter();
    pairs.filter_map(|pair| Some((text_of(&pair["key"])?, text(&pair["value"])?))).collect()
}

/// One root, every parent there, and the last of what is done for an order.
fn is_whole(spans: &BTreeMap<String, Span>) -> bool {
    let roots = spans.values().filter(|span| span.parent.is_none()).count();
    let has_parents =
        spans.values().filter_map(|span| span.parent.as_ref()).all(|parent| spans.contains_key(parent));
    roots == 1 && has_parents && spans.values().any(|span| span.name == "process order-events")
}

async fn an_order_is_the_same_for_zipkin_and_in_the_file(collector: &str, protocol: &str) {
    let (Some(collector), Some(zipkin), Some(file)) =
        (variable(collector), variable("TEST_ZIPKIN_URL"), variable("TEST_COLLECTOR_FILE"))
    else {
        return;
    };
    let shop = shop(&collector, protocol).await;
    let answer = shop.client("gateway").post("/api/orders", &[], &seed_order()).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let trace = trace_of(&answer);
    until("the whole trace in the file", async || is_whole(&of_file(&file, &trace))).await;
    // Everything that the shop still has to send.
    shop.stop().await.unwrap();
    let sent = of_file(&file, &trace);
    let zipkin = client(&zipkin);
    until("as many spans in Zipkin", async || of_zipkin(&zipkin, &trace).await.len() == sent.len()).await;

    let services: BTreeSet<&str> = sent.values().map(|span| span.service.as_str()).collect();
    let expected = [
        "api-gateway",
        "inventory-service",
        "notification-service",
        "order-service",
        "payment-provider",
        "payment-service",
        "user-service",
    ];
    assert_eq!(services, BTreeSet::from(expected));
    assert_shown_as_sent(&of_zipkin(&zipkin, &trace).await, &sent);
}

/// What Zipkin shows is what was sent.
fn assert_shown_as_sent(shown: &BTreeMap<String, Span>, sent: &BTreeMap<String, Span>) {
    for (id, shown) in shown {
        let sent = sent.get(id).unwrap_or_else(|| panic!("{id} was not sent: {shown:?}"));
        assert_eq!(shown.parent, sent.parent, "{}", sent.name);
        // Zipkin writes names in small letters.
        assert_eq!(shown.name, sent.name.to_lowercase());
        assert_eq!(shown.service, sent.service);
        for (key, value) in &sent.attributes {
            // What is of the other side has a place of its own in Zipkin.
            let is_endpoint =
                ["network.peer.", "server.", "client.", "peer."].iter().any(|prefix| key.starts_with(prefix));
            let got = shown.attributes.get(key);
            let number = |text: &String| text.parse::<f64>().ok();
            let is_same = got == Some(value) || got.is_some() && got.and_then(number) == number(value);
            assert!(is_endpoint && got.is_none() || is_same, "{key} of {}: {got:?}", sent.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_to_zipkin_by_the_shop_itself_is_the_same_as_in_its_files() {
    let Some(zipkin) = variable("TEST_ZIPKIN_URL") else { return };
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("{service}.jsonl");
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .environment("OTEL_TRACES_EXPORTER", "zipkin,otlp_file")
        .environment("OTEL_EXPORTER_ZIPKIN_ENDPOINT", &format!("{zipkin}/api/v2/spans"))
        .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
        .environment("WAYPOST_TELEMETRY__OTLP_FILE__TRACES", &files.display().to_string());
    let shop = shop.start().await.unwrap();
    let answer = shop.client("gateway").post("/api/orders", &[], &seed_order()).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let trace = trace_of(&answer);
    let written = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        files.flat_map(|file| of_file(&file.display().to_string(), &trace)).collect::<BTreeMap<_, _>>()
    };
    until("the whole trace in the files", async || is_whole(&written())).await;
    shop.stop().await.unwrap();
    let (sent, zipkin) = (written(), client(&zipkin));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 7, "a file for each role");
    until("as many spans in Zipkin", async || of_zipkin(&zipkin, &trace).await.len() == sent.len()).await;
    assert_shown_as_sent(&of_zipkin(&zipkin, &trace).await, &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_by_http_is_the_same_for_zipkin_and_in_the_file() {
    an_order_is_the_same_for_zipkin_and_in_the_file("TEST_COLLECTOR_URL", "http/protobuf").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_sent_by_grpc_is_the_same_for_zipkin_and_in_the_file() {
    an_order_is_the_same_for_zipkin_and_in_the_file("TEST_COLLECTOR_GRPC_URL", "grpc").await;
}

/// Text as a part of a URL.
pub(crate) fn encoded(text: &str) -> String {
    let letter = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(letter).collect()
}

/// The value of a query of Prometheus that gives one number.
async fn number(prometheus: &Client, query: &str) -> Option<f64> {
    let answer = prometheus.get(&format!("/api/v1/query?query={}", encoded(query))).await.ok()?;
    answer.json["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_counts_orders_as_the_shop_and_as_the_collector_do() {
    let (Some(collector), Some(prometheus), Some(targets)) = (
        variable("TEST_COLLECTOR_URL"),
        variable("TEST_PROMETHEUS_URL"),
        variable("TEST_PROMETHEUS_TARGETS"),
    ) else {
        return;
    };
    let shop = shop(&collector, "http/protobuf").await;
    let admin = shop.address("admin");
    let target = Path::new(&targets).join(format!("{}.json", admin.port()));
    std::fs::write(&target, json!([{ "targets": [admin.to_string()] }]).to_string()).unwrap();
    let prometheus = client(&prometheus);
    // Other tests send to the same Collector.
    let by_spans =
        r#"sum(traces_span_metrics_calls_total{span_name="POST /api/orders",span_kind="SPAN_KIND_SERVER"})"#;
    let before = number(&prometheus, by_spans).await.unwrap_or_default();
    for _ in 0..ORDERS {
        let answer = shop.client("gateway").post("/api/orders", &[], &seed_order()).await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }
    let instance = format!("{{instance=\"{admin}\"}}");
    let expected = f64::from(u32::try_from(ORDERS).unwrap());
    let completed = format!("sum(waypost_order_settled_total{instance})");
    until("all orders in Prometheus", async || number(&prometheus, &completed).await == Some(expected)).await;
    until("a count of their requests by the Collector", async || {
        number(&prometheus, by_spans).await.is_some_and(|count| count >= before + expected)
    })
    .await;
    std::fs::remove_file(&target).unwrap();
}

/// A Collector of this test's own, on a port that it has again after it was killed.
struct OwnCollector {
    program: String,
    configuration: std::path::PathBuf,
    process: Option<Process>,
}

impl OwnCollector {
    async fn start(program: String, folder: &Path, port: u16) -> OwnCollector {
        let configuration = folder.join("collector.yaml");
        let file = json!(folder.join("spans.jsonl").to_string_lossy());
        let text = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{port}\"}}}}}}}}\n\
             exporters: {{file: {{path: {file}, append: true, flush_interval: 50ms}}}}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}\n"
        );
        std::fs::write(&configuration, text).unwrap();
        let mut collector = OwnCollector { program, configuration, process: None };
        collector.start_again().await;
        collector
    }

    async fn start_again(&mut self) {
        let mut command = std::process::Command::new(&self.program);
        let mut process = Process::start(command.arg("--config").arg(&self.configuration)).unwrap();
        let is_ready = |line: &str| line.contains("Everything is ready").then_some(());
        process.line("that it is ready", is_ready).await.unwrap();
        self.process = Some(process);
    }

    async fn kill(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }
}

/// The ids of all spans in a file of OTLP as JSON, each once.
fn ids(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let resources = lines.iter().flat_map(|line| list(&line["resourceSpans"]));
    let scopes = resources.flat_map(|resource| list(&resource["scopeSpans"]));
    scopes.flat_map(|scope| list(&scope["spans"])).filter_map(|span| text_of(&span["spanId"])).collect()
}

/// The number behind a word of a line: `spans_sent=12`.
fn field(line: &str, name: &str) -> u64 {
    let digits = line.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("no {name} in {line}"));
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_notices_that_the_collector_is_killed_and_every_span_is_counted() {
    let Some(program) = variable("TEST_COLLECTOR") else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut collector = OwnCollector::start(program, folder.path(), port).await;
    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost"))
        .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}"))
        .environment("OTEL_BSP_SCHEDULE_DELAY", "20")
        .set("telemetry.logs.filter", "error,waypost=info")
        .start()
        .await
        .unwrap();
    let place = async || {
        let answer = shop.client("gateway").post("/api/orders", &[], &seed_order()).await.unwrap();
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        trace_of(&answer)
    };
    let file = folder.path().join("spans.jsonl").to_string_lossy().into_owned();
    for _ in 0..10 {
        place().await;
    }
    collector.kill().await;
    for _ in 0..20 {
        place().await;
    }
    collector.start_again().await;
    let last = place().await;
    until("the trace of an order that was placed afterwards", async || is_whole(&of_file(&file, &last)))
        .await;

    let metrics = shop.client("admin").get("/metrics").await.unwrap();
    let started = metrics.text().lines().filter(|line| line.starts_with("otel_sdk_span_started_total{"));
    let started: u64 = started.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
    let account = stopped.output.lines().find(|line| line.contains("telemetry is flushed")).unwrap();
    let (sent, dropped) = (field(account, "spans_sent"), field(account, "spans_dropped"));
    // Spans of the last moments come to those that were counted before.
    assert!(started <= sent + dropped, "{started} spans were begun, and of {account}");
    let kept = u64::try_from(ids(&file).len()).unwrap();
    println!("{started} spans begun, {sent} sent, {dropped} dropped, {kept} in the file");
    // What it had taken and not yet written went with it; nothing is there that was not sent.
    assert!(kept <= sent && kept > sent / 2, "{kept} of {sent} are in the file");
}
