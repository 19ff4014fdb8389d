//! Orders over HTTP on port 8080: sets stock aside, takes the money, and gives the stock back when that fails.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use three_services::shop::payments_client::PaymentsClient;
use three_services::shop::stock_client::StockClient;
use three_services::shop::{ChargeRequest, ReleaseRequest, ReserveRequest};
use three_services::{ORDER_ID, asked_to_stop, listen, setting};
use tonic::{Code, Status};
use tracing::{info, warn};
use uuid::Uuid;
use waypost_telemetry::grpc::TracedChannel;
use waypost_telemetry::{set, span};

#[derive(Clone)]
struct Shop {
    stock: StockClient<TracedChannel>,
    payments: PaymentsClient<TracedChannel>,
}

#[derive(Deserialize)]
struct Wish {
    product: String,
    quantity: u32,
    card: String,
}

#[derive(Serialize)]
struct Placed {
    order_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = waypost_telemetry::start("order-service")?;
    // Both connect at their first call, so it does not matter which service starts first.
    let shop = Shop {
        stock: StockClient::new(telemetry.grpc_channel(&setting("STOCK_URL", "http://127.0.0.1:8083"))?),
        payments: PaymentsClient::new(
            telemetry.grpc_channel(&setting("PAYMENTS_URL", "http://127.0.0.1:8082"))?,
        ),
    };
    let app = Router::new()
        .route("/orders", post(place))
        .route("/health", get(async || "OK"))
        .with_state(shop)
        .layer(telemetry.http_server().filter(|request| request.uri.path() != "/health"));
    let listener = listen("orders", "127.0.0.1:8080").await?;
    #[expect(clippy::disallowed_methods, reason = "an example needs none of the limits of a public server")]
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(asked_to_stop())
        .await?;
    Ok(())
}

async fn place(State(shop): State<Shop>, Json(wish): Json<Wish>) -> (StatusCode, Json<Placed>) {
    let order_id = Uuid::now_v7().to_string();
    set(ORDER_ID, order_id.clone());
    let (code, status, reason) = match shop.buy(&order_id, wish).await {
        Ok(()) => (StatusCode::CREATED, "paid", None),
        Err(error) => (answer(error.code()), "failed", Some(error.message().to_owned())),
    };
    info!(order.id = order_id, status, "The order is settled");
    (code, Json(Placed { order_id, status, reason }))
}

impl Shop {
    async fn buy(&self, order_id: &str, wish: Wish) -> Result<(), Status> {
        let (mut stock, mut payments) = (self.stock.clone(), self.payments.clone());
        let Wish { product, quantity, card } = wish;
        let ids = || order_id.to_owned();
        // A step of one's own is a span with a name; the calls inside are spans by themselves.
        let reserve = ReserveRequest { order_id: ids(), product_id: product, quantity };
        let price = span("reserve stock").run(stock.reserve(reserve)).await?.into_inner().price_cents;
        let charge = ChargeRequest { order_id: ids(), cents: price * u64::from(quantity), card };
        let Err(error) = span("take payment").run(payments.charge(charge)).await else { return Ok(()) };
        let release = ReleaseRequest { order_id: ids() };
        if span("give stock back").run(stock.release(release)).await.is_err() {
            warn!(order.id = order_id, "The stock was not given back");
        }
        Err(error)
    }
}

/// What a refusal of stock or payments is to a client.
fn answer(code: Code) -> StatusCode {
    match code {
        Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_GATEWAY,
    }
}
