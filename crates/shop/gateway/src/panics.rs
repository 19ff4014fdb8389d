//! A handler that panics is a 500 to its caller, and nothing to anybody else.

use crate::problem::Refusal;
use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use waypost_api::ErrorCode;

/// Without it, the panic would end the connection and with it the other requests of an HTTP/2 peer. Nothing that
/// a half-run request has touched is used again: its state is dropped, what is shared is behind locks and channels.
pub(crate) async fn catch(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| {
        tracing::error!("a handler panicked; the panic hook has written where");
        Refusal::from(ErrorCode::Internal).into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem;
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_panic_is_answered_as_a_problem_that_tells_nothing_of_it() {
        let handler = get(async || -> &'static str { panic!("the till is on fire") });
        let app = Router::new().route("/", handler).layer(from_fn(catch)).layer(from_fn(problem::render));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"code\":\"internal\"") && !text.contains("till"), "{text}");
    }
}
