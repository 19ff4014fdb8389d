//! What surrounds every answer of the viewer's listeners.

use crate::problem::Problem;
use axum::{
    Router,
    http::{HeaderName, header},
    middleware::from_fn,
    response::IntoResponse as _,
};
use waypost_service::answers::{add_headers, catch_panics};

/// Tell a browser to do as little as possible with an answer. The page needs nothing but its own files: whatever a span
/// says, no script, style or request of another origin can come of it.
static HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Wraps a finished router: the last thing that is done to it.
pub(crate) fn around(router: Router) -> Router {
    router
        .layer(from_fn(|request, next| catch_panics(|| Problem::internal().into_response(), request, next)))
        .layer(from_fn(|request, next| add_headers(&HEADERS, request, next)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, extract::Request, routing::get};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_panic_is_answered_as_a_problem_that_tells_nothing_of_it() {
        let handler = get(async || -> &'static str { panic!("the till is on fire") });
        let app = around(Router::new().route("/", handler));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("urn:waypost:viewer:internal") && !text.contains("till"), "{text}");
    }
}
