//! What a program can say of its HTTP layers: who comes over the border, names, attributes, errors, sizes, destinations.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use axum::routing::{any, get, post};
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use waypost_telemetry::http::filters::{and, header_is, host, method, not, or, path, path_prefix, route};
use waypost_telemetry::http::{RequestHead, RouteTemplate, ServerLayer, UrlTemplate};
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{FinishedSpan, Telemetry};

use crate::http_server::border::{CALLER, CALLER_SPAN, CALLER_TRACE};
use crate::http_server::net::{
    Server, attribute, client, exchange, fed_body, metric, nothing_active, outcome, series, serve, span,
    spans, within,
};

fn request(method: &str, url: String) -> Request<Body> {
    let request = Request::builder().method(method).uri(url).header("user-agent", "tests/1");
    request.body(Body::empty()).unwrap()
}

async fn shop(layer: ServerLayer) -> Server {
    let app = Router::new()
        .route("/orders/{id}", any(async || "order"))
        .route("/internal/jobs", get(async || "jobs"))
        .route("/health", get(async || "ok"))
        .route("/missing", get(async || StatusCode::NOT_FOUND))
        .route("/busy", get(async || StatusCode::SERVICE_UNAVAILABLE));
    serve(app.layer(layer)).await
}

#[tokio::test]
async fn only_outsiders_begin_a_trace_of_their_own() {
    let telemetry = TestTelemetry::new("gateway");
    let layer = telemetry.http_server().public_endpoint_for(not(path_prefix("/internal")));
    let server = shop(layer).await;
    for path in ["/orders/7", "/internal/jobs"] {
        telemetry.forget();
        let mut sent = request("GET", server.url(path));
        sent.headers_mut().insert("traceparent", CALLER.parse().unwrap());
        exchange(sent).await;
        let span = span(&telemetry).await;
        let is_outside = path == "/orders/7";
        assert_eq!(span.trace_id().to_string() == CALLER_TRACE, !is_outside, "{path}");
        let parent = span.parent_id().map(|id| id.to_string());
        assert_eq!(parent.as_deref(), (!is_outside).then_some(CALLER_SPAN));
        assert_eq!(span.links().len(), usize::from(is_outside));
    }
}

#[tokio::test]
async fn filters_are_put_together() {
    let telemetry = TestTelemetry::new("gateway");
    let probe = header_is(HeaderName::from_static("x-probe"), "1");
    let noise = or(path("/health"), and(method(Method::OPTIONS), route("/orders/{id}")));
    let layer = telemetry.http_server().filter(and(not(or(noise, probe)), host("127.0.0.1")));
    let server = shop(layer).await;
    let mut probed = request("GET", server.url("/orders/8"));
    probed.headers_mut().insert("x-probe", "1".parse().unwrap());
    exchange(probed).await;
    for (method, path) in [("GET", "/health"), ("OPTIONS", "/orders/7"), ("GET", "/orders/7")] {
        exchange(request(method, server.url(path))).await;
    }
    let mut elsewhere = request("GET", server.url("/orders/9"));
    elsewhere.headers_mut().insert("host", "shop.example".parse().unwrap());
    exchange(elsewhere).await;
    let span = span(&telemetry).await;
    assert_eq!(
        (span.name(), attribute(&span, "url.path").as_deref()),
        ("GET /orders/{id}", Some("/orders/7"))
    );
}

#[tokio::test]
async fn the_program_names_spans_and_adds_attributes() {
    let telemetry = TestTelemetry::new("gateway");
    let version = HeaderName::from_static("x-api-version");
    let of = move |request: &RequestHead<'_>| request.headers.get(&version).cloned();
    let of_metric = of.clone();
    let layer = telemetry
        .http_server()
        .span_name(|request| Some(format!("shop {}", request.route?).into()))
        .span_attributes(move |request| {
            let said = of(request).map(|value| value.to_str().unwrap().to_owned());
            said.map(|said| KeyValue::new("api.version", said)).into_iter().collect()
        })
        .response_attributes(|response| vec![KeyValue::new("shop.cached", response.status == StatusCode::OK)])
        .metric_attributes(move |request| {
            let is_new = of_metric(request).is_some_and(|value| value == "2");
            vec![KeyValue::new("api.is_new", is_new), KeyValue::new("http.route", "/mine")]
        });
    let server = shop(layer).await;
    let mut sent = request("GET", server.url("/orders/7"));
    sent.headers_mut().insert("x-api-version", "2".parse().unwrap());
    exchange(sent).await;
    exchange(request("GET", server.url("/nowhere"))).await;
    let spans = spans(&telemetry, 2).await;
    assert_eq!(spans.iter().map(FinishedSpan::name).collect::<Vec<_>>(), ["shop /orders/{id}", "GET"]);
    assert_eq!(attribute(&spans[0], "api.version").as_deref(), Some("2"));
    assert_eq!(attribute(&spans[1], "api.version"), None);
    assert_eq!(attribute(&spans[0], "shop.cached").as_deref(), Some("true"));
    assert_eq!(attribute(&spans[0], "api.is_new"), None);
    let counts = "http_server_request_duration_seconds_count";
    assert_eq!(metric(&telemetry, counts, &["api_is_new=\"true\"", "http_route=\"/orders/{id}\""]), 1);
    assert_eq!(metric(&telemetry, counts, &["api_is_new=\"false\""]), 1);
    assert_eq!(metric(&telemetry, counts, &["/mine"]), 0);
}

#[tokio::test]
async fn the_program_says_which_responses_are_errors() {
    let telemetry = TestTelemetry::new("gateway");
    let layer = telemetry.http_server().error_classifier(|response| match response.status.as_u16() {
        404 => Some("missing".into()),
        _ => None,
    });
    let server = shop(layer).await;
    let mut calls = telemetry.http_client().error_classifier(|response| {
        (response.status == StatusCode::SERVICE_UNAVAILABLE).then(|| "busy".into())
    });
    calls = calls.propagate(false);
    for (path, served, called) in
        [("/missing", "missing", "ok"), ("/busy", "ok", "busy"), ("/health", "ok", "ok")]
    {
        telemetry.forget();
        let answer = calls.layer(client()).call(request("GET", server.url(path))).await.unwrap();
        drop(answer.into_body().collect().await.unwrap());
        let spans = spans(&telemetry, 2).await;
        let of = |kind: &str| spans.iter().find(|span| format!("{:?}", span.kind()) == kind).unwrap();
        assert_eq!(
            (outcome(of("Server")).as_str(), outcome(of("Client")).as_str()),
            (served, called),
            "{path}"
        );
    }
    assert_eq!(
        metric(&telemetry, "http_server_request_duration_seconds_count", &["error_type=\"missing\""]),
        1
    );
    assert_eq!(metric(&telemetry, "http_client_request_duration_seconds_count", &["error_type=\"busy\""]), 1);
}

#[tokio::test]
async fn closures_that_panic_change_nothing() {
    let telemetry = TestTelemetry::new("gateway");
    let layer = telemetry
        .http_server()
        .public_endpoint_for(|_| panic!("as the test wants it"))
        .route_extractor(|_| panic!("as the test wants it"))
        .span_name(|_| panic!("as the test wants it"))
        .span_attributes(|_| panic!("as the test wants it"))
        .response_attributes(|_| panic!("as the test wants it"))
        .metric_attributes(|_| panic!("as the test wants it"))
        .error_classifier(|_| panic!("as the test wants it"));
    let server = shop(layer).await;
    let mut sent = request("GET", server.url("/busy"));
    sent.headers_mut().insert("traceparent", CALLER.parse().unwrap());
    assert_eq!(exchange(sent).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let span = span(&telemetry).await;
    assert_eq!((span.name(), outcome(&span).as_str(), span.links().len()), ("GET /busy", "503", 1));
}

#[tokio::test]
async fn sizes_of_bodies_are_on_spans_and_in_histograms() {
    let telemetry = TestTelemetry::new("gateway");
    let layer = telemetry.http_server().body_sizes(true);
    let app = Router::new()
        .route("/echo", post(async |body: Bytes| body))
        .route("/ignore", post(async || "ignored"))
        .layer(layer);
    let server = serve(app).await;
    let mut calls = telemetry.http_client().body_sizes(true).template("/echo").layer(client());
    let (feed, fed) = fed_body();
    let feeding = async move {
        for part in ["12", "345"] {
            feed.send(Ok(Bytes::from(part))).await.unwrap();
        }
    };
    let chunked = Request::post(server.url("/echo")).header("user-agent", "tests/1").body(fed).unwrap();
    let (answer, ()) = tokio::join!(calls.call(chunked), feeding);
    assert_eq!(answer.unwrap().into_body().collect().await.unwrap().to_bytes(), "12345");
    let known = Request::post(server.url("/ignore"))
        .header("user-agent", "tests/1")
        .body(Body::from("1234"))
        .unwrap();
    calls.call(known).await.unwrap().into_body().collect().await.unwrap();
    for span in spans(&telemetry, 4).await {
        let is_echo = attribute(&span, "url.path").is_some_and(|path| path == "/echo")
            || attribute(&span, "url.full").is_some_and(|url| url.ends_with("/echo"));
        let (sent, answered) = if is_echo { ("5", "5") } else { ("4", "7") };
        assert_eq!(attribute(&span, "http.request.body.size").as_deref(), Some(sent), "{span:?}");
        assert_eq!(attribute(&span, "http.response.body.size").as_deref(), Some(answered), "{span:?}");
    }
    for family in
        ["http_server_request", "http_server_response", "http_client_request", "http_client_response"]
    {
        let sum: i64 = metric(&telemetry, &format!("{family}_body_size_bytes_sum"), &[]);
        assert_eq!(sum, if family.ends_with("request") { 9 } else { 12 }, "{family}");
    }
    nothing_active(&telemetry).await;
    Conventions::current().check(&[&telemetry]).assert_clean();
}

#[tokio::test]
async fn context_goes_to_the_hosts_that_are_named_and_no_other() {
    let telemetry = TestTelemetry::new("payment");
    let sees = Router::new().route(
        "/",
        get(async |headers: HeaderMap| {
            ["traceparent", "baggage"].map(|name| headers.contains_key(name)).contains(&true).to_string()
        }),
    );
    let server = serve(sees).await;
    let port = server.address.port();
    for (hosts, reaches) in [
        (vec!["127.0.0.1".to_owned()], true),
        (vec![format!("127.0.0.1:{port}")], true),
        (vec!["127.0.0.1:1".to_owned()], false),
        (vec!["*.0.0.1".to_owned(), "payment".to_owned()], true),
        (vec!["payment".to_owned()], false),
        (vec![], false),
    ] {
        for layer in [telemetry.http_client(), Telemetry::disabled().http_client()] {
            let mut calls = layer.propagate_to(&hosts).layer(client());
            let work = async {
                let answer = calls.call(request("GET", server.url("/"))).await.unwrap();
                answer.into_body().collect().await.unwrap().to_bytes()
            };
            let is_traced =
                telemetry.span("pay").run(async { Ok::<_, Infallible>(work.await) }).await.unwrap();
            assert_eq!(is_traced, reaches.to_string(), "{hosts:?}");
        }
    }
}

/// A router that is none of axum's: it knows its route before or after it serves.
fn plain(telemetry: &TestTelemetry, layer: impl Fn(ServerLayer) -> ServerLayer, says_late: bool) -> Router {
    let service = service_fn(move |_: Request<Body>| {
        let mut response = Response::new(Body::from("order"));
        if says_late {
            response.extensions_mut().insert(RouteTemplate::new("/orders/{id}"));
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    Router::new().fallback_service(layer(telemetry.http_server()).layer(service))
}

#[tokio::test]
async fn a_router_of_any_kind_names_the_route() {
    for says_late in [false, true] {
        let telemetry = TestTelemetry::new("shop");
        let extract = |layer: ServerLayer| {
            if says_late {
                return layer;
            }
            layer.route_extractor(|request| {
                request.path().starts_with("/orders/").then(|| "/orders/{id}".into())
            })
        };
        let server = serve(plain(&telemetry, extract, says_late)).await;
        for order in 0..20 {
            exchange(request("GET", server.url(&format!("/orders/{order}")))).await;
        }
        for span in spans(&telemetry, 20).await {
            assert_eq!(span.name(), "GET /orders/{id}", "{says_late}");
            assert_eq!(attribute(&span, "http.route").as_deref(), Some("/orders/{id}"));
        }
        let counts = series(&telemetry, "http_server_request_duration_seconds_count");
        assert_eq!(counts.len(), 1, "{counts:?}");
        assert!(counts[0].contains("http_route=\"/orders/{id}\""), "{counts:?}");
        nothing_active(&telemetry).await;
        Conventions::current().check(&[&telemetry]).assert_clean();
    }
}

#[tokio::test]
async fn a_flood_of_routes_and_labels_stays_within_the_limit() {
    let telemetry = TestTelemetry::new("shop");
    let layer = telemetry
        .http_server()
        .route_extractor(|request| Some(request.path().to_owned().into()))
        .metric_attributes(|request| vec![KeyValue::new("guess", request.path().to_owned())]);
    let service =
        layer.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()))));
    for guess in 0..3_000 {
        let asked = Request::get(format!("/guess/{guess}")).body(Body::empty()).unwrap();
        service.clone().oneshot(asked).await.unwrap();
    }
    let counted = series(&telemetry, "http_server_request_duration_seconds_count").len();
    assert!(counted <= 2_001, "{counted} series");
    assert_eq!(metric(&telemetry, "http_server_request_duration_seconds_count", &[]), 3_000);
}

#[tokio::test]
async fn a_secret_in_any_input_reaches_no_export() {
    const SECRET: &str = "hunter2hunter2";
    let telemetry = TestTelemetry::new("gateway");
    let names = || ["authorization", "cookie", "x-api-key", "x-plan"].map(HeaderName::from_static);
    let set = ["set-cookie"].map(HeaderName::from_static);
    let layer =
        telemetry.http_server().capture_request_headers(names()).capture_response_headers(set.clone());
    let app = Router::new()
        .route("/orders/{id}", get(async || ([("set-cookie", format!("session={SECRET}"))], "order")))
        .layer(layer.body_sizes(true));
    let server = serve(app).await;
    let calls = telemetry.http_client().capture_request_headers(names()).capture_response_headers(set);
    let url = format!("http://bob:{SECRET}@{}/orders/7?token={SECRET}&page=1&sig={SECRET}", server.address);
    let mut sent = request("GET", url);
    for (name, value) in [
        ("authorization", format!("Bearer {SECRET}")),
        ("cookie", format!("session={SECRET}")),
        ("x-api-key", SECRET.to_owned()),
        ("x-plan", "gold".to_owned()),
    ] {
        sent.headers_mut().insert(name, value.parse().unwrap());
    }
    sent.extensions_mut().insert(UrlTemplate::new("/orders/{id}"));
    let answer = calls.layer(client()).oneshot(sent).await.unwrap();
    within("the body", answer.into_body().collect()).await.unwrap();
    let spans = spans(&telemetry, 2).await;
    assert!(spans.iter().all(|span| attribute(span, "http.request.header.x-plan").is_some()));
    let page = render_prometheus(std::slice::from_ref(telemetry.handle()));
    let everything = format!("{spans:?}{:?}{page}", telemetry.finished_logs());
    assert!(!everything.contains(SECRET), "{everything}");
}
