//! The first rule that fits a root decides about it.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{get, post};
use waypost_telemetry::config::SamplerKind;
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::{baggage, span};

use super::{recorded, sampling};
use crate::http_server::net::{eventually, exchange, serve};

#[tokio::test]
async fn rules_choose_requests_by_route_method_and_tenant() {
    let telemetry = sampling(
        r#"
        ratio = 0.0
        sampler = "parentbased_traceidratio"
        [[traces.sampling.rules]]
        route = "/health*"
        ratio = 0.0
        [[traces.sampling.rules]]
        kind = "server"
        tenant = "ac*"
        [[traces.sampling.rules]]
        attributes = { "http.request.method" = "POST" }
        "#,
    );
    let app = Router::new()
        .route("/health/live", get(async || ()))
        .route("/orders", post(async || ()).get(async || ()))
        .layer(telemetry.http_server());
    let server = serve(app).await;
    for (method, path, tenant) in [
        ("GET", "/health/live", "acme"),
        ("GET", "/orders", "acme"),
        ("GET", "/orders", "other"),
        ("POST", "/orders", "other"),
    ] {
        let request = Request::builder().method(method).uri(server.url(path));
        let request = request.header("baggage", format!("tenant.id={tenant}"));
        exchange(request.body(Body::empty()).unwrap()).await;
    }
    eventually("the last request", || (telemetry.finished_spans().len() == 2).then_some(())).await;
    assert_eq!(recorded(&telemetry), ["GET /orders", "POST /orders"]);
    let spans = telemetry.finished_spans();
    assert_eq!(spans[0].attribute("tenant.id"), Some(&"acme".into()));

    // What is measured does not depend on it.
    let page = render_prometheus(&[telemetry.handle().clone()]);
    let count = |route| sample(&page, "http_server_request_duration_seconds_count", &[("http_route", route)]);
    assert_eq!(count("/health/live"), Some(1.0));
    assert_eq!(
        sample(&page, "otel_sdk_span_started_total", &[("otel_span_sampling_result", "DROP")]),
        Some(2.0)
    );
}

#[test]
fn rules_choose_spans_by_kind_and_name() {
    let telemetry = sampling(
        r#"
        [[traces.sampling.rules]]
        kind = "consumer"
        name = "process *"
        ratio = 0.0
        "#,
    );
    for (kind, name) in [
        (SpanKind::Consumer, "process orders"),
        (SpanKind::Internal, "process orders"),
        (SpanKind::Consumer, "settle orders"),
    ] {
        telemetry.span(name).kind(kind).in_scope(|| span("inner").in_scope(|| ()));
    }
    assert_eq!(recorded(&telemetry), ["inner", "process orders", "inner", "settle orders"]);
}

#[test]
fn a_rate_holds_whatever_the_number_of_traces() {
    let telemetry = sampling(
        r#"
        [[traces.sampling.rules]]
        name = "checkout"
        max_per_second = 0.0001
        "#,
    );
    for _ in 0..500 {
        telemetry.span("checkout").in_scope(|| span("pay").in_scope(|| ()));
    }
    telemetry.span("other").in_scope(|| ());
    assert_eq!(recorded(&telemetry), ["pay", "checkout", "other"]);
    // For how many it stands is not known.
    let state = |name| telemetry.only_span(name).span_context().trace_state().header();
    assert_eq!((state("checkout").as_str(), state("other").as_str()), ("", "ot=th:0"));
}

#[test]
fn the_share_behind_the_rules_changes_while_they_stay() {
    let telemetry = sampling(
        r#"
        [[traces.sampling.rules]]
        name = "kept"
        "#,
    );
    assert!(telemetry.handle().change_sampling(SamplerKind::ParentBasedAlwaysOff, 1.0));
    telemetry.span("kept").in_scope(|| ());
    telemetry.span("other").in_scope(|| ());
    assert!(telemetry.handle().change_sampling(SamplerKind::ParentBasedRatio, 1.0));
    telemetry.span("other").in_scope(|| ());
    assert_eq!(recorded(&telemetry), ["kept", "other"]);
}

#[test]
fn a_flood_of_names_and_tenants_is_judged_and_not_remembered() {
    let telemetry = sampling(
        r#"
        sampler = "parentbased_always_off"
        [[traces.sampling.rules]]
        name = "n-7*"
        tenant = "t-77"
        "#,
    );
    for number in 0..2_000 {
        let context = baggage::with(&telemetry.context(), "tenant.id", format!("t-{}", number % 100));
        telemetry.span(format!("n-{number}")).parent(&context).in_scope(|| ());
    }
    let expected: Vec<String> = (0..2_000)
        .filter(|n| n % 100 == 77 && n.to_string().starts_with('7'))
        .map(|n| format!("n-{n}"))
        .collect();
    assert_eq!(recorded(&telemetry), expected);
}
