//! The trace that the README shows, from the same code over real sockets.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::post};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_health::server::health_reporter;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{grpc::TracedChannel, span, sql::Database};

use crate::http_server::net::{self, serve};

type Shop = (HealthClient<TracedChannel>, Database);

async fn place(State((mut stock, orders)): State<Shop>) -> StatusCode {
    let asked = span("reserve").attr("items", 3).run(stock.check(HealthCheckRequest::default())).await;
    if asked.is_err() {
        return StatusCode::BAD_GATEWAY;
    }
    let mut insert = orders.start("save-order");
    insert.statement("INSERT INTO orders (items) VALUES (?1)");
    insert.succeed();
    StatusCode::CREATED
}

#[tokio::test]
async fn the_first_page_gives_the_trace_it_shows() {
    let telemetry = TestTelemetry::new("shop");
    let stock = serve(tonic::service::Routes::new(health_reporter().1).into_axum_router()).await;
    let stock_client = HealthClient::new(telemetry.grpc_channel(&stock.url("")).unwrap());
    let app = Router::new()
        .route("/orders/{id}", post(place))
        .with_state((stock_client, telemetry.sql("sqlite", "orders")))
        .layer(telemetry.http_server());
    let shop = serve(app).await;

    let request = axum::http::Request::post(shop.url("/orders/7")).body(axum::body::Body::empty()).unwrap();
    assert_eq!(net::exchange(request).await.status(), StatusCode::CREATED);

    net::spans(&telemetry, 4).await;
    telemetry.tree().assert_matches_in_order(
        "POST /orders/{id} SERVER shop
           reserve INTERNAL shop items=3
             grpc.health.v1.Health/Check CLIENT shop
           INSERT orders CLIENT shop db.query.summary=\"INSERT orders\"",
    );
}
