//! The operator's hand: routes on the admin listener that look into a role and change it.
//!
//! For roles that have something to be looked at or put right. Their routes are [`crate::App::admin`]; the binary
//! merges those of all roles of a process behind [`guarded`].
//!
//! Invariants:
//! - they answer this machine alone, whatever address the admin listener has, and no page of a browser: whoever
//!   reaches them can pay money back;
//! - each action says who asked for it and why ([`Asked`]).
//!
//! Left out: who that is. Whoever may run commands on the machine is believed.

use axum::{
    Json, Router,
    extract::{ConnectInfo, FromRequest, Request},
    http::{HeaderMap, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::net::{IpAddr, SocketAddr};

/// Longest name of somebody who asks, in characters.
const MAX_NAME: usize = 64;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Who asks for an action, and why. Recorded with the action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Asked {
    /// Refuses what says nothing, what is too long, and what would mislead whoever reads it in a terminal.
    pub fn check(&self) -> Result<(), Refusal> {
        for (name, text, max) in [("by", &self.by, MAX_NAME), ("reason", &self.reason, MAX_REASON)] {
            let length = text.chars().count();
            let is_plain = !text.chars().any(char::is_control);
            if text.trim().is_empty() || length > max || !is_plain {
                let detail = format!("`{name}` must be 1 to {max} characters of plain text");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", detail));
            }
        }
        Ok(())
    }
}

/// Why nothing was done: the body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// The status it is answered with.
    #[serde(skip)]
    pub status: StatusCode,
    /// For programs.
    pub code: String,
    /// For people.
    pub detail: String,
}

impl Refusal {
    /// A refusal with this status.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), detail: detail.into() }
    }

    /// There is no such thing here.
    pub fn not_found(detail: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "not_found", detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

/// A JSON body. What cannot be read is refused as everything else here is.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Refusal> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(rejected) => Err(Refusal::new(rejected.status(), "invalid_request", rejected.body_text())),
        }
    }
}

/// Lets in requests of this machine that no page of a browser can have made.
pub fn guarded(routes: Router) -> Router {
    routes.layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    match check(peer, request.headers(), request.uri()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check(peer: Option<IpAddr>, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
    let refused = |detail: &str| Err(Refusal::new(StatusCode::FORBIDDEN, "not_local", detail));
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return refused("operators ask from the machine itself, over loopback");
    }
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return refused("pages of a browser are not answered");
    }
    // A name that was made to point here (DNS rebinding) is not one of ours.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    if authority.is_some_and(is_loopback) { Ok(()) } else { refused("the Host is not a loopback address") }
}

/// Whether a `Host` is `localhost` or a loopback address, with or without a port.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn checked(peer: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        check(peer.parse().ok(), &headers, &Uri::from_static("/operator/orders")).is_ok()
    }

    #[test]
    fn only_this_machine_may_ask() {
        let host = [("host", "127.0.0.1:9464")];
        assert!(checked("127.0.0.1", &host));
        assert!(checked("::1", &host));
        assert!(checked("::ffff:127.0.0.1", &host));
        assert!(!checked("192.0.2.1", &host));
        assert!(!checked("", &host));
    }

    #[test]
    fn a_page_of_a_browser_may_not_ask() {
        assert!(!checked("127.0.0.1", &[("host", "localhost:9464"), ("origin", "http://evil.example")]));
        assert!(!checked("127.0.0.1", &[("host", "localhost"), ("sec-fetch-site", "same-origin")]));
        assert!(!checked("127.0.0.1", &[("host", "evil.example:9464")]));
        assert!(!checked("127.0.0.1", &[]));
        assert!(checked("127.0.0.1", &[("host", "[::1]:9464")]));
    }

    #[test]
    fn an_action_says_who_asks_and_why_in_plain_text() {
        let asked = |by: &str, reason: &str| Asked { by: by.to_owned(), reason: reason.to_owned() }.check();
        assert!(asked("ann", "the provider is back").is_ok());
        for (by, reason) in [("", "why"), ("ann", " "), ("ann", "a\u{1b}[2J"), (&"a".repeat(65), "why")] {
            assert!(asked(by, reason).is_err(), "{by:?} {reason:?}");
        }
    }
}
