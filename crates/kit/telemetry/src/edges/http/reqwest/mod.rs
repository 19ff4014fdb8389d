//! `reqwest`: a CLIENT span per request, as from the [`ClientLayer`], whose options all hold.
//!
//! Two ways: [`TracedClient`] around a client, and (feature `reqwest-middleware`) [`Tracing`] among the middlewares of
//! `reqwest-middleware`. What reqwest does inside is not seen: a redirect that it follows is part of the one span, and
//! takes the headers along.

#[cfg(feature = "reqwest-middleware")]
mod middleware;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ::reqwest::{Body, Client, Request, RequestBuilder, Response, ResponseBuilderExt as _};
use http::{Extensions, Uri};
use http_body::SizeHint;

#[cfg(feature = "reqwest-middleware")]
pub use middleware::Tracing;

use super::announced::Announced;
use super::client::{ClientEdge, ClientLayer, UrlTemplate};
use crate::core::exchange::{Edge as _, ResponseFuture};

impl ClientLayer {
    /// A `reqwest` client whose requests are CLIENT spans.
    ///
    /// ```no_run
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("payment");
    /// let calls = telemetry.http_client().reqwest(reqwest::Client::new());
    ///
    /// let charge = calls.client().post("http://provider:9095/v1/charges/ch_1/capture").body("amount=4995");
    /// let answer = calls.send_as("/v1/charges/{id}/capture", charge).await?;
    /// let text = answer.text().await?;
    /// # drop(text);
    /// # Ok::<(), reqwest::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reqwest(&self, client: Client) -> TracedClient {
        TracedClient { edge: self.shared_edge(), client }
    }
}

/// A `reqwest` client whose requests are CLIENT spans, from their heads to the ends of the responses' bodies. Made by
/// [`ClientLayer::reqwest`]. Cheap to clone.
///
/// Dropping the future of a request, or a body half read, ends its span as cancelled, which is no error.
#[derive(Clone)]
pub struct TracedClient {
    edge: Arc<ClientEdge>,
    client: Client,
}

impl TracedClient {
    /// The client itself, to build requests with. What it sends by itself has no span.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request; in place of its own `send`.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, ::reqwest::Error> {
        let (client, request) = request.build_split();
        self.sent(client, request?, Extensions::new()).await
    }

    /// As [`send`](Self::send), with the template of the URL's path: it names the span and labels the metrics. From the
    /// program's text, never from input.
    pub async fn send_as(
        &self,
        template: &'static str,
        request: RequestBuilder,
    ) -> Result<Response, ::reqwest::Error> {
        let mut extensions = Extensions::new();
        extensions.insert(UrlTemplate::new(template));
        let (client, request) = request.build_split();
        self.sent(client, request?, extensions).await
    }

    /// Sends a request that was built before; in place of the client's `execute`. Of the extensions a [`UrlTemplate`] and
    /// a [`ResendCount`](super::ResendCount) are looked at, and what closures of the program look for.
    pub async fn execute(
        &self,
        request: Request,
        extensions: Extensions,
    ) -> Result<Response, ::reqwest::Error> {
        self.sent(self.client.clone(), request, extensions).await
    }

    async fn sent(
        &self,
        client: Client,
        request: Request,
        extensions: Extensions,
    ) -> Result<Response, ::reqwest::Error> {
        send(&self.edge, request, extensions, |request| async move { client.execute(request).await }).await
    }
}

impl fmt::Debug for TracedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedClient").field("edge", &self.edge).finish_non_exhaustive()
    }
}

/// Sends a request as one exchange.
async fn send<F, E>(
    edge: &Arc<ClientEdge>,
    mut request: Request,
    extensions: Extensions,
    send: impl FnOnce(Request) -> F,
) -> Result<Response, E>
where
    F: Future<Output = Result<Response, E>>,
    E: 'static,
{
    // reqwest refuses by itself what is no URI.
    let Ok(uri) = request.url().as_str().parse::<Uri>() else { return send(request).await };
    let body = request.body().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint);
    let mut head = http::Request::new(Announced(body));
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = uri;
    *head.version_mut() = request.version();
    *head.headers_mut() = std::mem::take(request.headers_mut());
    *head.extensions_mut() = extensions;
    let exchange = edge.begin(&mut head);
    *request.headers_mut() = std::mem::take(head.headers_mut());
    // The URL at the end of redirects, which the conversions would lose.
    let mut url = None;
    let sending = send(request);
    let answered = async {
        let response = sending.await?;
        url = Some(response.url().clone());
        Ok(http::Response::<Body>::from(response))
    };
    let (mut head, body) = ResponseFuture::new(answered, exchange).await?.into_parts();
    if let Some(url) = url
        && let Ok(tagged) = http::Response::builder().url(url).body(())
    {
        head.extensions.extend(tagged.into_parts().0.extensions);
    }
    Ok(Response::from(http::Response::from_parts(head, Body::wrap(body))))
}
