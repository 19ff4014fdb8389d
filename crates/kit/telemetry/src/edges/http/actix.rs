//! Servers of `actix-web`: a SERVER span per request, as from the [`ServerLayer`], whose options all hold.
//!
//! actix-web is built on an older version of the crate `http`, so the head of each request is copied. An error that a
//! service returns is counted by its status, and goes on as it is.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as try_ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::ErrorInternalServerError;
use actix_web::{Error, HttpMessage as _};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::announced::Announced;
use super::metric_labels::MetricLabels;
use super::route::RouteTemplate;
use super::server::{ServerBody, ServerEdge, ServerLayer};
use super::streaming::StreamTimer;
use crate::core::exchange::{Edge as _, ResponseFuture};

impl ServerLayer {
    /// The middleware of an actix-web application, for `App::wrap`.
    ///
    /// ```
    /// use actix_web::{App, test, web};
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// # actix_web::rt::System::new().block_on(async {
    /// let telemetry = TestTelemetry::new("shop");
    /// let shop = App::new()
    ///     .route("/orders/{id}", web::get().to(async || "order"))
    ///     .wrap(telemetry.http_server().actix());
    /// let shop = test::init_service(shop).await;
    /// let order = test::TestRequest::get().uri("/orders/7").to_request();
    /// test::call_and_read_body(&shop, order).await;
    /// assert_eq!(telemetry.finished_spans()[0].name(), "GET /orders/{id}");
    /// # });
    /// ```
    pub fn actix(&self) -> Tracing {
        Tracing { edge: self.shared_edge() }
    }
}

/// Makes each request of an actix-web application a SERVER span; made by [`ServerLayer::actix`].
#[derive(Clone)]
pub struct Tracing {
    edge: Arc<ServerEdge>,
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing").field("edge", &self.edge).finish_non_exhaustive()
    }
}

impl<S, B> Transform<S, ServiceRequest> for Tracing
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
    B::Error: 'static,
{
    type Response = ServiceResponse<TracedBody<B>>;
    type Error = Error;
    type Transform = Traced<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Traced { service, edge: Arc::clone(&self.edge) }))
    }
}

/// A service behind [`Tracing`].
pub struct Traced<S> {
    service: S,
    edge: Arc<ServerEdge>,
}

impl<S> fmt::Debug for Traced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("edge", &self.edge).finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for Traced<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
    B::Error: 'static,
{
    type Response = ServiceResponse<TracedBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&self, task: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(task)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let mut head = head_of(&request);
        let mut exchange = self.edge.begin(&mut head);
        take_over(&request, head.extensions_mut());
        let serving = exchange.within(|| self.service.call(request));
        Box::pin(async move {
            let mut kept = None;
            let served = async {
                let served = match serving.await {
                    Ok(response) => {
                        let head = answer_of(&response);
                        let (request, response) = response.into_parts();
                        let (response, body) = response.into_parts();
                        let size = body.size();
                        kept = Some(Ok((request, response, size)));
                        head.map(|()| AsBody::Of { body })
                    }
                    Err(error) => {
                        let mut head = http::Response::new(AsBody::Nothing);
                        *head.status_mut() = status(error.as_response_error().status_code());
                        kept = Some(Err(error));
                        head
                    }
                };
                Ok::<_, Infallible>(served)
            };
            let Ok(served) = ResponseFuture::new(served, exchange).await;
            let (request, mut response, size) = match kept {
                Some(kept) => kept?,
                // The service has answered by now.
                None => return Err(ErrorInternalServerError("there is no response")),
            };
            let (head, body) = served.into_parts();
            add_headers(&head.headers, response.headers_mut());
            Ok(ServiceResponse::new(request, response.set_body(TracedBody { body, size })))
        })
    }
}

/// The head of a request in the words of the crate `http` that the kit is built on.
fn head_of(request: &ServiceRequest) -> http::Request<Announced> {
    let mut head = http::Request::new(Announced::unknown());
    if let Ok(method) = Method::from_bytes(request.method().as_str().as_bytes()) {
        *head.method_mut() = method;
    }
    if let Ok(uri) = Uri::try_from(request.uri().to_string()) {
        *head.uri_mut() = uri;
    }
    *head.version_mut() = match request.version() {
        actix_web::http::Version::HTTP_10 => Version::HTTP_10,
        actix_web::http::Version::HTTP_2 => Version::HTTP_2,
        actix_web::http::Version::HTTP_3 => Version::HTTP_3,
        _ => Version::HTTP_11,
    };
    *head.headers_mut() = headers(request.headers());
    let extensions = head.extensions_mut();
    if let Some(peer) = request.peer_addr() {
        extensions.insert(peer);
    }
    if let Some(pattern) = request.match_pattern() {
        extensions.insert(RouteTemplate::new(pattern));
    }
    head
}

/// Gives handlers what the layer has put into the request for them.
fn take_over(request: &ServiceRequest, extensions: &mut Extensions) {
    if let Some(labels) = extensions.remove::<MetricLabels>() {
        request.extensions_mut().insert(labels);
    }
    if let Some(timer) = extensions.remove::<StreamTimer>() {
        request.extensions_mut().insert(timer);
    }
}

fn answer_of<B>(response: &ServiceResponse<B>) -> http::Response<()> {
    let mut answer = http::Response::new(());
    *answer.status_mut() = status(response.status());
    *answer.headers_mut() = headers(response.headers());
    if let Some(pattern) = response.request().match_pattern() {
        answer.extensions_mut().insert(RouteTemplate::new(pattern));
    }
    answer
}

fn status(status: actix_web::http::StatusCode) -> StatusCode {
    StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn headers(headers: &actix_web::http::header::HeaderMap) -> HeaderMap {
    let copied = headers.iter().filter_map(|(name, value)| {
        let mut copied = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        copied.set_sensitive(value.is_sensitive());
        Some((HeaderName::from_bytes(name.as_str().as_bytes()).ok()?, copied))
    });
    let mut map = HeaderMap::new();
    for (name, value) in copied {
        map.append(name, value);
    }
    map
}

/// Adds the headers that the layer has set.
fn add_headers(from: &HeaderMap, to: &mut actix_web::http::header::HeaderMap) {
    use actix_web::http::header::{HeaderName, HeaderValue};
    for (name, value) in from {
        if to.contains_key(name.as_str()) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            to.insert(name, value);
        }
    }
}

pin_project! {
    /// A body of actix-web as one of the crate `http-body`.
    #[project = AsBodyProjection]
    enum AsBody<B> {
        Of { #[pin] body: B },
        Nothing,
    }
}

impl<B: MessageBody> Body for AsBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            AsBodyProjection::Of { body } => {
                body.poll_next(task).map(|part| part.map(|part| part.map(Frame::data)))
            }
            AsBodyProjection::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Of { body } => body.size().is_eof(),
            Self::Nothing => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Of { body } => match body.size() {
                BodySize::Sized(size) => SizeHint::with_exact(size),
                BodySize::None => SizeHint::with_exact(0),
                BodySize::Stream => SizeHint::new(),
            },
            Self::Nothing => SizeHint::with_exact(0),
        }
    }
}

pin_project! {
    /// The body of a response behind [`Tracing`]; its end is the end of the span.
    pub struct TracedBody<B> {
        #[pin]
        body: ServerBody<AsBody<B>>,
        size: BodySize,
    }
}

impl<B: MessageBody> MessageBody for TracedBody<B>
where
    B::Error: 'static,
{
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let mut body = self.project().body;
        loop {
            match try_ready!(body.as_mut().poll_frame(task)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<B> fmt::Debug for TracedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedBody").field("size", &self.size).finish_non_exhaustive()
    }
}
