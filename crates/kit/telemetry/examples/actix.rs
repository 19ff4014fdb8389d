//! A server of actix-web with a span per request.
//!
//! `cargo run -p waypost-telemetry --features actix,testing --example actix`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use actix_web::{App, test, web};
use waypost_telemetry::testing::TestTelemetry;

fn main() {
    println!("{}", actix_web::rt::System::new().block_on(shown()));
}

/// What one request leaves behind, as text.
pub(crate) async fn shown() -> String {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::start`.
    let telemetry = TestTelemetry::new("shop");
    let look_up = async |id: web::Path<String>| {
        waypost_telemetry::span("look-up").in_scope(|| ());
        format!("order {id}")
    };
    // In a service: `HttpServer::new(move || App::new()....wrap(layer.actix()))`.
    let shop = App::new().route("/orders/{id}", web::get().to(look_up)).wrap(telemetry.http_server().actix());
    let shop = test::init_service(shop).await;
    test::call_and_read_body(&shop, test::TestRequest::get().uri("/orders/7").to_request()).await;
    telemetry.tree().render_with(&["http.route", "http.response.status_code"])
}
