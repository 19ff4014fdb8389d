//! The options of HTTP servers and clients: a gateway that is open to the world beside its own services, and calls a
//! provider that must not see whose trace it is.
//!
//! `cargo run -p waypost-telemetry --features testing --example http`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use axum::{Router, http::HeaderName, http::Request, http::StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Layer as _, ServiceExt as _};
use waypost_telemetry::http::filters::{method, not, or, path, path_prefix};
use waypost_telemetry::http::{StreamSpan, UrlTemplate};
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::testing::TestTelemetry;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", shown().await?);
    Ok(())
}

/// What two requests leave behind, as text.
pub(crate) async fn shown() -> Result<String, Box<dyn Error>> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::start`.
    let telemetry = TestTelemetry::new("gateway");
    let provider = serve(Router::new().route("/rates", get(async || StatusCode::NOT_FOUND))).await?;

    let layer = telemetry
        .http_server()
        // Who comes from outside begins a trace of its own; paths below /internal are only for our services.
        .public_endpoint_for(not(path_prefix("/internal")))
        .filter(not(or(path("/health"), method(axum::http::Method::OPTIONS))))
        .span_attributes(|request| {
            let is_mobile = request.headers.contains_key("x-app-version");
            vec![KeyValue::new("app.mobile", is_mobile)]
        })
        .metric_attributes(|request| {
            let is_mobile = request.headers.contains_key("x-app-version");
            vec![KeyValue::new("app.mobile", is_mobile)]
        })
        .capture_request_headers([HeaderName::from_static("x-app-version")])
        .body_sizes(true)
        .stream_spans(StreamSpan::UntilHead);
    let calls = telemetry
        .http_client()
        .propagate_to(["*.svc.cluster.local"])
        // A rate that the provider does not know is no error of ours.
        .error_classifier(|response| {
            (response.status.as_u16() >= 500).then(|| response.status.as_u16().to_string().into())
        })
        .layer(Client::builder(TokioExecutor::new()).build_http::<Body>());
    let rates = async move |State(provider): State<SocketAddr>| {
        let mut asked = Request::get(format!("http://{provider}/rates?token=hidden")).body(Body::empty())?;
        asked.extensions_mut().insert(UrlTemplate::new("/rates"));
        let status = calls.oneshot(asked).await.map(|answer| answer.status());
        Ok::<_, Refused>(status.unwrap_or(StatusCode::BAD_GATEWAY).as_str().to_owned())
    };
    let app = Router::new()
        .route("/health", get(async || "ok"))
        .route("/rates", get(rates))
        .with_state(provider)
        .layer(layer);
    let gateway = serve(app).await?;

    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    for path in ["/health", "/rates"] {
        let request = Request::get(format!("http://{gateway}{path}")).header("x-app-version", "7");
        client.request(request.body(Body::empty())?).await?.into_body().collect().await?;
    }
    let shown = ["app.mobile", "http.response.body.size", "http.response.status_code", "url.full"];
    Ok(telemetry.tree().render_with(&shown))
}

/// A request that cannot be built.
struct Refused;

impl From<axum::http::Error> for Refused {
    fn from(_: axum::http::Error) -> Self {
        Self
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

async fn serve(app: Router) -> Result<SocketAddr, std::io::Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    #[expect(clippy::disallowed_methods, reason = "an example needs none of the limits of a public server")]
    drop(waypost_telemetry::spawn(async move { axum::serve(listener, app).await }));
    Ok(address)
}
