//! Headers that tell a browser to do as little as possible with an answer.

use axum::http::{HeaderName, header};

/// OWASP REST security cheat sheet. No `Strict-Transport-Security`: TLS ends in front of the gateway.
pub(crate) static HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    // Orders and tokens are nobody's to keep.
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
