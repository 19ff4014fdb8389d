//! Readiness and liveness, as HTTP and as gRPC tell them.

use crate::support::{Server, get, in_time};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use waypost_service::{
    Check, Drain, Limits, admin,
    health::{Health, HealthSettings},
};
use waypost_settings::Duration;
use waypost_telemetry::{Telemetry, testing::TestTelemetry};
use waypost_test_client::Request;

/// A dependency that can be switched.
fn dependency(is_up: bool) -> (Arc<AtomicBool>, Check) {
    let switch = Arc::new(AtomicBool::new(is_up));
    let state = Arc::clone(&switch);
    let check = Check::new("database", move || {
        let is_up = state.load(Ordering::Relaxed);
        async move { if is_up { Ok(()) } else { Err("connection refused".to_owned()) } }
    });
    (switch, check)
}

fn admin(health: &Health) -> Server {
    Server::start(admin::router(vec![Telemetry::disabled()], health), Limits::default())
}

#[tokio::test]
async fn a_process_is_ready_when_it_has_started_and_its_checks_pass() {
    let health = Health::default();
    let server = admin(&health);
    let (_, check) = dependency(true);
    health.add("order", vec![check]);
    assert_eq!(get(server.address, "/readyz").await.0, 503);
    health.check_once().await;
    assert_eq!(get(server.address, "/readyz").await.0, 503, "not started yet");
    health.started();
    assert_eq!(get(server.address, "/readyz").await, (200, "ok\n".to_owned()));
    health.drain();
    assert_eq!(get(server.address, "/readyz").await.0, 503);
    assert_eq!(get(server.address, "/livez").await.0, 200, "a draining process is alive");
}

#[tokio::test]
async fn the_verbose_report_names_each_check_and_its_reason() {
    let health = Health::default();
    let server = admin(&health);
    health.add("order", vec![dependency(false).1]);
    health.started();
    health.check_once().await;
    let (status, report) = get(server.address, "/readyz?verbose").await;
    assert_eq!((status, report.as_str()), (503, "ok process\nfailed order/database: connection refused\n"));
}

#[tokio::test]
async fn an_advisory_check_is_shown_and_does_not_count() {
    let health = Health::default();
    let server = admin(&health);
    let parked = Check::advisory("parked-orders", || async { Err("2 parked".to_owned()) });
    health.add("order", vec![dependency(true).1, parked]);
    health.started();
    health.check_once().await;
    let (status, report) = get(server.address, "/readyz?verbose").await;
    let expected = "ok process\nok order/database\nwarn order/parked-orders: 2 parked\n";
    assert_eq!((status, report.as_str()), (200, expected));
}

#[tokio::test]
async fn one_failure_of_a_dependency_does_not_take_a_ready_process_out() {
    let health = Health::new(HealthSettings { failures: 2, ..HealthSettings::default() });
    let (switch, check) = dependency(true);
    health.add("order", vec![check]);
    health.started();
    health.check_once().await;
    switch.store(false, Ordering::Relaxed);
    health.check_once().await;
    assert!(health.is_ready());
    health.check_once().await;
    assert!(!health.is_ready());
}

#[tokio::test]
async fn a_check_that_hangs_counts_as_failed() {
    let health =
        Health::new(HealthSettings { timeout: Duration::from_millis(10), ..HealthSettings::default() });
    health.add("order", vec![Check::new("database", std::future::pending)]);
    health.started();
    in_time(health.check_once()).await;
    assert!(health.report().contains("failed order/database: timed out"));
}

#[tokio::test]
async fn the_schedule_finds_out_by_itself() {
    let health = Health::default();
    let (trigger, drain) = Drain::new();
    let watching = waypost_telemetry::spawn(health.clone().watch(drain));
    health.add("order", vec![dependency(true).1]);
    health.started();
    in_time(health.ready()).await;
    trigger.start();
    in_time(watching).await.unwrap();
}

async fn grpc(health: &Health) -> (Server, HealthClient<Channel>) {
    let server = Server::start(health.grpc("order", &["waypost.order.v1.OrderService"]), Limits::default());
    let target = format!("http://{}", server.address);
    let channel = tonic::transport::Endpoint::from_shared(target).unwrap().connect().await.unwrap();
    (server, HealthClient::new(channel))
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn grpc_health_begins_as_not_serving() {
    let health = Health::default();
    let (_server, mut client) = grpc(&health).await;
    for service in ["", "waypost.order.v1.OrderService"] {
        let answer = client.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing);
    }
    assert_eq!(client.check(of("nobody")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_watcher_is_told_each_change_of_its_role_and_nothing_else() {
    let health = Health::default();
    let (_server, mut client) = grpc(&health).await;
    let mut answers = client.watch(of("")).await.unwrap().into_inner();
    let mut next = async || in_time(answers.message()).await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::NotServing);
    health.add("payment", Vec::new());
    health.add("order", Vec::new());
    assert_eq!(next().await, ServingStatus::Serving);
    health.started();
    health.drain();
    assert_eq!(next().await, ServingStatus::NotServing);
}

#[tokio::test]
async fn a_watcher_does_not_hold_up_a_drain() {
    let health = Health::default();
    let (server, mut client) = grpc(&health).await;
    health.add("order", Vec::new());
    let mut answers = client.watch(of("")).await.unwrap().into_inner();
    assert_eq!(in_time(answers.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    health.drain();
    assert_eq!(in_time(answers.message()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(in_time(answers.message()).await.unwrap(), None);
    let served = server.drained().await;
    assert_eq!((served.cut_requests, served.cut_connections), (0, 0));
}

#[tokio::test]
async fn whoever_asks_for_open_metrics_gets_exemplars() {
    let telemetry = TestTelemetry::new("order-service");
    let orders = telemetry.meter().u64_counter("orders").build();
    telemetry.span("place").in_scope(|| orders.add(1, &[]));
    let trace = telemetry.only_span("place").trace_id().to_string();
    let router = admin::router(vec![telemetry.handle().clone()], &Health::default());
    let server = Server::start(router, Limits::default());

    let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3";
    let page = in_time(Request::get("/metrics").header("accept", accept).send(server.address)).await;
    assert_eq!(page.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.text().contains(&format!("trace_id=\"{trace}\"")), "{}", page.text());

    let page = in_time(Request::get("/metrics").send(server.address)).await;
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(page.text().contains("orders_total{") && !page.text().contains(&trace), "{}", page.text());
}
