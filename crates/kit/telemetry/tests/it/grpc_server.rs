//! The gRPC server layer around tonic's routes: names, attributes, whose trace.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

pub(crate) mod echo;
mod tls;
mod web;

use axum::Router;
use axum::http::HeaderName;
use echo::{EchoClient, Kind, routes};
use tonic::transport::Channel;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::grpc::filters::{method, not, or, package};
use waypost_telemetry::grpc::{Methods, ServerLayer};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;

use crate::http_server::border::{CALLER, CALLER_SPAN, CALLER_TRACE};
use crate::http_server::net::{
    Server, attribute, attributes, client_http2, outcome, series, serve, serve_at, span, spans,
};

fn app(layer: ServerLayer) -> Router {
    routes().into_axum_router().layer(layer)
}

/// A client that adds no telemetry of its own.
pub(crate) async fn plain(server: &Server) -> EchoClient<Channel> {
    EchoClient::new(Channel::from_shared(server.url("")).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn a_call_is_one_server_span_with_the_current_attributes() {
    let telemetry = TestTelemetry::new("echo");
    let server = serve(app(telemetry.grpc_server())).await;
    plain(&server).await.call(Kind::Unary, "ok").await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "it.Echo/Unary");
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(outcome(&span), "ok");
    assert_eq!(
        attributes(&span),
        [
            "network.peer.address=127.0.0.1",
            "rpc.method=it.Echo/Unary",
            "rpc.response.status_code=OK",
            "rpc.system.name=grpc",
            "server.address=127.0.0.1",
        ]
    );
    assert_eq!(attribute(&span, "server.port"), Some(server.address.port().to_string()));
    let counts = series(&telemetry, "rpc_server_call_duration_seconds_count");
    assert_eq!(counts.len(), 1);
    for label in
        ["rpc_system_name=\"grpc\"", "rpc_method=\"it.Echo/Unary\"", "rpc_response_status_code=\"OK\"", "} 1"]
    {
        assert!(counts[0].contains(label), "{counts:?}");
    }
    assert_eq!(series(&telemetry, "rpc_server_call_duration_seconds_bucket").len(), 15);
}

#[tokio::test]
async fn an_ipv6_authority_is_recorded_without_its_brackets() {
    let telemetry = TestTelemetry::new("echo");
    let server = serve_at("[::1]:0", app(telemetry.grpc_server())).await;
    plain(&server).await.call(Kind::Unary, "ok").await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(attribute(&span, "server.address").as_deref(), Some("::1"));
    assert_eq!(attribute(&span, "network.peer.address").as_deref(), Some("::1"));
}

#[tokio::test]
async fn only_the_servers_own_trouble_is_an_error_of_the_server() {
    let telemetry = TestTelemetry::new("echo");
    let server = serve(app(telemetry.grpc_server())).await;
    let mut client = plain(&server).await;
    client.call(Kind::Unary, "ok").await.unwrap();
    let errors = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
    for code in (1..17).map(tonic::Code::from_i32).map(echo::spelled) {
        telemetry.forget();
        assert_eq!(echo::spelled(client.call(Kind::Unary, &code).await.unwrap_err().code()), code);
        let span = span(&telemetry).await;
        let expected = if errors.contains(&code.as_str()) { &code } else { "ok" };
        assert_eq!(outcome(&span), expected);
        assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some(code.as_str()));
        let series = series(&telemetry, "rpc_server_call_duration_seconds_count");
        let series = series.iter().find(|line| line.contains(&format!("status_code=\"{code}\""))).unwrap();
        assert_eq!(series.contains("error_type="), expected != "ok", "{series}");
    }
}

#[tokio::test]
async fn a_flood_of_unknown_methods_makes_one_name_and_one_series() {
    let listed = Methods::new(Kind::ALL.map(Kind::method));
    for methods in [None, Some(listed)] {
        let telemetry = TestTelemetry::new("echo");
        let layer = telemetry.grpc_server();
        let layer = match methods {
            Some(methods) => layer.methods(methods),
            None => layer,
        };
        let server = serve(app(layer)).await;
        let mut client = plain(&server).await;
        client.call(Kind::Unary, "ok").await.unwrap();
        for index in 0..50 {
            client.unknown(&format!("/it.Echo/Guess{index}")).await;
            client.unknown(&format!("/guess.Service{index}/Method")).await;
        }
        client.call(Kind::Unary, "UNIMPLEMENTED").await.unwrap_err();
        let spans = spans(&telemetry, 102).await;
        let mut names: Vec<_> = spans.iter().map(FinishedSpan::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["_OTHER", "it.Echo/Unary"]);
        let guess = spans.iter().find(|span| span.name() == "_OTHER").unwrap();
        assert_eq!(attribute(guess, "rpc.method").as_deref(), Some("_OTHER"));
        assert_eq!(attribute(guess, "rpc.method_original").as_deref(), Some("it.Echo/Guess0"));
        assert_eq!(outcome(guess), "UNIMPLEMENTED");
        assert_eq!(series(&telemetry, "rpc_server_call_duration_seconds_count").len(), 3);
    }
}

#[tokio::test]
async fn a_request_that_is_no_grpc_leaves_no_name() {
    let telemetry = TestTelemetry::new("echo");
    let app =
        Router::new().route("/page", axum::routing::get(async || "html")).layer(telemetry.grpc_server());
    let server = serve(app).await;
    let request = axum::http::Request::get(server.url("/a/b")).body(axum::body::Body::empty()).unwrap();
    client_http2().request(request).await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "_OTHER");
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("UNIMPLEMENTED"));
}

#[tokio::test]
async fn health_checks_and_filtered_methods_leave_nothing() {
    let telemetry = TestTelemetry::new("echo");
    let server = serve(app(telemetry.grpc_server().filter(|method| method != "it.Echo/Bidi"))).await;
    let mut client = plain(&server).await;
    client.call(Kind::Bidi, "ok").await.unwrap();
    client.unknown("/grpc.health.v1.Health/Check").await;
    let who = client.call(Kind::Bidi, "who").await.unwrap();
    assert_eq!(who, ["echo "]);
    assert!(telemetry.finished_spans().is_empty());
    assert!(series(&telemetry, "rpc_server_call_duration_seconds_count").is_empty());

    let server = serve(app(telemetry.grpc_server().trace_health_checks(true))).await;
    plain(&server).await.unknown("/grpc.health.v1.Health/Check").await;
    span(&telemetry).await;
}

#[tokio::test]
async fn metadata_is_captured_by_allow_list_and_credentials_never() {
    let telemetry = TestTelemetry::new("echo");
    let keys = ["x-request-id", "authorization"].map(HeaderName::from_static);
    let answered = ["content-type", "x-absent"].map(HeaderName::from_static);
    let layer = telemetry.grpc_server().capture_request_metadata(keys).capture_response_metadata(answered);
    let server = serve(app(layer)).await;
    let mut request = tonic::Request::new("ok".to_owned());
    for (key, value) in [("x-request-id", "r-1"), ("authorization", "Bearer secret"), ("x-private", "p")] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    plain(&server).await.call_with(Kind::Unary, request).await.unwrap();
    let span = span(&telemetry).await;
    let captured: Vec<_> = attributes(&span).into_iter().filter(|line| line.contains(".metadata.")).collect();
    assert_eq!(
        captured,
        [
            "rpc.request.metadata.x-request-id=[\"r-1\"]",
            "rpc.response.metadata.content-type=[\"application/grpc\"]",
        ]
    );
    assert!(!format!("{span:?}").contains("secret"));
}

/// Calls with a caller's trace, trace state and tenant; returns the tenant that the service saw.
async fn call_as_caller(layer: ServerLayer) -> String {
    let server = serve(app(layer)).await;
    let mut request = tonic::Request::new("tenant".to_owned());
    for (key, value) in
        [("traceparent", CALLER), ("tracestate", "vendor=secret"), ("baggage", "tenant.id=acme")]
    {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    plain(&server).await.call_with(Kind::Unary, request).await.unwrap().remove(0)
}

#[tokio::test]
async fn inside_the_system_the_caller_is_the_parent() {
    let telemetry = TestTelemetry::new("echo");
    assert_eq!(call_as_caller(telemetry.grpc_server()).await, "acme");
    let span = span(&telemetry).await;
    assert_eq!(span.trace_id().to_string(), CALLER_TRACE);
    assert_eq!(span.parent_id().unwrap().to_string(), CALLER_SPAN);
    assert_eq!(attribute(&span, "tenant.id").as_deref(), Some("acme"));
}

#[tokio::test]
async fn at_the_border_the_caller_is_a_link_unless_it_is_continued() {
    let telemetry = TestTelemetry::new("echo");
    assert_eq!(call_as_caller(telemetry.grpc_server().public_endpoint(true)).await, "");
    let begun = span(&telemetry).await;
    assert_ne!(begun.trace_id().to_string(), CALLER_TRACE);
    assert_eq!(begun.parent_id(), None);
    let [link] = begun.links() else { panic!("expected one link") };
    assert_eq!(link.span_context().span_id().to_string(), CALLER_SPAN);
    assert_eq!(link.span_context().trace_state().header(), "");
    assert_eq!(attribute(&begun, "tenant.id"), None);

    telemetry.forget();
    let layer = telemetry.grpc_server().public_endpoint(true).continue_when_public(true);
    assert_eq!(call_as_caller(layer).await, "");
    let continued = span(&telemetry).await;
    assert_eq!(continued.trace_id().to_string(), CALLER_TRACE);
    assert!(continued.links().is_empty());
}

#[tokio::test]
async fn only_calls_from_outside_begin_a_trace_of_their_own() {
    for (is_public, tenant) in [(true, ""), (false, "acme")] {
        let telemetry = TestTelemetry::new("echo");
        let layer = telemetry.grpc_server().public_endpoint_for(move |method, metadata| {
            assert!(metadata.contains_key("traceparent"));
            is_public && method == "it.Echo/Unary"
        });
        assert_eq!(call_as_caller(layer).await, tenant);
        let span = span(&telemetry).await;
        assert_eq!(span.trace_id().to_string() == CALLER_TRACE, !is_public);
        assert_eq!(span.links().len(), usize::from(is_public));
    }
    // Who cannot be asked is not trusted.
    let telemetry = TestTelemetry::new("echo");
    let layer = telemetry.grpc_server().public_endpoint_for(|_, _| panic!("as the test wants it"));
    assert_eq!(call_as_caller(layer).await, "");
    assert_eq!(span(&telemetry).await.links().len(), 1);
}

#[tokio::test]
async fn filters_over_methods_are_put_together() {
    let telemetry = TestTelemetry::new("echo");
    let layer = telemetry.grpc_server().filter(not(or(method("it.Echo/Unary"), package("grpc"))));
    let server = serve(app(layer)).await;
    let mut client = plain(&server).await;
    client.call(Kind::Unary, "ok").await.unwrap();
    client.call(Kind::ServerStream, "ok").await.unwrap();
    assert_eq!(span(&telemetry).await.name(), "it.Echo/ServerStream");
}

#[tokio::test]
async fn messages_are_events_when_asked_for() {
    for asked in [false, true] {
        let telemetry = TestTelemetry::new("echo");
        let server = serve(app(telemetry.grpc_server().message_events(asked))).await;
        plain(&server).await.call(Kind::ServerStream, "two then ok").await.unwrap();
        let span = span(&telemetry).await;
        let events: Vec<_> = span
            .events()
            .iter()
            .map(|event| {
                assert_eq!(event.name(), "rpc.message");
                let value = |key| event.attribute(key).unwrap().to_string();
                format!("{} {}", value("rpc.message.type"), value("rpc.message.id"))
            })
            .collect();
        let expected: &[&str] = if asked { &["RECEIVED 1", "SENT 1", "SENT 2"] } else { &[] };
        assert_eq!(events, expected);
    }
}

#[tokio::test]
async fn tonics_own_server_takes_the_layer_too() {
    let telemetry = TestTelemetry::new("echo");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder().layer(telemetry.grpc_server()).add_routes(routes());
    let serving = waypost_telemetry::spawn(server.serve_with_incoming(incoming));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    EchoClient::new(channel).call(Kind::Unary, "ok").await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(attribute(&span, "network.peer.address").as_deref(), Some("127.0.0.1"));
    serving.abort();
}
