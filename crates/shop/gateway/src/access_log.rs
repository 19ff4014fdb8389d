//! One line a request: for failures at `info`, for all else at `debug`, as spans and metrics tell the rest.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use std::time::Instant;

/// Writes the line when the head of the answer is known.
pub(crate) async fn write(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // The route and not the path: paths carry ids.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let status = response.status().as_u16();
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    if status >= 500 {
        tracing::info!(%method, route, status, milliseconds, "request failed");
    } else {
        tracing::debug!(%method, route, status, milliseconds, "request answered");
    }
    response
}
