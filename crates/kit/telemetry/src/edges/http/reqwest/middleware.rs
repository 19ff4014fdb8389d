//! Among the middlewares of `reqwest-middleware`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ::reqwest::{Method, Request, Response, Url};
use http::Extensions;
use reqwest_middleware::{Error, Middleware, Next};

use super::send;
use crate::edges::http::client::{ClientEdge, ClientLayer, ResendCount};

impl ClientLayer {
    /// A middleware that makes each try of a request a CLIENT span.
    ///
    /// Behind a middleware that retries, so that each try passes it; those after the first have
    /// `http.request.resend_count`. A [`UrlTemplate`](crate::http::UrlTemplate) among the request's extensions names the
    /// span.
    ///
    /// ```
    /// use reqwest_middleware::ClientBuilder;
    /// use waypost_telemetry::testing::TestTelemetry;
    /// use waypost_telemetry::http::UrlTemplate;
    ///
    /// let telemetry = TestTelemetry::new("payment");
    /// let client = ClientBuilder::new(reqwest::Client::new())
    ///     // .with(RetryTransientMiddleware::new_with_policy(policy))
    ///     .with(telemetry.http_client().reqwest_middleware())
    ///     .build();
    /// let charge = client.post("http://provider:9095/v1/charges/ch_1/capture");
    /// let charge = charge.with_extension(UrlTemplate::new("/v1/charges/{id}/capture"));
    /// # drop(charge);
    /// ```
    pub fn reqwest_middleware(&self) -> Tracing {
        Tracing { edge: self.shared_edge() }
    }
}

/// Makes each request that passes it a CLIENT span; made by [`ClientLayer::reqwest_middleware`].
#[derive(Clone)]
pub struct Tracing {
    edge: Arc<ClientEdge>,
}

/// How often a request has passed: kept among its extensions, which its tries share.
#[derive(Clone)]
struct Passed {
    method: Method,
    url: Url,
    times: u32,
}

impl Passed {
    /// Counts a try; returns how many were before. Extensions that are used for another request begin anew.
    fn count(extensions: &mut Extensions, request: &Request) -> u32 {
        let before = extensions.get::<Self>();
        let before =
            before.filter(|before| before.method == *request.method() && before.url == *request.url());
        let times = before.map_or(0, |before| before.times);
        let (method, url) = (request.method().clone(), request.url().clone());
        extensions.insert(Self { method, url, times: times.saturating_add(1) });
        times
    }
}

impl Middleware for Tracing {
    fn handle<'this, 'extensions, 'next, 'all>(
        &'this self,
        request: Request,
        extensions: &'extensions mut Extensions,
        next: Next<'next>,
    ) -> Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'all>>
    where
        'this: 'all,
        'extensions: 'all,
        'next: 'all,
        Self: 'all,
    {
        Box::pin(async move {
            let resent = Passed::count(extensions, &request);
            let mut seen = extensions.clone();
            if seen.get::<ResendCount>().is_none() {
                seen.insert(ResendCount(resent));
            }
            send(&self.edge, request, seen, |request| next.run(request, extensions)).await
        })
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing").field("edge", &self.edge).finish_non_exhaustive()
    }
}
