//! Login: a password for a token.

use crate::{
    address, body::JsonBody, budget::Budget, edge::Edge, problem::Answer, query::NoParameters, rate,
    tokens::Principal,
};
use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap},
    response::IntoResponse,
};
use waypost_api::attributes::USER_ID;
use waypost_api::{
    Error,
    http_bodies::{LoginBody, TokenBody, parse_login},
    user::v1::AuthenticateRequest,
};

/// Log in.
///
/// The token goes into `Authorization: Bearer <token>` of further requests.
#[utoipa::path(
    post, path = "/api/login", tag = "users", operation_id = "login", request_body = LoginBody,
    responses((status = 200, description = "A token.", body = TokenBody)),
)]
pub(crate) async fn login(
    State(edge): State<Edge>,
    extensions: Extensions,
    budget: Budget,
    _: NoParameters,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Answer {
    let LoginBody { user_id, password } = parse_login(&body)?;
    waypost_telemetry::set(USER_ID, &user_id);
    let address = address::client(&extensions, &headers, &edge.trusted_proxies);
    rate::count_login(&edge, address).await?;
    let request = AuthenticateRequest {
        user_id: user_id.to_string(),
        password: password.expose().to_owned(),
        client_address: address.to_string(),
    };
    let user = budget.spend(edge.upstream.authenticate(request)).await?;
    let user_id = user.user_id.parse().map_err(|_| Error::internal())?;
    let access_token = edge.tokens.issue(&Principal { user_id, is_admin: user.is_admin })?;
    let token_type = "Bearer".to_owned();
    Ok(Json(TokenBody { access_token, token_type, expires_in: edge.tokens.lifetime().as_secs() })
        .into_response())
}
