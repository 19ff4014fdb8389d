//! How a browser gets its cookie: by a link that holds the token, such as the `/?token=...` that the viewer prints, or by
//! a form.
//!
//! The form is sent to the page that was asked for, so that a link to a trace leads there after the token was given. The
//! token leaves the address bar at once: both ways end with a redirect to an address without it.

use super::token::Token;
use crate::problem::Problem;
use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

/// Bytes of the form.
const FORM_SIZE: usize = 4096;

const PAGE: &str = include_str!("login.html");

/// What the form says above its field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    None,
    Wrong,
}

/// The cookie's name holds the port, as the cookies of all ports of a host are sent to each of them.
pub(super) fn cookie_name(port: u16) -> String {
    format!("waypost_viewer_{port}")
}

/// True for the link and for the form.
pub(super) fn is_attempt(request: &Request) -> bool {
    let is_form = request.headers().get(header::CONTENT_TYPE).is_some_and(|content_type| {
        content_type.as_bytes().starts_with(b"application/x-www-form-urlencoded")
    });
    (request.method() == Method::POST && is_form)
        || (request.method() == Method::GET && has_token(request.uri()))
}

/// True for the link: a page with `token` in its address.
pub(super) fn has_token(uri: &Uri) -> bool {
    let is_page = !["/api/", "/zipkin/", "/assets/"].iter().any(|other| uri.path().starts_with(other));
    is_page && token_in(uri.query().unwrap_or_default().as_bytes()).is_some()
}

fn token_in(form: &[u8]) -> Option<String> {
    form_urlencoded::parse(form).find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
}

/// The cookie and the way back to where the browser was going; `Err` when the token is wrong.
pub(super) async fn answer(
    request: Request,
    token: &Token,
    cookie_name: &str,
    base_path: &str,
) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let given = if parts.method == Method::POST {
        let form =
            to_bytes(body, FORM_SIZE).await.map_err(|_| Problem::too_large(FORM_SIZE).into_response())?;
        token_in(&form)
    } else {
        token_in(parts.uri.query().unwrap_or_default().as_bytes())
    };
    if !given.is_some_and(|given| token.is(given.trim())) {
        return Err(page(Note::Wrong));
    }
    let cookie = format!("{cookie_name}={}; Path=/; HttpOnly; SameSite=Strict", token.cookie());
    let headers = [
        (header::SET_COOKIE, cookie),
        (header::LOCATION, format!("{base_path}{}", way_back(&parts.uri))),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// The page that was asked for, without the token.
fn way_back(uri: &Uri) -> String {
    let path = uri.path();
    // `//host` and `/\host` would lead a browser to another host.
    if !path.starts_with('/') || path.starts_with("//") || path.starts_with("/\\") {
        return "/".to_owned();
    }
    let pairs = uri.query().unwrap_or_default().split('&');
    let kept: Vec<&str> =
        pairs.filter(|pair| !pair.is_empty() && token_in(pair.as_bytes()).is_none()).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// The form.
pub(super) fn page(note: Note) -> Response {
    let note = match note {
        Note::None => "",
        Note::Wrong => "<p role=\"alert\"><strong>This is not the token.</strong></p>",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // With `no-referrer` a browser sends the form with `Origin: null`, and it would be taken for a foreign one.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"waypost viewer\"")),
    ];
    (StatusCode::UNAUTHORIZED, headers, PAGE.replace("<!-- note -->", note)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_on_this_host_and_forgets_the_token() {
        let back = |uri: &str| way_back(&uri.parse().unwrap());
        assert_eq!(back("/trace/abc?span=1"), "/trace/abc?span=1");
        assert_eq!(back("/?token=secret"), "/");
        assert_eq!(back("/search?service=a&token=secret&root=true"), "/search?service=a&root=true");
        assert_eq!(back("/search?%74oken=secret"), "/search", "however it is escaped");
        assert_eq!(back("//evil.example/"), "/");
        assert_eq!(back("/"), "/");
    }
}
