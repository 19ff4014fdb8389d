//! Users.

use crate::{budget::Budget, caller::Caller, edge::Edge, problem::Answer, query::NoParameters};
use axum::{
    Json,
    extract::{Path, State},
    response::IntoResponse,
};
use waypost_api::attributes::USER_ID;
use waypost_api::{Error, ErrorCode, UserId, http_bodies::UserBody, user::v1::GetUserRequest};

/// Look up a user.
#[utoipa::path(
    get, path = "/api/users/{id}", tag = "users", operation_id = "get_user",
    params(("id" = UserId, Path, description = "The user.")),
    responses((status = 200, description = "The user.", body = UserBody)),
)]
pub(crate) async fn show(
    State(edge): State<Edge>,
    caller: Caller,
    budget: Budget,
    _: NoParameters,
    Path(id): Path<String>,
) -> Answer {
    let id: UserId = id.parse().map_err(|_| Error::of(ErrorCode::UserNotFound))?;
    waypost_telemetry::set(USER_ID, &id);
    caller.act_for(&id)?;
    let user = budget.spend(edge.upstream.user(GetUserRequest { user_id: id.to_string() })).await?;
    Ok(Json(UserBody::try_from(user)?).into_response())
}
