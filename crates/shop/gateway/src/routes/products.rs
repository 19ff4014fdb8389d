//! The catalogue.

use crate::{budget::Budget, edge::Edge, problem::Answer, query::NoParameters};
use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use waypost_api::attributes::PRODUCT_ID;
use waypost_api::{Error, ErrorCode, ProductId, http_bodies::ProductBody, inventory::v1::CheckStockRequest};

/// Look up a product: its price, and how many can be had.
#[utoipa::path(
    get, path = "/api/products/{id}", tag = "products", operation_id = "get_product",
    params(("id" = ProductId, Path, description = "The product.")),
    responses((status = 200, description = "The product.", body = ProductBody)),
)]
pub(crate) async fn show(
    State(edge): State<Edge>,
    budget: Budget,
    _: NoParameters,
    Path(id): Path<String>,
) -> Answer {
    let id: ProductId = id.parse().map_err(|_| Error::of(ErrorCode::ProductNotFound))?;
    waypost_telemetry::set(PRODUCT_ID, &id);
    let product =
        budget.spend(edge.upstream.product(CheckStockRequest { product_id: id.to_string() })).await?;
    Ok(Json(ProductBody::try_from(product)?).into_response())
}
