//! HTTP edges: a server layer for axum and a client layer for any tower service.
//!
//! [`ServerLayer`] is the place where a remote caller's context enters, [`ClientLayer`] the place where ours
//! leaves. Both open one span an exchange and end it when the response's body ends or is dropped, record the
//! stable semantic conventions of HTTP, and measure durations whether or not the span was sampled. What an
//! outsider sends cannot grow the number of span names or metric series: unknown methods are `_OTHER`, unknown
//! paths have no route. Left out: request bodies, retries and connection events.

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(any(feature = "actix", feature = "poem", feature = "reqwest-client"))]
mod announced;
mod client;
mod client_span;
mod destinations;
pub mod filters;
mod getters;
mod head;
mod metric_labels;
mod options;
#[cfg(feature = "poem")]
pub mod poem;
#[cfg(feature = "reqwest-client")]
pub mod reqwest;
mod route;
mod server;
mod server_span;
mod sizes;
mod streaming;

pub use crate::core::exchange::forwarded::client_address;
pub use crate::core::exchange::unix_socket::UnixSocket;
pub use client::{ClientBody, ClientFuture, ClientLayer, ClientService, ResendCount, UrlTemplate};
pub use head::{RequestHead, ResponseHead};
pub use metric_labels::MetricLabels;
pub use route::RouteTemplate;
pub use server::{ServerBody, ServerFuture, ServerLayer, ServerService};
pub use streaming::{MeasuredStream, StreamSpan, StreamTimer};

impl crate::core::handle::Telemetry {
    /// The layer of an HTTP server, for `axum::Router::layer`.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("shop");
    /// let app: Router = Router::new().route("/orders/{id}", get(async || "order")).layer(telemetry.http_server());
    /// ```
    pub fn http_server(&self) -> ServerLayer {
        ServerLayer::new(self)
    }

    /// The layer of an HTTP client, around any tower service over `http::Request`.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tower::ServiceBuilder;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("shop");
    /// let transport = tower::service_fn(async |_: Request<String>| Ok::<_, std::io::Error>(Response::new(String::new())));
    /// let calls = ServiceBuilder::new().layer(telemetry.http_client()).service(transport);
    /// # drop(calls);
    /// ```
    pub fn http_client(&self) -> ClientLayer {
        ClientLayer::new(self)
    }
}
