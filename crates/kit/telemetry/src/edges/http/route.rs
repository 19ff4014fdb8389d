//! Routes of routers that the kit does not know.

use std::borrow::Cow;

use http::Extensions;

use crate::core::exchange::attributes;

/// The template of the route that serves a request, such as `/orders/{id}`: `http.route`, and part of the span's name.
///
/// An extension, for routers other than axum's. On the request, set by whoever routes before the layer runs; or on the
/// response, set by a router that runs behind it, which is then known when the response's head is there: samplers do
/// not see it. From the program's text, never from input.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use http::{Request, Response};
/// use tower::{Layer as _, ServiceExt as _, service_fn};
/// use waypost_telemetry::http::RouteTemplate;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let router = service_fn(async |_: Request<String>| {
///     let mut response = Response::new(String::new());
///     response.extensions_mut().insert(RouteTemplate::new("/orders/{id}"));
///     Ok::<_, std::io::Error>(response)
/// });
/// let telemetry = TestTelemetry::new("shop");
/// let request = Request::get("/orders/7").body(String::new()).unwrap();
/// drop(telemetry.http_server().layer(router).oneshot(request).await);
/// assert_eq!(telemetry.finished_spans()[0].name(), "GET /orders/{id}");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTemplate(Cow<'static, str>);

impl RouteTemplate {
    /// A template such as `/orders/{id}`.
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(template.into())
    }

    /// The template that these extensions carry.
    pub(super) fn of(extensions: &Extensions) -> Option<&str> {
        extensions.get::<Self>().map(|template| &*template.0)
    }
}

/// The route of a request, as far as anybody has said it.
pub(super) fn known_route(extensions: &Extensions) -> Option<&str> {
    RouteTemplate::of(extensions).or_else(|| attributes::matched_route(extensions))
}
