//! What surrounds every answer of the viewer's listeners.

use crate::{problem::Problem, room::Room};
use axum::{
    Router,
    http::{HeaderName, header},
    middleware::{from_fn, map_response},
    response::IntoResponse as _,
};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, Predicate as _, SizeAbove},
    },
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

/// Bytes below which an answer is sent as it stands: it fits into a packet.
const PACKED_FROM: u16 = 1024;

/// As [`around`], for the listener that people and programs ask: answers are packed for those who say that they can
/// unpack them, and large ones take their room while they are read. Live tails are not packed, as each of their events
/// is to arrive at once.
pub(crate) fn around_answers(router: Router, room: Room) -> Router {
    let held = map_response(move |answer| {
        let room = room.clone();
        async move { room.admit(answer) }
    });
    let is_worth_it = DefaultPredicate::new().and(SizeAbove::new(PACKED_FROM));
    // The fast end of brotli: an answer is packed for one reader.
    let packed = CompressionLayer::new().quality(CompressionLevel::Precise(4)).compress_when(is_worth_it);
    around(router.layer(held).layer(packed))
}

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
