//! The options of traced channels against several real servers behind one name.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderName;
use futures_util::poll;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{ServiceExt as _, service_fn};
use waypost_telemetry::grpc::{ChannelError, ChannelFactory, Resolver, Resolving, Retries, TracedChannel};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::testing::{SpanTree, TestTelemetry, wait_for};
use waypost_telemetry::{FinishedSpan, with_context};

use crate::grpc_server::echo::{EchoClient, Kind, routes};
use crate::http_server::net::{
    PATIENCE, Server, attribute, metric, outcome, series, serve, span, spans, within,
};

/// A registry of one name, which the test changes.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<Vec<SocketAddr>>>);

impl Registry {
    pub(crate) fn of(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let registry = Self::default();
        registry.set(addresses);
        registry
    }

    fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        *self.0.lock().unwrap() = addresses.into_iter().collect();
    }
}

impl Resolver for Registry {
    fn resolve(&self, host: &str, _port: u16) -> Resolving {
        let (is_known, addresses) = (host == "stock", self.0.lock().unwrap().clone());
        Box::pin(async move { if is_known { Ok(addresses) } else { Err(io::ErrorKind::NotFound.into()) } })
    }
}

fn stock(channels: &ChannelFactory) -> EchoClient<TracedChannel> {
    EchoClient::new(channels.channel("dns:///stock:9092").unwrap())
}

async fn servers(telemetry: &TestTelemetry, count: usize) -> Vec<Server> {
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(serve(routes().into_axum_router().layer(telemetry.grpc_server())).await);
    }
    servers
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ports(spans: &[FinishedSpan]) -> BTreeSet<String> {
    spans.iter().filter_map(|span| attribute(span, "network.peer.port")).collect()
}

/// A server whose first answers are this status, then those of the service of the tests.
async fn failing(telemetry: &TestTelemetry, count: u32, status: Status) -> (Server, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let (seen, echo) = (Arc::clone(&calls), routes().into_axum_router());
    let service = service_fn(move |request: axum::extract::Request| {
        let is_failing = seen.fetch_add(1, Ordering::Relaxed) < count;
        let (status, echo) = (status.clone(), echo.clone());
        async move {
            if is_failing {
                return Ok::<_, Infallible>(status.into_http::<Body>().map(axum::body::Body::new));
            }
            echo.oneshot(request).await
        }
    });
    let previous = HeaderName::from_static("grpc-previous-rpc-attempts");
    let layer = telemetry.grpc_server().capture_request_metadata([previous]);
    (serve(Router::new().fallback_service(service).layer(layer)).await, calls)
}

/// Retries without a pause that one would notice.
fn at_once() -> Retries {
    Retries::new().pauses(Duration::from_millis(1), Duration::from_millis(1))
}

#[tokio::test]
async fn calls_are_spread_over_the_addresses_of_a_name() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let servers = servers(&callee, 3).await;
    let registry = Registry::of(servers.iter().map(|server| server.address));
    let channels = ChannelFactory::new(&telemetry).resolver(registry);
    let mut client = stock(&channels);
    for _ in 0..60 {
        client.call(Kind::Unary, "ok").await.unwrap();
    }
    let spans = spans(&telemetry, 60).await;
    let known: BTreeSet<_> = servers.iter().map(|server| server.address.port().to_string()).collect();
    assert_eq!(ports(&spans), known);
    for span in &spans {
        assert_eq!(attribute(span, "server.address").as_deref(), Some("stock"));
        assert_eq!(attribute(span, "server.port").as_deref(), Some("9092"));
    }
    assert_eq!(series(&telemetry, "rpc_client_call_duration_seconds_count").len(), 1);
    crate::http_server::net::spans(&callee, 60).await;
    Conventions::current().check(&[&telemetry, &callee]).assert_clean();
}

#[tokio::test]
async fn a_call_that_was_not_sent_goes_on_to_another_replica() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let servers = servers(&callee, 1).await;
    let channels =
        ChannelFactory::new(&telemetry).resolver(Registry::of([nobody(), servers[0].address, nobody()]));
    let mut client = stock(&channels);
    for _ in 0..20 {
        client.call(Kind::Unary, "ok").await.unwrap();
    }
    let answered = |spans: &[FinishedSpan]| spans.iter().filter(|span| outcome(span) == "ok").count();
    let spans = wait_for(&[telemetry.handle()], PATIENCE, |spans| answered(spans) == 20).await.unwrap();
    // Each replica that is away is found out by a call or none, and then passed over.
    let refused = spans.iter().filter(|span| outcome(span) == "connection_refused").count();
    assert!((1..=20).contains(&refused), "{refused}");
    assert_eq!(metric(&telemetry, "rpc_client_call_duration_seconds_count", &["\"OK\""]), 20);
}

#[tokio::test]
async fn a_replica_that_dies_costs_no_call() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let mut servers = servers(&callee, 3).await;
    let registry = Registry::of(servers.iter().map(|server| server.address));
    let channels = ChannelFactory::new(&telemetry).resolver(registry).retries(at_once());
    let mut client = stock(&channels);
    // All are connected to.
    while ports(&telemetry.finished_spans()).len() < 3 {
        client.call(Kind::Unary, "ok").await.unwrap();
    }
    let dead = servers.pop().unwrap().address.port().to_string();
    telemetry.forget();
    for _ in 0..30 {
        client.call(Kind::Unary, "ok").await.unwrap();
    }
    let left: BTreeSet<_> = servers.iter().map(|server| server.address.port().to_string()).collect();
    let spans = telemetry.finished_spans();
    let answered: Vec<_> = spans.iter().filter(|span| outcome(span) == "ok").cloned().collect();
    assert_eq!(answered.len(), 30);
    assert!(ports(&answered).is_subset(&left) && !ports(&answered).contains(&dead));
}

#[tokio::test]
async fn a_name_that_gets_other_addresses_is_followed() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let servers = servers(&callee, 2).await;
    let registry = Registry::of([servers[0].address]);
    let channels =
        ChannelFactory::new(&telemetry).resolver(registry.clone()).refresh(Duration::from_millis(1));
    let mut client = stock(&channels);
    client.call(Kind::Unary, "ok").await.unwrap();
    let first = servers[0].address.port().to_string();
    assert_eq!(ports(&telemetry.finished_spans()), BTreeSet::from([first]));
    registry.set([servers[1].address]);
    let second = BTreeSet::from([servers[1].address.port().to_string()]);
    let followed = async {
        loop {
            telemetry.forget();
            client.call(Kind::Unary, "ok").await.unwrap();
            if ports(&telemetry.finished_spans()) == second {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within("the new address", followed).await;
    // A registry that is empty for a while takes nothing away.
    registry.set([]);
    for _ in 0..3 {
        client.call(Kind::Unary, "ok").await.unwrap();
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_unavailable() {
    for target in ["dns:///stock:9092", "dns:///unknown:9092"] {
        let telemetry = TestTelemetry::new("order");
        let channels = ChannelFactory::new(&telemetry).resolver(Registry::default());
        let mut client = EchoClient::new(channels.channel(target).unwrap());
        assert_eq!(client.call(Kind::Unary, "ok").await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(outcome(&span(&telemetry).await), "UNAVAILABLE");
    }
}

#[tokio::test]
async fn each_try_is_a_span_of_its_own() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let (server, calls) = failing(&callee, 2, Status::unavailable("not yet")).await;
    for target in [server.url(""), "dns:///stock:9092".to_owned()] {
        telemetry.forget();
        callee.forget();
        calls.store(0, Ordering::Relaxed);
        let channels =
            ChannelFactory::new(&telemetry).resolver(Registry::of([server.address])).retries(at_once());
        let mut client = EchoClient::new(channels.channel(&target).unwrap());
        let asking = telemetry.span("ask").run(async { client.call(Kind::Unary, "ok").await });
        with_context(telemetry.context(), asking).await.unwrap();
        let spans = wait_for(&[&telemetry, &callee], PATIENCE, |spans| spans.len() == 7).await.unwrap();
        let previous = "rpc.request.metadata.grpc-previous-rpc-attempts";
        SpanTree::only(&spans).assert_matches(&format!(
            "ask INTERNAL order
  it.Echo/Unary CLIENT order ERROR error.type=UNAVAILABLE
    it.Echo/Unary SERVER stock ERROR error.type=UNAVAILABLE
  it.Echo/Unary CLIENT order ERROR error.type=UNAVAILABLE
    it.Echo/Unary SERVER stock ERROR error.type=UNAVAILABLE {previous}=*
  it.Echo/Unary CLIENT order rpc.response.status_code=OK
    it.Echo/Unary SERVER stock {previous}=*"
        ));
    }
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not() {
    let telemetry = TestTelemetry::new("order");
    let mut never = Status::unavailable("never");
    never.metadata_mut().insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
    let no_method = at_once().methods(|method| method == "it.Echo/Bidi");
    let gives_up = at_once().methods(|_| panic!("as the test wants it"));
    for (status, retries) in [
        (Status::internal("broken"), at_once()),
        (never, at_once()),
        (Status::unavailable("not yet"), no_method),
        (Status::unavailable("not yet"), gives_up),
        (Status::unavailable("not yet"), at_once().max_attempts(1)),
        (Status::unavailable("not yet"), at_once().budget(0, 0)),
        (Status::unavailable("not yet"), at_once().codes([Code::Aborted])),
    ] {
        let code = status.code();
        let (server, calls) = failing(&TestTelemetry::new("stock"), 9, status).await;
        let channels = ChannelFactory::new(&telemetry).retries(retries);
        let mut client = EchoClient::new(channels.channel(&server.url("")).unwrap());
        assert_eq!(client.call(Kind::Unary, "ok").await.unwrap_err().code(), code);
        assert_eq!(calls.load(Ordering::Relaxed), 1, "{code:?}");
    }
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let telemetry = TestTelemetry::new("order");
    let (server, calls) = failing(&TestTelemetry::new("stock"), u32::MAX, Status::unavailable("down")).await;
    let channels = ChannelFactory::new(&telemetry).retries(at_once().budget(10, 5));
    let mut client = EchoClient::new(channels.channel(&server.url("")).unwrap());
    for _ in 0..50 {
        assert_eq!(client.call(Kind::Unary, "ok").await.unwrap_err().code(), Code::Unavailable);
    }
    // Those that were saved up, and one for every ten calls; of the first payments the full purse takes none.
    let repeated = calls.load(Ordering::Relaxed) - 50;
    assert!((5..=10).contains(&repeated), "{repeated} retries");
}

#[tokio::test]
async fn a_call_is_over_at_its_deadline() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let server = &servers(&callee, 1).await[0];
    let channels = ChannelFactory::new(&telemetry)
        .resolver(Registry::of([server.address]))
        .retries(at_once())
        .default_deadline(Duration::from_millis(30));
    for target in [server.url(""), "dns:///stock:9092".to_owned()] {
        let mut client = EchoClient::new(channels.channel(&target).unwrap());
        for (kind, request) in [(Kind::Unary, "hang"), (Kind::ServerStream, "two then hang")] {
            telemetry.forget();
            let failed = within("the deadline", client.call(kind, request)).await.unwrap_err();
            assert_eq!(failed.code(), Code::DeadlineExceeded, "{target} {request}");
            assert_eq!(outcome(&span(&telemetry).await), "DEADLINE_EXCEEDED", "{target} {request}");
        }
    }
}

#[tokio::test]
async fn the_callers_own_deadline_goes_before_the_default() {
    let telemetry = TestTelemetry::new("order");
    let callee = TestTelemetry::new("stock");
    let server = &servers(&callee, 1).await[0];
    let channels = ChannelFactory::new(&telemetry).default_deadline(Duration::from_hours(1));
    let mut client = EchoClient::new(channels.channel(&server.url("")).unwrap());
    let mut request = tonic::Request::new("hang".to_owned());
    request.set_timeout(Duration::from_millis(20));
    let failed = within("the deadline", client.call_with(Kind::Unary, request)).await.unwrap_err();
    assert_eq!(failed.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_call_that_is_no_longer_waited_for_is_cancelled() {
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let server = &servers(&callee, 1).await[0];
    let channels =
        ChannelFactory::new(&telemetry).resolver(Registry::of([server.address])).retries(Retries::new());
    let mut client = stock(&channels);
    client.call(Kind::Unary, "ok").await.unwrap();
    telemetry.forget();
    let mut call = Box::pin(client.call(Kind::Unary, "hang"));
    assert!(poll!(&mut call).is_pending());
    drop(call);
    assert_eq!(outcome(&span(&telemetry).await), "cancelled");
}

#[tokio::test]
async fn a_target_without_a_form_is_refused() {
    let telemetry = TestTelemetry::new("order");
    let channels = ChannelFactory::new(&telemetry).target("stock", "dns:///stock");
    for target in ["stock", "dns:///:9092", "dns:///a/b:1", "stock:9092"] {
        assert!(matches!(channels.channel(target), Err(ChannelError::Incomplete { .. })), "{target}");
    }
}

#[tokio::test]
async fn a_flood_of_names_stays_within_the_limit() {
    let telemetry = TestTelemetry::new("crawler");
    let channels = ChannelFactory::new(&telemetry).resolver(Registry::default());
    for name in 0..2_100 {
        let mut client = EchoClient::new(channels.channel(&format!("dns:///host-{name}:1")).unwrap());
        client.call(Kind::Unary, "ok").await.unwrap_err();
    }
    let counted = series(&telemetry, "rpc_client_call_duration_seconds_count").len();
    assert!(counted <= 2_001, "{counted} series");
}

#[tokio::test]
async fn a_secret_in_any_input_reaches_no_export() {
    const SECRET: &str = "hunter2hunter2";
    let (telemetry, callee) = (TestTelemetry::new("order"), TestTelemetry::new("stock"));
    let (server, _) = failing(&callee, 1, Status::unavailable(SECRET)).await;
    let names = ["authorization", "cookie", "x-api-key"].map(HeaderName::from_static);
    let channels = ChannelFactory::new(&telemetry)
        .resolver(Registry::of([server.address]))
        .retries(at_once())
        .traced(|layer| layer.capture_request_metadata(names));
    let mut client = stock(&channels);
    let mut request = tonic::Request::new("ok".to_owned());
    for name in ["authorization", "cookie", "x-api-key"] {
        request.metadata_mut().insert(name, SECRET.parse().unwrap());
    }
    client.call_with(Kind::Unary, request).await.unwrap();
    let spans = wait_for(&[&telemetry, &callee], PATIENCE, |spans| spans.len() == 4).await.unwrap();
    let page = render_prometheus(&[telemetry.handle().clone(), callee.handle().clone()]);
    let everything = format!("{spans:?}{:?}{page}", telemetry.finished_logs());
    assert!(!everything.contains(SECRET), "{everything}");
}
