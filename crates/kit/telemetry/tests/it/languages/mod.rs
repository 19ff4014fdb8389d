//! A service of another language in the middle of a trace: the kit calls it, it calls the kit, by the OpenTelemetry SDKs for
//! Python and JavaScript, over HTTP, gRPC and Kafka, with the headers of W3C, B3 and Jaeger.
//!
//! `cargo xtask test` installs the SDKs and names them in `TEST_PYTHON`, `TEST_PYTHON_PACKAGES`, `TEST_NODE` and
//! `TEST_NODE_MODULES`; without them a test says that it is left out.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use serde_json::Value;
use tower::{Layer as _, Service as _};
use waypost_telemetry::config::Propagator;
use waypost_telemetry::messaging::Correlation;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{FinishedSpan, span, with_context};
use waypost_test_process::Process;

use crate::grpc_server::echo::{EchoClient, Kind, routes};
use crate::http_server::net::{client, serve, within};
use crate::kafka::{Topic, next, placed};

const PYTHON: [&str; 4] = ["TEST_PYTHON", "TEST_PYTHON_PACKAGES", "PYTHONPATH", "middle.py"];
const JAVASCRIPT: [&str; 4] = ["TEST_NODE", "TEST_NODE_MODULES", "NODE_PATH", "middle.cjs"];

const FORMATS: [(&str, Propagator); 4] = [
    ("tracecontext", Propagator::TraceContext),
    ("b3", Propagator::B3),
    ("b3multi", Propagator::B3Multi),
    ("jaeger", Propagator::Jaeger),
];

/// The service in the middle.
struct Middle {
    process: Process,
    address: String,
}

impl Middle {
    /// Starts it; `None` where its language is not installed.
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    async fn start(language: [&str; 4], arguments: &[&str]) -> Option<Self> {
        let [program, packages, path, script] = language;
        let (Ok(interpreter), Ok(folder)) = (std::env::var(program), std::env::var(packages)) else {
            eprintln!("LEFT OUT: {program} and {packages} are not set; `cargo xtask test` sets them");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/languages").join(script);
        let mut command = Command::new(interpreter);
        let mut process = Process::start(command.arg(script).args(arguments).env(path, folder)).unwrap();
        let port = |line: &str| line.strip_prefix("ready ")?.parse::<u16>().ok();
        let port = process.line("its port", port).await.unwrap();
        Some(Self { process, address: format!("127.0.0.1:{port}") })
    }

    /// The two spans that it ended: the one that came from the kit, and the one that went on to it.
    async fn spans(&mut self) -> [Value; 2] {
        let mut found = Vec::new();
        for kinds in [["SERVER", "CONSUMER"], ["CLIENT", "PRODUCER"]] {
            let span = |line: &str| {
                let span: Value = serde_json::from_str(line).ok()?;
                kinds.contains(&span["kind"].as_str()?).then_some(span)
            };
            found.push(self.process.line("its spans", span).await.unwrap());
        }
        found.try_into().unwrap()
    }
}

fn shop(format: Propagator) -> TestTelemetry {
    let mut settings = TestTelemetry::settings("shop");
    settings.propagators = vec![format];
    TestTelemetry::with(settings)
}

fn of_kind(telemetry: &TestTelemetry, kind: &SpanKind) -> FinishedSpan {
    let spans = telemetry.finished_spans();
    let found: Vec<_> = spans.iter().filter(|span| span.kind() == *kind).collect();
    assert_eq!(found.len(), 1, "{kind:?}: {spans:?}");
    found[0].clone()
}

/// From the kit into the middle and back into the kit, each span the child of the one before, all in one trace.
async fn assert_one_trace(first: &FinishedSpan, middle: &mut Middle, last: &FinishedSpan, format: &str) {
    let [came, left] = middle.spans().await;
    let chain = [
        (first.trace_id().to_string(), first.span_id().to_string(), None),
        text(&came),
        text(&left),
        (
            last.trace_id().to_string(),
            last.span_id().to_string(),
            last.parent_id().map(|parent| parent.to_string()),
        ),
    ];
    for pair in chain.windows(2) {
        assert_eq!(pair[1].0, pair[0].0, "{format}: one trace, {chain:?}");
        assert_eq!(pair[1].2.as_ref(), Some(&pair[0].1), "{format}: the parent, {chain:?}");
    }
    assert!(last.parent_is_remote(), "{format}");
}

fn text(span: &Value) -> (String, String, Option<String>) {
    let id = |key: &str| span[key].as_str().unwrap().to_owned();
    (id("trace"), id("span"), Some(id("parent")))
}

async fn over_http(language: [&str; 4]) {
    for (name, format) in FORMATS {
        let telemetry = shop(format);
        let last =
            serve(Router::new().route("/last", get(async || "seen")).layer(telemetry.http_server())).await;
        let Some(mut middle) = Middle::start(language, &["http", name, &last.url("/last")]).await else {
            return;
        };
        let request = Request::get(format!("http://{}/", middle.address)).body(Body::empty()).unwrap();
        let mut client = telemetry.http_client().layer(client());
        let placing = async { Ok::<_, std::io::Error>(client.call(request).await) };
        let asked = with_context(telemetry.context(), span("place").run(placing));
        let answer = within("the answer", asked).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let body = axum::body::to_bytes(Body::new(answer.into_body()), 64).await.unwrap();
        assert_eq!(body, "seen");
        let (first, last) = (of_kind(&telemetry, &SpanKind::Client), of_kind(&telemetry, &SpanKind::Server));
        assert_one_trace(&first, &mut middle, &last, name).await;
    }
}

async fn over_grpc(language: [&str; 4]) {
    for (name, format) in FORMATS {
        let telemetry = shop(format);
        let last = serve(routes().into_axum_router().layer(telemetry.grpc_server())).await;
        let address = last.address.to_string();
        let arguments = ["grpc", name, &address, Kind::Unary.path()];
        let Some(mut middle) = Middle::start(language, &arguments).await else { return };
        let mut client =
            EchoClient::new(telemetry.grpc_channel(&format!("http://{}", middle.address)).unwrap());
        let asked = with_context(telemetry.context(), span("place").run(client.call(Kind::Unary, "ok")));
        within("the answer", asked).await.unwrap();
        let (first, last) = (of_kind(&telemetry, &SpanKind::Client), of_kind(&telemetry, &SpanKind::Server));
        assert_one_trace(&first, &mut middle, &last, name).await;
    }
}

async fn over_kafka(language: [&str; 4]) {
    for (name, format) in FORMATS {
        let telemetry = shop(format);
        let orders = Topic::own().await;
        let mails = Topic::own().await;
        let arguments = ["kafka", name, orders.bootstrap(), orders.name(), mails.name()];
        let Some(mut middle) = Middle::start(language, &arguments).await else { return };
        let kafka = telemetry.kafka().correlation(Correlation::Parent);
        placed(&telemetry, &orders.producer(&kafka), orders.record("order-1", "placed")).await;
        let consumer = mails.consumer(&kafka);
        let message = next(&consumer).await;
        consumer.process(&message, async { Ok::<_, std::io::Error>(()) }).await.unwrap();
        let (first, last) =
            (of_kind(&telemetry, &SpanKind::Producer), of_kind(&telemetry, &SpanKind::Consumer));
        assert_one_trace(&first, &mut middle, &last, name).await;
    }
}

#[tokio::test]
async fn a_service_in_python_is_in_the_middle_of_a_trace_over_http() {
    over_http(PYTHON).await;
}

#[tokio::test]
async fn a_service_in_javascript_is_in_the_middle_of_a_trace_over_http() {
    over_http(JAVASCRIPT).await;
}

#[tokio::test]
async fn a_service_in_python_is_in_the_middle_of_a_trace_over_grpc() {
    over_grpc(PYTHON).await;
}

#[tokio::test]
async fn a_service_in_javascript_is_in_the_middle_of_a_trace_over_grpc() {
    over_grpc(JAVASCRIPT).await;
}

#[tokio::test]
async fn a_service_in_python_is_in_the_middle_of_a_trace_over_kafka() {
    over_kafka(PYTHON).await;
}

#[tokio::test]
async fn a_service_in_javascript_is_in_the_middle_of_a_trace_over_kafka() {
    over_kafka(JAVASCRIPT).await;
}
