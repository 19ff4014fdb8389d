//! Whose trace a request belongs to: inside the system and at its border.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::net::IpAddr;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use waypost_telemetry::config::Exporter;
use waypost_telemetry::config::SamplerKind;
use waypost_telemetry::http::ServerLayer;
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::TraceFlags;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{FinishedSpan, Settings, Telemetry, init, propagation, tenant};

use super::net::{attribute, exchange, serve, span, spans};

pub(crate) const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub(crate) const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const CALLER_SPAN: &str = "00f067aa0ba902b7";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

pub(crate) fn sampling_nothing(service: &str) -> Telemetry {
    let mut settings = Settings::new(service);
    settings.traces.exporters = vec![Exporter::Memory];
    settings.traces.sampler = SamplerKind::AlwaysOff;
    init(settings).unwrap()
}

/// A handle with a name that is turned off.
pub(crate) fn disabled(service: &str) -> Telemetry {
    init(Settings { enabled: false, ..Settings::new(service) }).unwrap()
}

fn app(layer: ServerLayer) -> Router {
    let tenant = async || tenant::current().map(|tenant| tenant.to_string()).unwrap_or_default();
    Router::new().route("/", get(tenant)).layer(layer)
}

/// Sends a request of a caller that has a trace, a trace state and a tenant; returns the tenant that the handler saw.
async fn call(layer: ServerLayer, traceparent: Option<&str>) -> String {
    let server = serve(app(layer)).await;
    let mut request = Request::get(server.url("/")).body(Body::empty()).unwrap();
    if let Some(traceparent) = traceparent {
        request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
        request.headers_mut().insert("tracestate", "vendor=secret".parse().unwrap());
    }
    request.headers_mut().insert("baggage", "tenant.id=acme".parse().unwrap());
    String::from_utf8(exchange(request).await.into_body().to_vec()).unwrap()
}

fn links(span: &FinishedSpan) -> Vec<String> {
    span.links()
        .iter()
        .map(|link| {
            let ids = link.span_context();
            assert_eq!(ids.trace_state().header(), "", "a link gives the caller's trace state away");
            format!("{}-{}", ids.trace_id(), ids.span_id())
        })
        .collect()
}

#[tokio::test]
async fn inside_the_system_the_caller_is_the_parent_and_its_baggage_comes_along() {
    let telemetry = TestTelemetry::new("stock");
    assert_eq!(call(telemetry.http_server(), Some(CALLER)).await, "acme");
    let span = span(&telemetry).await;
    assert_eq!(span.trace_id().to_string(), CALLER_TRACE);
    assert_eq!(span.parent_id().unwrap().to_string(), CALLER_SPAN);
    assert!(span.parent_is_remote());
    assert!(span.links().is_empty());
    assert_eq!(span.span_context().trace_state().header(), "vendor=secret");
    assert_eq!(attribute(&span, "tenant.id").as_deref(), Some("acme"));
}

#[tokio::test]
async fn inside_the_system_a_caller_that_does_not_sample_is_obeyed() {
    let telemetry = TestTelemetry::new("stock");
    call(telemetry.http_server(), Some(UNSAMPLED)).await;
    assert!(telemetry.finished_spans().is_empty());
}

#[tokio::test]
async fn at_the_border_a_trace_begins_with_a_link_to_the_caller() {
    let telemetry = TestTelemetry::new("gateway");
    assert_eq!(call(telemetry.http_server().public_endpoint(true), Some(CALLER)).await, "");
    let span = span(&telemetry).await;
    assert_ne!(span.trace_id().to_string(), CALLER_TRACE);
    assert_eq!(span.parent_id(), None);
    assert_eq!(links(&span), [format!("{CALLER_TRACE}-{CALLER_SPAN}")]);
    assert_eq!(span.span_context().trace_state().header(), "");
    assert_eq!(attribute(&span, "tenant.id"), None);
}

#[tokio::test]
async fn at_the_border_sampling_is_our_own_decision() {
    let telemetry = TestTelemetry::new("gateway");
    call(telemetry.http_server().public_endpoint(true), Some(UNSAMPLED)).await;
    assert_eq!(links(&span(&telemetry).await), [format!("{CALLER_TRACE}-{CALLER_SPAN}")]);

    let telemetry = sampling_nothing("gateway");
    call(telemetry.http_server().public_endpoint(true), Some(CALLER)).await;
    assert!(telemetry.finished_spans().is_empty());
}

#[tokio::test]
async fn at_the_border_a_trace_is_continued_only_when_asked_for_and_baggage_never() {
    let telemetry = TestTelemetry::new("gateway");
    let layer = telemetry.http_server().public_endpoint(true).continue_when_public(true);
    assert_eq!(call(layer, Some(CALLER)).await, "");
    let span = span(&telemetry).await;
    assert_eq!(span.trace_id().to_string(), CALLER_TRACE);
    assert_eq!(span.parent_id().unwrap().to_string(), CALLER_SPAN);
    assert!(span.links().is_empty());
    assert_eq!(attribute(&span, "tenant.id"), None);
}

#[tokio::test]
async fn a_caller_without_a_trace_is_neither_parent_nor_link() {
    for is_public in [false, true] {
        for continues in [false, true] {
            for traceparent in [None, Some("00-not-a-trace-01")] {
                let telemetry = TestTelemetry::new("gateway");
                let layer =
                    telemetry.http_server().public_endpoint(is_public).continue_when_public(continues);
                call(layer, traceparent).await;
                let span = span(&telemetry).await;
                assert_eq!(span.parent_id(), None);
                assert!(span.links().is_empty());
                assert_eq!(span.span_context().trace_flags() & TraceFlags::SAMPLED, TraceFlags::SAMPLED);
            }
        }
    }
}

#[tokio::test]
async fn forwarded_headers_count_only_from_a_trusted_proxy() {
    for (trusts, address, scheme, host) in
        [(false, "127.0.0.1", "http", "127.0.0.1"), (true, "203.0.113.9", "https", "shop.example")]
    {
        let telemetry = TestTelemetry::new("gateway");
        let layer = telemetry.http_server().trusted_proxies(move |peer: IpAddr| trusts && peer.is_loopback());
        let server = serve(app(layer)).await;
        let mut request = Request::get(server.url("/")).body(Body::empty()).unwrap();
        request.headers_mut().insert("x-forwarded-for", "10.9.9.9, 203.0.113.9".parse().unwrap());
        request.headers_mut().insert("x-forwarded-proto", "https, http".parse().unwrap());
        request.headers_mut().insert("x-forwarded-host", "shop.example, inner".parse().unwrap());
        exchange(request).await;
        let span = span(&telemetry).await;
        assert_eq!(attribute(&span, "client.address").as_deref(), Some(address));
        assert_eq!(attribute(&span, "url.scheme").as_deref(), Some(scheme));
        assert_eq!(attribute(&span, "server.address").as_deref(), Some(host));
        assert_eq!(attribute(&span, "server.port").as_deref() == Some("443"), trusts);
        assert_eq!(attribute(&span, "network.peer.address").as_deref(), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_closure_that_panics_costs_no_request() {
    let telemetry = TestTelemetry::new("gateway");
    let layer = telemetry
        .http_server()
        .filter(|_| panic!("as the test wants it"))
        .trusted_proxies(|_| panic!("as the test wants it"));
    let server = serve(app(layer)).await;
    for _ in 0..2 {
        let mut request = Request::get(server.url("/")).body(Body::empty()).unwrap();
        request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        assert_eq!(exchange(request).await.status(), 200);
    }
    for span in spans(&telemetry, 2).await {
        assert_eq!(attribute(&span, "client.address").as_deref(), Some("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_state_that_the_api_cannot_hold_is_passed_on_all_the_same() {
    for (is_public, continues, passes) in [(false, false, true), (true, true, true), (true, false, false)] {
        let telemetry = TestTelemetry::new("gateway");
        let layer = telemetry.http_server().public_endpoint(is_public).continue_when_public(continues);
        let handler = async || propagation::tracestate(&Context::current()).unwrap_or_default();
        let server = serve(Router::new().route("/", get(handler)).layer(layer)).await;
        let mut request = Request::get(server.url("/")).body(Body::empty()).unwrap();
        request.headers_mut().insert("traceparent", CALLER.parse().unwrap());
        request.headers_mut().insert("tracestate", "foo@@bar=1,b=2".parse().unwrap());
        let body = exchange(request).await.into_body();
        assert_eq!(body, if passes { "foo@@bar=1,b=2" } else { "" });
    }
}
