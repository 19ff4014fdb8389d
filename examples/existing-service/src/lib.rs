//! A service as many teams have it: axum, sqlx, reqwest, `#[instrument]` and tower-http's `TraceLayer`.
//!
//! What the kit adds is marked with `// kit`: one layer, a pool that is wrapped, and a span with headers around what it
//! asks of another service. Everything else is as it was, and is in the trace all the same.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sqlx::SqlitePool;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing::{Level, info, instrument};
use waypost_telemetry::opentelemetry::Context;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::propagation::{HeaderInjector, inject};
use waypost_telemetry::sqlx::Traced;
use waypost_telemetry::{ErrorType, Telemetry, span};

/// What the routes share.
#[derive(Debug)]
pub struct Shop {
    /// Where orders are kept.
    pub orders: Traced<SqlitePool>, // kit
    /// For calls to the stock service.
    pub client: reqwest::Client,
    /// Its address, without a slash at the end.
    pub stock: String,
}

/// Why an order could not be placed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("the order could not be saved")]
    Database(#[from] sqlx::Error),
    /// The stock service failed.
    #[error("the stock could not be asked")]
    Stock(#[from] reqwest::Error),
}

// kit: `error.type` is that of the source
impl ErrorType for Error {}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

/// The routes.
pub fn app(shop: Shop, telemetry: &Telemetry) -> Router {
    Router::new()
        .route("/orders/{id}", post(place))
        .route("/stock/{id}", get(stock))
        .layer(TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(Level::INFO)))
        .layer(telemetry.http_server()) // kit
        .with_state(Arc::new(shop))
}

/// The client for calls to the stock service.
pub fn client() -> reqwest::Client {
    reqwest::Client::new()
}

/// Makes the table of orders.
pub async fn prepare(orders: &Traced<SqlitePool>) -> Result<(), sqlx::Error> {
    sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY, stock INTEGER NOT NULL)")
        .execute(orders)
        .await?;
    Ok(())
}

#[instrument(skip(shop))]
async fn place(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Result<StatusCode, Error> {
    let left = ask_stock(&shop, id).await?;
    save(&shop.orders, id, left).await?;
    info!(left, "the order is placed");
    Ok(StatusCode::CREATED)
}

#[instrument(skip(shop), fields(stock.left))]
async fn ask_stock(shop: &Shop, id: u32) -> Result<u32, Error> {
    // kit: a client span, whose ids go with the request
    let call = span("GET /stock/{id}").kind(SpanKind::Client).run(async {
        let mut headers = HeaderMap::new();
        inject(&Context::current(), &mut HeaderInjector(&mut headers));
        let answer = shop.client.get(format!("{}/stock/{id}", shop.stock)).headers(headers).send().await?;
        answer.error_for_status()?.text().await
    });
    let left = call.await?.parse().unwrap_or(0);
    tracing::Span::current().record("stock.left", left);
    Ok(left)
}

#[instrument(skip(orders))]
async fn save(orders: &Traced<SqlitePool>, id: u32, left: u32) -> Result<(), Error> {
    let insert = sqlx::query("INSERT INTO orders (id, stock) VALUES (?, ?)").bind(id).bind(left);
    insert.execute(orders).await?;
    Ok(())
}

#[instrument]
async fn stock(Path(id): Path<u32>) -> Result<Json<u32>, StatusCode> {
    info!("counting");
    if id == 404 { Err(StatusCode::NOT_FOUND) } else { Ok(Json(3)) }
}
