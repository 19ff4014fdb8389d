//! All that the kit emits is right by the OpenTelemetry conventions; what is meant to differ is listed with its reason.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::routing::{any, get};
use tower::{Layer as _, Service as _};
use waypost_telemetry::config::{Detector, Exporter};
use waypost_telemetry::http::UrlTemplate;
use waypost_telemetry::messaging::{
    Correlation, HeaderCarrier, MessageSpan, Metrics, create_span, process_batch_span, process_span,
    receive_span, send_span, settle_span,
};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::testing::conventions::{Conventions, Level, Rule};
use waypost_telemetry::testing::{TestTelemetry, wait_for};
use waypost_telemetry::{ErrorType, propagation, record_error, with_context};

use crate::grpc_client::traced;
use crate::grpc_server::echo::{Kind, routes};
use crate::http_server::net::{PATIENCE, client, eventually, exchange, nothing_active, serve, spans};
use crate::receiver::{HttpReceiver, Manner};

/// The conventions, with what holds wherever the kit's own metrics are read.
fn conventions() -> Conventions {
    Conventions::current()
}

/// A handle with everything on that describes where telemetry comes from.
fn telemetry() -> TestTelemetry {
    let mut settings = TestTelemetry::settings("shop");
    settings.detectors = vec![Detector::Process, Detector::Os, Detector::Host, Detector::Container];
    settings.metrics.process = true;
    TestTelemetry::with(settings)
}

async fn recorded(telemetry: &TestTelemetry, count: usize) {
    wait_for(&[telemetry], PATIENCE, |spans| spans.len() == count).await.unwrap();
}

fn request(method: &str, url: String) -> Request<Body> {
    let request = Request::builder().method(method).uri(url).header("user-agent", "tests/1");
    request.body(Body::empty()).unwrap()
}

#[derive(Debug, thiserror::Error)]
#[error("out of stock")]
struct OutOfStock;

impl ErrorType for OutOfStock {
    fn error_type(&self) -> std::borrow::Cow<'static, str> {
        "out_of_stock".into()
    }
}

fn shop() -> Router {
    Router::new()
        .route("/orders/{id}", any(async |Path(id): Path<String>| id))
        .route("/status/{code}", get(async |Path(code): Path<u16>| StatusCode::from_u16(code).unwrap()))
}

#[tokio::test]
async fn an_http_server_is_right_by_the_conventions() {
    let telemetry = telemetry();
    let server = serve(shop().layer(telemetry.http_server())).await;
    for (method, path) in [
        ("GET", "/orders/1?page=2"),
        ("BREW", "/orders/1"),
        ("GET", "/nowhere"),
        ("GET", "/status/404"),
        ("GET", "/status/503"),
    ] {
        exchange(request(method, server.url(path))).await;
    }
    spans(&telemetry, 5).await;
    nothing_active(&telemetry).await;
    conventions().check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn an_http_client_is_right_by_the_conventions() {
    let telemetry = telemetry();
    let server = serve(shop()).await;
    let mut calls = telemetry.http_client().layer(client());
    for (method, path) in [("GET", "/orders/1?page=2"), ("BREW", "/orders/1"), ("GET", "/status/404")] {
        calls.call(request(method, server.url(path))).await.unwrap();
    }
    let mut named = request("GET", server.url("/status/503"));
    named.extensions_mut().insert(UrlTemplate::new("/status/{code}"));
    calls.call(named).await.unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    calls.call(request("GET", format!("http://{nobody}/"))).await.unwrap_err();
    spans(&telemetry, 5).await;
    conventions().check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn grpc_is_right_by_the_conventions() {
    let (caller, callee) = (telemetry(), telemetry());
    let server = serve(routes().into_axum_router().layer(callee.grpc_server())).await;
    let mut client = traced(&caller, &server);
    client.call(Kind::Unary, "ok").await.unwrap();
    client.call(Kind::Bidi, "two then ok").await.unwrap();
    for code in ["NOT_FOUND", "INTERNAL", "UNAVAILABLE"] {
        client.call(Kind::Unary, code).await.unwrap_err();
    }
    spans(&caller, 5).await;
    spans(&callee, 5).await;
    conventions().check(&[&caller, &callee]).assert_clean();
}

#[tokio::test]
async fn database_work_is_right_by_the_conventions() {
    let telemetry = telemetry();
    let database = telemetry.sql("sqlite", "order");
    let mut place = database.start("place-order");
    place.statement("INSERT INTO orders (id, status) VALUES (?1, 'pending')");
    place.waited(Duration::from_millis(2));
    place.batch_units(3);
    place.rows(1);
    place.succeed();
    database.start("sweep").succeed();
    let mut failing = database.start("take-stock");
    failing.statement("UPDATE stock SET available = available - ?1 WHERE product_id = ?2");
    failing.status_code("SQLITE_FULL");
    failing.fail(&OutOfStock);
    spans(&telemetry, 3).await;
    let conventions = conventions()
        .exception("db.client*/server.address", "SQLite is in the process; there is no server")
        .exception_to(Rule::SpanName, "sweep", "work without a statement is named as the program calls it");
    conventions.check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn messaging_is_right_by_the_conventions() {
    let telemetry = telemetry();
    let _attached = telemetry.context().attach();
    let metrics = Metrics::new(&telemetry, "kafka");
    let second = Duration::from_secs(1);

    let broker = |span: MessageSpan| {
        span.attr("server.address", "broker")
            .attr("server.port", 9_092)
            .attr("messaging.client.id", "shop-1")
            .attr("messaging.kafka.cluster.id", "cluster-1")
    };

    broker(create_span("kafka", "orders")).message_id("m1").in_scope(|| ());
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    broker(send_span("kafka", "orders")).message_id("m1").partition(1).in_scope(|| {
        propagation::inject(&Context::current(), &mut HeaderCarrier(&mut headers));
    });
    metrics.sent("orders", 1, second, None);
    metrics.sent("orders", 1, second, Some(&OutOfStock));
    broker(receive_span("kafka", "orders")).group("mail").batch(2).in_scope(|| ());
    metrics.received("orders", "mail", 2, second, None);
    let stored = propagation::extract(&HeaderCarrier(&headers));
    let process = broker(process_span("kafka", "orders", &stored, Correlation::Link));
    let process = process.group("mail").partition(1).offset(4).key("o1");
    process.run(async { Err::<(), _>(OutOfStock) }).await.unwrap_err();
    broker(process_batch_span("kafka", "orders", [&stored])).group("mail").partition(1).in_scope(|| ());
    metrics.processed("orders", "mail", second, Some(&OutOfStock));
    broker(settle_span("kafka", "orders")).group("mail").in_scope(|| ());
    recorded(&telemetry, 6).await;
    let conventions = conventions().exception(
        "messaging.*/messaging.destination.partition.id",
        "a series per partition; whoever runs out of partitions sees it in the broker's own metrics",
    );
    conventions.check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn failures_and_log_records_are_right_by_the_conventions() {
    let telemetry = telemetry();
    let work = async {
        record_error(&OutOfStock);
        Err::<(), _>(OutOfStock)
    };
    with_context(telemetry.context(), telemetry.span("take-stock").run(work)).await.unwrap_err();
    recorded(&telemetry, 1).await;
    eventually("the log record", || telemetry.finished_logs().pop()).await;
    conventions().check(&[&telemetry]).assert_clean();
}

#[test]
fn self_metrics_of_exporters_are_right_by_the_conventions() {
    let receiver = HttpReceiver::start(Manner::Takes);
    let mut settings = TestTelemetry::settings("shop");
    settings.traces.exporters = vec![Exporter::OtlpHttp];
    settings.otlp.endpoint = Some(receiver.endpoint());
    let telemetry = TestTelemetry::with(settings);
    telemetry.span("price-order").in_scope(|| ());
    assert!(telemetry.flush_blocking(PATIENCE).complete);
    conventions().check(&[&telemetry]).assert_clean();
    telemetry.shutdown_blocking(PATIENCE);
}

#[test]
fn the_registry_of_the_shop_is_one_that_the_checker_reads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/telemetry");
    let conventions = Conventions::current().with_registry_folder(folder).unwrap();
    let telemetry = TestTelemetry::new("shop");
    telemetry.span("place-order").attr("order.id", "1").attr("order.status", "pending").in_scope(|| ());
    telemetry.meter().u64_counter("waypost.saga.parked").with_unit("{saga}").build().add(1, &[]);
    telemetry.meter().u64_counter("waypost.retries").with_unit("{call}").build().add(1, &[]);
    let conventions = conventions.exception("otel.sdk.*/*", "not what is tested here");
    let report = conventions.check(&[&telemetry]);
    let missing: Vec<_> = report.findings().filter(|finding| finding.level() == Level::Violation).collect();
    assert!(missing.iter().all(|finding| finding.place() == "waypost.retries"), "{report}");
    assert_eq!(missing.len(), 2, "{report}");
}
