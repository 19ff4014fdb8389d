//! What the closures of a program see of a request and of a response.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, Method, Request, StatusCode, Uri, response};

use crate::core::exchange::attributes;
use crate::core::exchange::unix_socket::CameBy;

/// The head of a request, for filters, names and attributes.
///
/// ```
/// use waypost_telemetry::{Telemetry, http::RequestHead};
///
/// fn is_traced(request: &RequestHead<'_>) -> bool {
///     request.route.is_some() && !request.headers.contains_key("x-probe")
/// }
///
/// # let telemetry = Telemetry::disabled();
/// let layer = telemetry.http_server().filter(is_traced);
/// # drop(layer);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI as received, or as it is sent.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
    /// On a server the route, as far as it is known before the request is served; on a client the template of the URL.
    pub route: Option<&'a str>,
}

impl<'a> RequestHead<'a> {
    pub(super) fn of<B>(request: &'a Request<B>, route: Option<&'a str>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            route,
        }
    }

    /// The path of the URI.
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// On a server the address that the connection came from, if it is known.
    ///
    /// ```
    /// use waypost_telemetry::Telemetry;
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let is_outsider = |peer: std::net::SocketAddr| !peer.ip().is_loopback();
    /// let layer = telemetry.http_server().public_endpoint_for(move |request| request.peer().is_none_or(is_outsider));
    /// # drop(layer);
    /// ```
    pub fn peer(&self) -> Option<SocketAddr> {
        attributes::peer(self.extensions, CameBy::of(self.extensions))
    }
}

/// The head of a response, for attributes and for what counts as an error.
///
/// ```
/// use waypost_telemetry::{Telemetry, http::ResponseHead};
///
/// fn is_stream(response: &ResponseHead<'_>) -> bool {
///     response.status.is_success() && response.headers.contains_key("x-stream")
/// }
///
/// # let telemetry = Telemetry::disabled();
/// let layer = telemetry.http_server().streams(is_stream);
/// # drop(layer);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn of(head: &'a response::Parts) -> Self {
        Self { status: head.status, headers: &head.headers, extensions: &head.extensions }
    }
}
