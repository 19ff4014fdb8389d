//! The gRPC client layer and traced channels: names, attributes, what goes along.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::time::Duration;

use axum::http::{HeaderName, Request, Response};
use futures_util::poll;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Layer as _, ServiceExt as _, service_fn};
use waypost_telemetry::grpc::{ChannelError, ChannelFactory, TracedChannel};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Settings, Telemetry, baggage, in_context, propagation, tenant, with_context};

use crate::grpc_server::echo::{self, EchoClient, Kind, routes};
use crate::http_server::border::{CALLER, CALLER_TRACE, disabled};
use crate::http_server::net::{
    Server, attribute, attributes, metric, outcome, series, serve, serve_at, span, spans,
};

async fn echo_server() -> Server {
    serve(routes().into_axum_router()).await
}

pub(crate) fn traced(telemetry: &Telemetry, server: &Server) -> EchoClient<TracedChannel> {
    EchoClient::new(telemetry.grpc_channel(&server.url("")).unwrap())
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_call_is_one_client_span_with_the_address_of_the_target() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    traced(&telemetry, &server).call(Kind::Unary, "ok").await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "it.Echo/Unary");
    assert_eq!(span.kind(), SpanKind::Client);
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
    assert_eq!(attribute(&span, "network.peer.port"), attribute(&span, "server.port"));
    let counts = series(&telemetry, "rpc_client_call_duration_seconds_count");
    assert_eq!(counts.len(), 1);
    for label in
        ["rpc_method=\"it.Echo/Unary\"", "rpc_response_status_code=\"OK\"", "server_address=\"127.0.0.1\""]
    {
        assert!(counts[0].contains(label), "{counts:?}");
    }
    assert_eq!(series(&telemetry, "rpc_client_call_duration_seconds_bucket").len(), 15);
}

#[tokio::test]
async fn every_code_but_ok_is_an_error_of_the_client() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    let mut client = traced(&telemetry, &server);
    for code in (1..17).map(tonic::Code::from_i32).map(echo::spelled) {
        telemetry.forget();
        client.call(Kind::Unary, &code).await.unwrap_err();
        let span = span(&telemetry).await;
        assert_eq!(outcome(&span), code);
        assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some(code.as_str()));
        let failed = format!("error_type=\"{code}\"");
        assert_eq!(metric(&telemetry, "rpc_client_call_duration_seconds_count", &[&failed]), 1);
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable() {
    let telemetry = TestTelemetry::new("order");
    let channel = telemetry.grpc_channel(&nobody()).unwrap();
    let status = EchoClient::new(channel).call(Kind::Unary, "ok").await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let span = span(&telemetry).await;
    assert_eq!(outcome(&span), "connection_refused");
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("UNAVAILABLE"));
    assert!(attribute(&span, "server.port").is_some());
}

#[tokio::test]
async fn a_status_made_by_a_layer_below_is_the_status_of_the_call() {
    let telemetry = TestTelemetry::new("order");
    let refuses = service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>(tonic::Status::deadline_exceeded("no time left"))
    });
    let mut client = EchoClient::new(telemetry.grpc_client().layer(refuses));
    assert_eq!(client.call(Kind::Unary, "ok").await.unwrap_err().code(), tonic::Code::DeadlineExceeded);
    let span = span(&telemetry).await;
    assert_eq!(outcome(&span), "DEADLINE_EXCEEDED");
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn an_ipv6_target_is_recorded_without_its_brackets() {
    let telemetry = TestTelemetry::new("order");
    let server = serve_at("[::1]:0", routes().into_axum_router()).await;
    traced(&telemetry, &server).call(Kind::Unary, "ok").await.unwrap();
    assert_eq!(attribute(&span(&telemetry).await, "server.address").as_deref(), Some("::1"));
}

#[tokio::test]
async fn a_call_whose_own_time_ran_out_failed_and_one_that_was_dropped_did_not() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    for (timeout, expected, code) in [
        (Duration::ZERO, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        (Duration::from_hours(1), "cancelled", "CANCELLED"),
    ] {
        telemetry.forget();
        let mut client = traced(&telemetry, &server);
        client.call(Kind::Unary, "ok").await.unwrap();
        telemetry.forget();
        let mut request = tonic::Request::new("hang".to_owned());
        request.set_timeout(timeout);
        let mut call = Box::pin(client.call_with(Kind::Unary, request));
        assert!(poll!(&mut call).is_pending());
        drop(call);
        let span = span(&telemetry).await;
        assert_eq!(outcome(&span), expected);
        assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some(code));
    }
}

#[tokio::test]
async fn client_and_server_are_one_trace_and_the_tenant_goes_along() {
    let (caller, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let server = serve(routes().into_axum_router().layer(callee.grpc_server())).await;
    let mut client = traced(&caller, &server);
    let context = tenant::with_tenant(&caller.context(), &tenant::TenantId::new("acme").unwrap());
    let context = baggage::with(&context, "internal.note", "secret");
    let call = async {
        assert_eq!(client.call(Kind::Unary, "tenant").await.unwrap(), ["acme"]);
    };
    with_context(context.clone(), caller.span("check-stock").parent(&context).observe(call)).await;
    let served = span(&callee).await;
    let [called, checked] = &spans(&caller, 2).await[..] else { unreachable!() };
    assert_eq!(served.parent_id(), Some(called.span_id()));
    assert_eq!(called.parent_id(), Some(checked.span_id()));
    assert_eq!(served.trace_id(), checked.trace_id());
    assert_eq!(attribute(&served, "tenant.id").as_deref(), Some("acme"));
}

#[tokio::test]
async fn what_goes_along_can_be_held_back() {
    let (caller, callee) = (TestTelemetry::new("order"), TestTelemetry::new("outside"));
    let server = serve(routes().into_axum_router().layer(callee.grpc_server())).await;
    let context = tenant::with_tenant(&caller.context(), &tenant::TenantId::new("acme").unwrap());
    for (propagates, sends_baggage) in [(true, true), (true, false), (false, true)] {
        callee.forget();
        caller.forget();
        let channels =
            ChannelFactory::new(&caller).traced(|layer| layer.propagate(propagates).baggage(sends_baggage));
        let mut client = EchoClient::new(channels.channel(&server.url("")).unwrap());
        let seen = with_context(context.clone(), client.call(Kind::Unary, "tenant")).await.unwrap();
        assert_eq!(seen, [if propagates && sends_baggage { "acme" } else { "" }]);
        let (called, served) = (span(&caller).await, span(&callee).await);
        assert_eq!(served.trace_id() == called.trace_id(), propagates);
    }
}

#[tokio::test]
async fn metadata_and_messages_are_recorded_when_asked_for() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    let keys = ["x-request-id", "authorization"].map(HeaderName::from_static);
    let channels = ChannelFactory::new(&telemetry)
        .traced(|layer| layer.capture_request_metadata(keys).message_events(true));
    let mut request = tonic::Request::new("two then ok".to_owned());
    request.metadata_mut().insert("x-request-id", "r-1".parse().unwrap());
    request.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
    let mut client = EchoClient::new(channels.channel(&server.url("")).unwrap());
    client.call_with(Kind::Bidi, request).await.unwrap();
    let span = span(&telemetry).await;
    assert_eq!(attribute(&span, "rpc.request.metadata.x-request-id").as_deref(), Some("[\"r-1\"]"));
    assert!(!format!("{span:?}").contains("secret"));
    let mut events: Vec<_> = span
        .events()
        .iter()
        .map(|event| {
            let value = |key| event.attribute(key).unwrap().to_string();
            format!("{} {}", value("rpc.message.type"), value("rpc.message.id"))
        })
        .collect();
    events.sort_unstable();
    assert_eq!(events, ["RECEIVED 1", "RECEIVED 2", "SENT 1"]);
}

#[tokio::test]
async fn a_filtered_call_leaves_nothing() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    let channels =
        ChannelFactory::new(&telemetry).traced(|layer| layer.filter(|method| method != "it.Echo/Unary"));
    EchoClient::new(channels.channel(&server.url("")).unwrap()).call(Kind::Unary, "ok").await.unwrap();
    assert!(telemetry.finished_spans().is_empty());
    assert!(series(&telemetry, "rpc_client_call_duration_seconds_count").is_empty());
}

#[tokio::test]
async fn the_layer_also_goes_around_a_channel_of_ones_own() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    let channel = Channel::from_shared(server.url("")).unwrap().connect_lazy();
    let target = server.url("").parse().unwrap();
    let mut client = EchoClient::new(telemetry.grpc_client().target(&target).layer(channel));
    client.call(Kind::ServerStream, "two then ok").await.unwrap();
    assert_eq!(attribute(&span(&telemetry).await, "server.address").as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn the_trace_context_stays_out_of_the_tables_of_http2() {
    let telemetry = TestTelemetry::new("order");
    // What is sensitive is never indexed: RFC 7541, 7.1.3.
    let is_kept_out = service_fn(async |request: Request<Body>| {
        let kept_out = request.headers()["traceparent"].is_sensitive();
        let status = if kept_out { tonic::Status::ok("") } else { tonic::Status::internal("indexed") };
        Ok::<_, std::convert::Infallible>(status.into_http::<Body>())
    });
    let request = Request::post("http://stock:9092/it.Echo/Unary").body(Body::empty()).unwrap();
    drop(telemetry.grpc_client().layer(is_kept_out).oneshot(request).await.unwrap());
    assert_eq!(outcome(&span(&telemetry).await), "ok");
}

#[tokio::test]
async fn disabled_handles_pass_the_callers_context_on() {
    let (caller, callee) = (disabled("order"), disabled("echo"));
    let server = serve(routes().into_axum_router().layer(callee.grpc_server())).await;
    let mut client = EchoClient::new(caller.grpc_channel(&server.url("")).unwrap());
    let context = in_context(caller.context(), || propagation::context_from(Some(CALLER), None))();
    let seen = with_context(context, client.call(Kind::Unary, "who")).await.unwrap();
    assert_eq!(seen, [format!("echo {CALLER_TRACE}")]);
}

#[tokio::test]
async fn a_bare_layer_takes_the_address_from_the_request() {
    let telemetry = TestTelemetry::new("order");
    let answers = service_fn(async |_: Request<Body>| {
        Ok::<_, std::convert::Infallible>(tonic::Status::not_found("nobody").into_http::<Body>())
    });
    let with_origin = Request::post("http://stock:9092/it.Echo/Unary").body(Body::empty()).unwrap();
    let with_host = Request::post("/it.Echo/Unary").header("host", "stock:9092").body(Body::empty()).unwrap();
    for request in [with_origin, with_host] {
        telemetry.forget();
        drop(telemetry.grpc_client().layer(answers).oneshot(request).await.unwrap());
        let span = span(&telemetry).await;
        let server = ["server.address", "server.port"].map(|key| attribute(&span, key).unwrap());
        assert_eq!(server, ["stock", "9092"]);
    }
}

#[tokio::test]
async fn a_filter_that_panics_costs_no_call() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    let channels =
        ChannelFactory::new(&telemetry).traced(|layer| layer.filter(|_| panic!("as the test wants it")));
    EchoClient::new(channels.channel(&server.url("")).unwrap()).call(Kind::Unary, "ok").await.unwrap();
    assert_eq!(outcome(&span(&telemetry).await), "ok");
}

/// What the server sees as the `user-agent` of a channel.
async fn agent(telemetry: &Telemetry, change: impl FnOnce(ChannelFactory) -> ChannelFactory) -> String {
    let (sender, mut agents) = tokio::sync::mpsc::unbounded_channel();
    let keep =
        axum::middleware::from_fn(move |request: Request<axum::body::Body>, next: axum::middleware::Next| {
            sender.send(request.headers()["user-agent"].to_str().unwrap().to_owned()).unwrap();
            next.run(request)
        });
    let server = serve(routes().into_axum_router().layer(keep)).await;
    let channel = change(ChannelFactory::new(telemetry)).channel(&server.url("")).unwrap();
    EchoClient::new(channel).call(Kind::Unary, "ok").await.unwrap();
    agents.recv().await.unwrap()
}

#[tokio::test]
async fn a_channel_says_which_service_it_belongs_to() {
    let service = |name: &str| {
        let mut settings = Settings::new(name);
        settings.service_version = Some("1.2".to_owned());
        waypost_telemetry::init(settings).unwrap()
    };
    assert!(agent(&service("order"), |channels| channels).await.starts_with("order/1.2 tonic/"));
    assert!(agent(&service("our order"), |channels| channels).await.starts_with("waypost-telemetry/"));
    let named = agent(&service("order"), |channels| channels.user_agent("shop/7")).await;
    assert!(named.starts_with("shop/7 tonic/"), "{named}");
}

#[tokio::test]
async fn a_factory_knows_targets_by_name_and_refuses_what_is_none() {
    let telemetry = TestTelemetry::new("order");
    let server = echo_server().await;
    let channels = ChannelFactory::new(&telemetry)
        .connect_timeout(Duration::from_secs(1))
        .call_timeout(Duration::from_secs(5))
        .keep_alive(Duration::from_secs(5), Duration::from_secs(1))
        .user_agent("order/1")
        .endpoint(|endpoint| endpoint.tcp_nodelay(true))
        .target("echo", server.url(""));
    EchoClient::new(channels.channel("echo").unwrap()).call(Kind::Unary, "ok").await.unwrap();
    assert!(matches!(channels.channel("no such target"), Err(ChannelError::InvalidUri { .. })));
    for incomplete in ["payment", "payment:9093", "/path"] {
        let refused = channels.channel(incomplete);
        assert!(
            matches!(refused, Err(ChannelError::Incomplete { .. } | ChannelError::InvalidUri { .. })),
            "{incomplete}"
        );
    }
    assert!(matches!(
        channels.user_agent("a\nb").channel("http://127.0.0.1:1"),
        Err(ChannelError::UserAgent(_))
    ));
}

#[test]
fn a_channel_outside_a_runtime_is_refused_and_does_not_panic() {
    let refused = Telemetry::disabled().grpc_channel("http://127.0.0.1:1");
    assert!(matches!(refused, Err(ChannelError::NoRuntime)));
}
