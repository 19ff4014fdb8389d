//! Rules over requests, to be put together: for filters, for the border, for whatever asks a yes or no of a request.
//!
//! Each function gives a closure, so a rule of one's own stands among them as it is.
//!
//! ```
//! use axum::{Router, routing::get};
//! use http::Method;
//! use waypost_telemetry::http::filters::{and, method, not, or, path, path_prefix};
//!
//! # let telemetry = waypost_telemetry::Telemetry::disabled();
//! let noise = or(path("/health"), and(method(Method::OPTIONS), path_prefix("/api")));
//! let app: Router = Router::new()
//!     .route("/health", get(async || "ok"))
//!     .layer(telemetry.http_server().filter(not(noise)));
//! ```

use std::borrow::Cow;

use http::{HeaderName, Method};

use super::head::RequestHead;
use crate::core::exchange::attributes::{self, Host};

/// Where `rule` does not hold.
pub fn not<F: Fn(&RequestHead<'_>) -> bool>(rule: F) -> impl Fn(&RequestHead<'_>) -> bool {
    move |request: &RequestHead<'_>| !rule(request)
}

/// Where both hold; the second is asked only where the first does.
pub fn and<F, G>(first: F, second: G) -> impl Fn(&RequestHead<'_>) -> bool
where
    F: Fn(&RequestHead<'_>) -> bool,
    G: Fn(&RequestHead<'_>) -> bool,
{
    move |request: &RequestHead<'_>| first(request) && second(request)
}

/// Where one of both holds; the second is asked only where the first does not.
pub fn or<F, G>(first: F, second: G) -> impl Fn(&RequestHead<'_>) -> bool
where
    F: Fn(&RequestHead<'_>) -> bool,
    G: Fn(&RequestHead<'_>) -> bool,
{
    move |request: &RequestHead<'_>| first(request) || second(request)
}

/// Requests for this path.
pub fn path(path: impl Into<Cow<'static, str>>) -> impl Fn(&RequestHead<'_>) -> bool {
    let path = path.into();
    move |request: &RequestHead<'_>| request.path() == path
}

/// Requests for this path and those below it: `/internal` and `/internal/jobs`, not `/internals`.
pub fn path_prefix(prefix: impl Into<Cow<'static, str>>) -> impl Fn(&RequestHead<'_>) -> bool {
    let prefix = prefix.into();
    move |request: &RequestHead<'_>| {
        let rest = request.path().strip_prefix(prefix.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Requests of this route, as the router writes it.
pub fn route(template: impl Into<Cow<'static, str>>) -> impl Fn(&RequestHead<'_>) -> bool {
    let template = template.into();
    move |request: &RequestHead<'_>| request.route == Some(&*template)
}

/// Requests with this method.
pub fn method(method: Method) -> impl Fn(&RequestHead<'_>) -> bool {
    move |request: &RequestHead<'_>| *request.method == method
}

/// Requests to this host, without regard to case and whatever the port.
pub fn host(name: impl Into<Cow<'static, str>>) -> impl Fn(&RequestHead<'_>) -> bool {
    let name = name.into();
    move |request: &RequestHead<'_>| {
        let authority = attributes::authority(request.uri, request.headers);
        authority.is_some_and(|authority| Host::of(&authority).address.eq_ignore_ascii_case(&name))
    }
}

/// Requests with this header, whatever it says.
pub fn header(name: HeaderName) -> impl Fn(&RequestHead<'_>) -> bool {
    move |request: &RequestHead<'_>| request.headers.contains_key(&name)
}

/// Requests with a header that says just this.
pub fn header_is(name: HeaderName, value: impl Into<Cow<'static, str>>) -> impl Fn(&RequestHead<'_>) -> bool {
    let value = value.into();
    move |request: &RequestHead<'_>| {
        request.headers.get_all(&name).iter().any(|said| said.as_bytes() == value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, header};

    use super::*;

    fn holds(rule: impl Fn(&RequestHead<'_>) -> bool, request: &Request<()>) -> bool {
        rule(&RequestHead::of(request, Some("/orders/{id}")))
    }

    #[test]
    fn each_rule_looks_at_its_part_of_the_request() {
        let request = Request::post("/orders/7?page=1").header("host", "Shop.example:8080");
        let request = request.header("x-plan", "free").header("x-plan", "gold").body(()).unwrap();
        let plan = HeaderName::from_static("x-plan");
        assert!(holds(path("/orders/7"), &request) && !holds(path("/orders"), &request));
        assert!(holds(route("/orders/{id}"), &request) && !holds(route("/orders/7"), &request));
        assert!(holds(method(Method::POST), &request) && !holds(method(Method::GET), &request));
        assert!(holds(host("shop.EXAMPLE"), &request) && !holds(host("shop"), &request));
        assert!(holds(header(plan.clone()), &request) && !holds(header(header::COOKIE), &request));
        assert!(holds(header_is(plan.clone(), "gold"), &request) && !holds(header_is(plan, "g"), &request));
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        for (prefix, is_below) in [
            ("/orders", true),
            ("/orders/", true),
            ("/order", false),
            ("", true),
            ("/", true),
            ("/orders/7/8", false),
        ] {
            let request = Request::get("/orders/7").body(()).unwrap();
            assert_eq!(holds(path_prefix(prefix), &request), is_below, "{prefix}");
        }
    }

    #[test]
    fn rules_are_put_together() {
        let request = Request::get("/orders/7").body(()).unwrap();
        let (yes, no) = (|| path("/orders/7"), || path("/"));
        assert!(holds(and(yes(), not(no())), &request) && !holds(and(yes(), no()), &request));
        assert!(holds(or(no(), yes()), &request) && !holds(or(no(), |_: &RequestHead<'_>| false), &request));
    }
}
