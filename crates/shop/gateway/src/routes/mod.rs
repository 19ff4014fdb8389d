//! The handlers, a file a thing.
//!
//! Each takes what it needs from the request (which checks it), asks the services within the request's budget, and
//! answers. utoipa reads the same declarations for the OpenAPI document, so a route cannot be in one and not the
//! other.

mod docs;
mod health;
mod login;
mod orders;
mod products;
mod users;

use crate::{edge::Edge, openapi};
use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// All routes and what their handlers declare.
pub(crate) fn all() -> (Router<Edge>, OpenApi) {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(orders::create, orders::list))
        .routes(routes!(orders::show))
        .routes(routes!(orders::cancel))
        .routes(routes!(users::show))
        .routes(routes!(products::show))
        .routes(routes!(login::login))
        .routes(routes!(health::health))
        .routes(routes!(docs::document))
        .routes(routes!(docs::page))
        .routes(routes!(docs::file))
        .routes(routes!(docs::errors))
        .split_for_parts()
}
