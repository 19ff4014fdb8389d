//! `reqwest` with a span per try: by itself, and with retries among its middlewares.
//!
//! `cargo run -p waypost-telemetry --features reqwest-middleware,testing --example reqwest`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Router, routing::post};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use waypost_telemetry::http::UrlTemplate;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::with_context;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", shown().await?);
    Ok(())
}

/// What a capture and a refund leave behind, as text.
pub(crate) async fn shown() -> Result<String, Box<dyn Error>> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::start`.
    let telemetry = TestTelemetry::new("payment");
    let provider = provider().await?;
    let client = reqwest::Client::builder().no_proxy().build()?;

    // By itself.
    let calls = telemetry.http_client().reqwest(client.clone());
    let capture = calls.client().post(format!("{provider}/charges/ch_1/capture")).body("amount=4995");
    let capturing = telemetry.span("capture").run(calls.send_as("/charges/{id}/capture", capture));
    with_context(telemetry.context(), capturing).await?.text().await?;
    let shown = telemetry.tree().render_with(&SHOWN);
    telemetry.forget();

    // With retries, outside of the middleware of the kit, so that each try passes it.
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::from_millis(1), Duration::from_millis(5))
        .build_with_max_retries(2);
    let calls = ClientBuilder::new(client)
        .with(RetryTransientMiddleware::new_with_policy(policy))
        .with(telemetry.http_client().reqwest_middleware())
        .build();
    let refund = calls.post(format!("{provider}/charges/ch_1/refund"));
    let refund = refund.with_extension(UrlTemplate::new("/charges/{id}/refund"));
    let refunding = telemetry.span("refund").run(async { refund.send().await });
    with_context(telemetry.context(), refunding).await?.text().await?;

    Ok(shown + &telemetry.tree().render_with(&SHOWN))
}

/// The attributes that are shown.
const SHOWN: [&str; 2] = ["error.type", "http.request.resend_count"];

/// A provider that is too busy for the first refund.
async fn provider() -> Result<String, std::io::Error> {
    static REFUNDS: AtomicU32 = AtomicU32::new(0);
    let refund = async || {
        let is_first = REFUNDS.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    };
    let app = Router::new()
        .route("/charges/{id}/capture", post(async || "captured"))
        .route("/charges/{id}/refund", post(refund));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    #[expect(clippy::disallowed_methods, reason = "an example needs none of the limits of a public server")]
    drop(waypost_telemetry::spawn(async move { axum::serve(listener, app).await }));
    Ok(format!("http://{address}"))
}
