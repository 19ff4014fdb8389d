//! What the closures of a program see of a request and of a response.

use http::{Extensions, HeaderMap, Method, Request, Uri};

/// The head of a request, for filters.
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
    /// On a server the matched route, if the layer runs behind a router; on a client the template of the URL.
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
}
