//! What surrounds every answer of an HTTP listener: a handler's panic, and headers.
//!
//! For `axum::middleware::from_fn`; the roles say how their 500 looks and which headers they want.

use axum::{extract::Request, middleware::Next, response::Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue};
use std::panic::AssertUnwindSafe;

/// Answers for a handler that panics.
///
/// Without it, the panic would end the connection and with it the other requests of an HTTP/2 peer. Nothing that a
/// half-run request has touched is used again: its state is dropped, what is shared is behind locks and channels.
pub async fn catch_panics(answer: fn() -> Response, request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        tracing::error!("a handler panicked; the panic hook has written where");
        answer()
    })
}

/// Adds each header that the answer does not already have.
pub async fn add_headers(
    headers: &'static [(HeaderName, &'static str)],
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in headers {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware::from_fn, response::IntoResponse as _, routing::get};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_panic_is_answered_and_every_answer_has_the_headers() {
        static HEADERS: [(HeaderName, &str); 2] =
            [(http::header::CACHE_CONTROL, "no-store"), (http::header::CONTENT_TYPE, "text/nothing")];
        let answer = || (http::StatusCode::INTERNAL_SERVER_ERROR, "sorry").into_response();
        let handler = get(async || -> &'static str { panic!("the till is on fire") });
        let app = Router::new()
            .route("/", handler)
            .layer(from_fn(move |request, next| catch_panics(answer, request, next)))
            .layer(from_fn(|request, next| add_headers(&HEADERS, request, next)));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_ne!(response.headers()["content-type"], "text/nothing", "its own header stays");
        assert_eq!(axum::body::to_bytes(response.into_body(), 99).await.unwrap(), "sorry");
    }
}
