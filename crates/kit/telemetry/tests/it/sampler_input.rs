//! What a sampler of the program is told about a request before it decides.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, Request};
use axum::routing::get;
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use tower::{Layer as _, Service as _};
use waypost_telemetry::opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use waypost_telemetry::opentelemetry::{Context, KeyValue};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, Telemetry};

use crate::grpc_client::traced;
use crate::grpc_server::echo::{Kind, routes};
use crate::http_server::net::{self, client, eventually, serve};

/// Leaves out `/health` and keeps what it is asked with.
#[derive(Clone, Debug, Default)]
struct NoHealth(Arc<Mutex<Vec<Vec<String>>>>);

impl ShouldSample for NoHealth {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let mut given: Vec<_> = attributes.iter().map(|it| format!("{}={}", it.key, it.value)).collect();
        given.sort();
        let is_health = given.contains(&"url.path=/health".to_owned());
        self.0.lock().unwrap().push(given);
        let decision = if is_health { SamplingDecision::Drop } else { SamplingDecision::RecordAndSample };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

fn start() -> (Telemetry, NoHealth) {
    let sampler = NoHealth::default();
    let builder = Builder::new(TestTelemetry::settings("s")).sampler(sampler.clone());
    (builder.init().unwrap(), sampler)
}

fn told(sampler: &NoHealth) -> Vec<String> {
    sampler.0.lock().unwrap().remove(0)
}

#[tokio::test]
async fn a_sampler_sees_path_query_and_addresses_of_a_request() {
    let (telemetry, sampler) = start();
    let layer = telemetry.http_server().capture_request_headers([HeaderName::from_static("x-plan")]);
    let app = Router::new().route("/{*path}", get(async || ())).layer(layer);
    let server = serve(app).await;
    let request = Request::get(server.url("/orders/7?page=2&sig=hidden"));
    let request = request.header("user-agent", "curl/8").header("x-plan", "gold");
    net::exchange(request.body(Body::empty()).unwrap()).await;
    let port = server.address.port();
    assert_eq!(
        told(&sampler),
        [
            "client.address=127.0.0.1".to_owned(),
            r#"http.request.header.x-plan=["gold"]"#.to_owned(),
            "http.request.method=GET".to_owned(),
            "http.route=/{*path}".to_owned(),
            "server.address=127.0.0.1".to_owned(),
            format!("server.port={port}"),
            "url.path=/orders/7".to_owned(),
            "url.query=page=2&sig=REDACTED".to_owned(),
            "url.scheme=http".to_owned(),
            "user_agent.original=curl/8".to_owned(),
        ]
    );

    net::get(server.url("/health")).await;
    net::get(server.url("/orders/8")).await;
    eventually("the other spans", || (telemetry.finished_spans().len() == 2).then_some(())).await;
    let paths: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .map(|span| span.attribute("url.path").unwrap().to_string())
        .collect();
    assert_eq!(paths, ["/orders/7", "/orders/8"]);
}

#[tokio::test]
async fn a_sampler_sees_where_a_client_calls() {
    let (telemetry, sampler) = start();
    let server = serve(Router::new().route("/orders/{id}", get(async || ()))).await;
    let mut calls = telemetry.http_client().layer(client());
    let request = Request::get(server.url("/orders/7?sig=hidden")).body(Body::empty()).unwrap();
    calls.call(request).await.unwrap();
    let port = server.address.port();
    let told = told(&sampler);
    for expected in [
        format!("url.full=http://127.0.0.1:{port}/orders/7?sig=REDACTED"),
        "server.address=127.0.0.1".to_owned(),
        format!("server.port={port}"),
    ] {
        assert!(told.contains(&expected), "{expected} is not in {told:?}");
    }
}

#[tokio::test]
async fn a_sampler_sees_address_and_method_of_a_call() {
    let (telemetry, sampler) = start();
    let server = serve(routes().into_axum_router().layer(telemetry.grpc_server())).await;
    traced(&TestTelemetry::new("caller"), &server).call(Kind::Unary, "ok").await.unwrap();
    let told = told(&sampler);
    for expected in ["rpc.system.name=grpc", "server.address=127.0.0.1"] {
        assert!(told.contains(&expected.to_owned()), "{expected} is not in {told:?}");
    }
    assert!(told.contains(&format!("server.port={}", server.address.port())), "{told:?}");
}
