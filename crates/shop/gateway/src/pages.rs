//! In demo, requests that pages of other sites made in the user's browser are refused.
//!
//! There a caller without a token is the user whom it names, and may look at any order: a page that reached the gateway
//! could do all of that. With tokens it could not, as no browser adds a token of ours by itself.

use crate::{edge::Edge, problem::Refusal};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use waypost_api::{Error, ErrorCode};
use waypost_service::browser::is_foreign;

/// Lets programs and the gateway's own page through.
pub(crate) async fn refuse_foreign(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let Some(names) = &edge.names else { return next.run(request).await };
    if let Err(unknown) = names.check(&request) {
        return Refusal::from(Error::new(ErrorCode::UnknownHost, unknown.to_string())).into_response();
    }
    if is_foreign(&request) {
        return Refusal::from(ErrorCode::CrossSite).into_response();
    }
    next.run(request).await
}
