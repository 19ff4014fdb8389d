//! Servers of `poem`: a SERVER span per request, as from the [`ServerLayer`], whose options all hold.
//!
//! poem finds the route behind its middlewares, so it is known when the response is; samplers do not see it. An error
//! that an endpoint returns is counted by its status, and goes on as it is to whoever catches it outside.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use ::poem::{Endpoint, Error, IntoResponse as _, Middleware, PathPattern, Request, Response, Result};

use super::announced::Announced;
use super::route::RouteTemplate;
use super::server::{ServerEdge, ServerLayer};
use crate::core::exchange::{Edge as _, ResponseFuture};

impl ServerLayer {
    /// The middleware of a poem server, around all of its routes.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use poem::{Endpoint as _, EndpointExt as _, Request, Route, endpoint::make_sync, get};
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("shop");
    /// let shop = Route::new()
    ///     .at("/orders/:id", get(make_sync(|_| "order")))
    ///     .with(telemetry.http_server().poem());
    /// shop.get_response(Request::builder().uri_str("/orders/7").finish()).await;
    /// assert_eq!(telemetry.finished_spans()[0].name(), "GET /orders/:id");
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn poem(&self) -> Tracing {
        Tracing { edge: self.shared_edge() }
    }
}

/// Makes each request of a poem server a SERVER span; made by [`ServerLayer::poem`].
#[derive(Clone)]
pub struct Tracing {
    edge: Arc<ServerEdge>,
}

impl<E: Endpoint> Middleware<E> for Tracing {
    type Output = Traced<E>;

    fn transform(&self, endpoint: E) -> Traced<E> {
        Traced { endpoint, edge: Arc::clone(&self.edge) }
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing").field("edge", &self.edge).finish_non_exhaustive()
    }
}

/// An endpoint behind [`Tracing`].
pub struct Traced<E> {
    endpoint: E,
    edge: Arc<ServerEdge>,
}

impl<E: Endpoint> Endpoint for Traced<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let exchange = {
            let mut head = http::Request::new(Announced::unknown());
            *head.method_mut() = request.method().clone();
            *head.uri_mut() = request.original_uri().clone();
            *head.version_mut() = request.version();
            *head.headers_mut() = std::mem::take(request.headers_mut());
            *head.extensions_mut() = std::mem::take(request.extensions_mut());
            if let Some(peer) = request.remote_addr().as_socket_addr() {
                head.extensions_mut().insert(*peer);
            }
            let exchange = self.edge.begin(&mut head);
            *request.headers_mut() = std::mem::take(head.headers_mut());
            *request.extensions_mut() = std::mem::take(head.extensions_mut());
            exchange
        };
        let mut refused = None;
        let served = async {
            let mut response = match self.endpoint.call(request).await {
                Ok(response) => response.into_response(),
                Err(error) => stand_in(refused.insert(error)),
            };
            if let Some(PathPattern(pattern)) = response.data() {
                let route = RouteTemplate::new(pattern.to_string());
                response.extensions_mut().insert(route);
            }
            Ok::<_, Infallible>(http::Response::from(response))
        };
        let Ok(served) = ResponseFuture::new(served, exchange).await;
        match refused {
            Some(error) => Err(error),
            None => Ok(Response::from(served)),
        }
    }
}

impl<E> fmt::Debug for Traced<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("edge", &self.edge).finish_non_exhaustive()
    }
}

/// What an error will be answered with, as far as the span has to know.
fn stand_in(error: &Error) -> Response {
    let mut response = Response::from(error.status());
    if let Some(pattern) = error.data::<PathPattern>() {
        response.set_data(pattern.clone());
    }
    response
}
