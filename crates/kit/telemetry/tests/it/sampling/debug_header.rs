//! A header that has a request recorded, from those who may ask for it.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use waypost_telemetry::http::ServerLayer;
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::TestTelemetry;

use super::sampling;
use crate::http_server::net::{eventually, exchange, serve};

const TOKEN: &str = "s3cret-of-the-operators";

fn telemetry(token: &str) -> TestTelemetry {
    sampling(&format!(
        "sampler = \"parentbased_always_off\"\n[traces.sampling.debug_header]\nname = \"x-debug-trace\"\n{token}"
    ))
}

/// Requests with each of these headers; returns the paths that were recorded.
async fn requests(telemetry: &TestTelemetry, layer: ServerLayer, headers: &[&str]) -> Vec<String> {
    let server = serve(Router::new().route("/{n}", get(async || ())).layer(layer)).await;
    for (n, header) in headers.iter().enumerate() {
        let request = Request::get(server.url(&format!("/{n}")));
        let request = request.header("x-debug-trace", *header);
        exchange(request.body(Body::empty()).unwrap()).await;
    }
    // One without it comes last, and is counted when all before it have ended.
    exchange(Request::get(server.url("/last")).body(Body::empty()).unwrap()).await;
    let count = "http_server_request_duration_seconds_count{http_request_method=\"GET\",";
    eventually("all requests", || {
        let page = render_prometheus(&[telemetry.handle().clone()]);
        let line = page.lines().find(|line| line.starts_with(count))?;
        line.ends_with(&format!(" {}", headers.len() + 1)).then_some(())
    })
    .await;
    let spans = telemetry.finished_spans();
    spans.iter().map(|span| span.attribute("url.path").unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_public_endpoint_believes_the_token_alone() {
    let telemetry = telemetry(&format!("token = \"{TOKEN}\""));
    let layer = telemetry.http_server().public_endpoint(true);
    let half = &TOKEN[..TOKEN.len() - 1];
    let paths = requests(&telemetry, layer, &["1", half, TOKEN, &format!("{TOKEN}x")]).await;
    assert_eq!(paths, ["/2"]);
    let spans = telemetry.finished_spans();
    assert_eq!(spans[0].attribute("waypost.sampling.reason"), Some(&"debug".into()));
    // The token is nowhere in what is exported or shown.
    let page = render_prometheus(&[telemetry.handle().clone()]);
    let shown = format!("{spans:?}{:?}{page}", telemetry.finished_logs());
    assert!(!shown.contains(TOKEN));
}

#[tokio::test]
async fn without_a_token_callers_inside_are_believed_and_others_not() {
    let inside = telemetry("");
    assert_eq!(requests(&inside, inside.http_server(), &["1"]).await, ["/0"]);
    let outside = telemetry("");
    let layer = outside.http_server().public_endpoint(true);
    assert_eq!(requests(&outside, layer, &["1"]).await, [""; 0]);
}
