//! The operator's routes: reads requests, writes JSON, nothing else.

use super::{
    Operator,
    report::{Acted, OrderReport, StuckOrders},
};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use waypost_api::{Amount, OrderId};
use waypost_service::operator::{Asked, Body, Refusal};

/// Orders of one page.
const PAGE_SIZE: u32 = 50;

type Answer<T> = Result<Json<T>, Refusal>;

/// The routes of an operator on the admin listener, to be put behind [`waypost_service::operator::guarded`].
pub fn routes(operator: Operator) -> Router {
    Router::new()
        .route("/operator/orders/stuck", get(stuck))
        .route("/operator/orders/{id}", get(show))
        .route("/operator/orders/{id}/retry", post(retry))
        .route("/operator/orders/{id}/abandon", post(abandon))
        .route("/operator/orders/{id}/refund", post(refund))
        .with_state(operator)
}

/// Where a page begins.
#[derive(Debug, Deserialize)]
struct After {
    after: Option<String>,
}

async fn stuck(
    State(operator): State<Operator>,
    Query(After { after }): Query<After>,
) -> Answer<StuckOrders> {
    let after = after.as_deref().map(read_id).transpose()?;
    operator.stuck(after, PAGE_SIZE).await.map(Json)
}

async fn show(State(operator): State<Operator>, Path(id): Path<String>) -> Answer<OrderReport> {
    operator.show(read_id(&id)?).await.map(Json)
}

async fn retry(
    State(operator): State<Operator>,
    Path(id): Path<String>,
    Body(asked): Body<Asked>,
) -> Answer<Acted> {
    asked.check()?;
    operator.retry(read_id(&id)?, asked).await.map(Json)
}

async fn abandon(
    State(operator): State<Operator>,
    Path(id): Path<String>,
    Body(asked): Body<Asked>,
) -> Answer<Acted> {
    asked.check()?;
    operator.abandon(read_id(&id)?, asked).await.map(Json)
}

/// A wish to give money back; all that is left without an amount.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    by: String,
    reason: String,
    amount: Option<Amount>,
}

async fn refund(
    State(operator): State<Operator>,
    Path(id): Path<String>,
    Body(RefundBody { by, reason, amount }): Body<RefundBody>,
) -> Answer<Acted> {
    let asked = Asked { by, reason };
    asked.check()?;
    operator.refund(read_id(&id)?, amount.map(Amount::ten_thousandths), asked).await.map(Json)
}

fn read_id(text: &str) -> Result<OrderId, Refusal> {
    let read = OrderId::parse(text);
    read.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", "this is no id of an order"))
}
