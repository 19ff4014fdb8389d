//! Service A: orders over HTTP on port 8080; pays for them at service B.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tonic::Status;
use tracing::info;
use two_services::payment::PaymentRequest;
use two_services::payment::payment_service_client::PaymentServiceClient;
use two_services::{ORDER_ID, PAYMENT_AMOUNT};
use two_services::{asked_to_stop, listen, setting, start_telemetry, stop_telemetry};
use waypost_telemetry::grpc::TracedChannel;
use waypost_telemetry::{set, span};

/// A real service would make an id and take the amount from the request.
const ORDER: &str = "order-12345";
const AMOUNT: &str = "99.99";

type Payments = PaymentServiceClient<TracedChannel>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = start_telemetry("order-service")?;
    // Connects at the first call, so it does not matter which service starts first.
    let payments = Payments::new(telemetry.grpc_channel(&setting("PAYMENT_URL", "http://localhost:8081"))?);
    let app = Router::new()
        .route("/order", get(place_order).post(place_order))
        .route("/health", get(async || "OK"))
        .with_state(payments)
        // Every request becomes a SERVER span; asking for health is no news.
        .layer(telemetry.http_server().filter(|request| request.uri.path() != "/health"));

    let listener = listen("SERVICE_A_ADDR", "127.0.0.1:8080").await?;
    info!("Service A (Order) starting on :{}...", listener.local_addr()?.port());
    #[expect(clippy::disallowed_methods, reason = "an example needs none of the limits of a public server")]
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(asked_to_stop())
        .await?;
    stop_telemetry(&telemetry).await;
    Ok(())
}

async fn place_order(State(payments): State<Payments>) -> (StatusCode, Json<Value>) {
    set(ORDER_ID, ORDER);
    span("Create Order").attr(ORDER_ID, ORDER).in_scope(|| info!("Creating order..."));
    let paid =
        span("Process Payment").attr(ORDER_ID, ORDER).attr(PAYMENT_AMOUNT, AMOUNT).run(pay(payments)).await;
    match paid {
        Ok(transaction) => {
            info!("Payment successful!");
            let placed = json!({ "order_id": ORDER, "status": "paid", "transaction_id": transaction });
            (StatusCode::OK, Json(placed))
        }
        Err(_) => (StatusCode::BAD_GATEWAY, Json(json!({ "order_id": ORDER, "status": "payment failed" }))),
    }
}

/// Both the span around this and the trace context in the call come from the current context.
async fn pay(mut payments: Payments) -> Result<String, Status> {
    info!("Processing payment for {ORDER}...");
    let request = PaymentRequest { order_id: ORDER.to_owned(), amount: AMOUNT.to_owned() };
    Ok(payments.process_payment(request).await?.into_inner().transaction_id)
}
