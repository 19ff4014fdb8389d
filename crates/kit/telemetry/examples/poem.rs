//! A server of poem with a span per request.
//!
//! `cargo run -p waypost-telemetry --features poem,testing --example poem`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use poem::endpoint::make_sync;
use poem::{Endpoint as _, EndpointExt as _, Request, Route, get};
use waypost_telemetry::testing::TestTelemetry;

#[tokio::main]
async fn main() {
    println!("{}", shown().await);
}

/// What one request leaves behind, as text.
pub(crate) async fn shown() -> String {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::start`.
    let telemetry = TestTelemetry::new("shop");
    let look_up = make_sync(|request| {
        waypost_telemetry::span("look-up").in_scope(|| ());
        format!("order {}", request.raw_path_param("id").unwrap_or_default())
    });
    // In a service: `Server::new(listener).run(app)`.
    let shop = Route::new().at("/orders/:id", get(look_up)).with(telemetry.http_server().poem());
    shop.get_response(Request::builder().uri_str("/orders/7").finish()).await;
    telemetry.tree().render_with(&["http.route", "http.response.status_code"])
}
