//! A sign of life for outsiders. Whether the gateway should be given work is told on the admin port.

use crate::{problem::Answer, query::NoParameters};
use axum::{Json, response::IntoResponse};
use waypost_api::http_bodies::HealthBody;

/// Whether the gateway answers.
#[utoipa::path(
    get, path = "/api/health", tag = "system", operation_id = "get_health",
    responses((status = 200, description = "It answers.", body = HealthBody)),
)]
pub(crate) async fn health(_: NoParameters) -> Answer {
    Ok(Json(HealthBody { status: "healthy".to_owned() }).into_response())
}
