//! A gRPC service with one method of each kind, written by hand so that the crate needs no code generator.
//!
//! Requests and replies are protobuf `StringValue`s. What the service does is what the request says:
//! `ok`, `panic`, `hang`, the name of a code to fail with, or `two then <code>` for streams.

#![allow(clippy::unwrap_used, reason = "what a helper cannot set up fails the test that asked for it")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use axum::http::{Request as HttpRequest, Response as HttpResponse};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tonic::body::Body;
use tonic::server::{
    ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService, UnaryService,
};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;
use waypost_telemetry::{Telemetry, tenant, trace_id};

pub(crate) type Codec = ProstCodec<String, String>;
type Replies = BoxStream<'static, Result<String, Status>>;

/// The code called `NOT_FOUND`.
pub(crate) fn code(name: &str) -> Code {
    (0..17)
        .map(Code::from_i32)
        .find(|code| spelled(*code) == name)
        .unwrap_or_else(|| panic!("{name} is no code"))
}

/// `NotFound` as `NOT_FOUND`.
pub(crate) fn spelled(code: Code) -> String {
    let mut spelled = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !spelled.is_empty() {
            spelled.push('_');
        }
        spelled.push(letter.to_ascii_uppercase());
    }
    spelled
}

async fn reply(request: String) -> Result<String, Status> {
    match request.as_str() {
        "ok" => Ok("done".to_owned()),
        "who" => Ok(format!("{} {}", Telemetry::current().service_name(), trace_id().unwrap_or_default())),
        "tenant" => Ok(tenant::current().map(|tenant| tenant.to_string()).unwrap_or_default()),
        "hang" => std::future::pending().await,
        "panic" => panic!("as the test wants it"),
        name => Err(Status::new(code(name), "as the test wants it")),
    }
}

/// `two then NOT_FOUND`: two replies, then that end; `two then hang` never ends.
fn replies(request: String) -> Replies {
    let Some(end) = request.strip_prefix("two then ") else {
        return stream::once(reply(request)).boxed();
    };
    let two = stream::iter([Ok("one".to_owned()), Ok("two".to_owned())]);
    let end = end.to_owned();
    let end = stream::once(async move { if end == "ok" { None } else { Some(reply(end).await) } });
    two.chain(end.filter_map(ready)).boxed()
}

#[derive(Clone)]
struct Unary;

impl UnaryService<String> for Unary {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async { Ok(Response::new(reply(request.into_inner()).await?)) })
    }
}

struct ClientStream;

impl ClientStreamingService<String> for ClientStream {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async {
            let mut requests = request.into_inner();
            let mut last = "ok".to_owned();
            while let Some(request) = requests.message().await? {
                last = request;
            }
            Ok(Response::new(reply(last).await?))
        })
    }
}

struct ServerStream;

impl ServerStreamingService<String> for ServerStream {
    type Response = String;
    type ResponseStream = Replies;
    type Future = Ready<Result<Response<Replies>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        ready(Ok(Response::new(replies(request.into_inner()))))
    }
}

struct Bidi;

impl StreamingService<String> for Bidi {
    type Response = String;
    type ResponseStream = Replies;
    type Future = Ready<Result<Response<Replies>, Status>>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let answers = request.into_inner().flat_map(|request| match request {
            Ok(request) => replies(request),
            Err(status) => stream::once(ready(Err(status))).boxed(),
        });
        ready(Ok(Response::new(answers.boxed())))
    }
}

/// The service.
#[derive(Clone)]
pub(crate) struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "it.Echo";
}

impl Service<HttpRequest<Body>> for Echo {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<HttpResponse<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Codec::default());
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match method.as_str() {
                "Unary" => grpc.unary(Unary, request).await,
                "ClientStream" => grpc.client_streaming(ClientStream, request).await,
                "ServerStream" => grpc.server_streaming(ServerStream, request).await,
                "Bidi" => grpc.streaming(Bidi, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

pub(crate) fn routes() -> Routes {
    Routes::new(Echo)
}

/// The four kinds of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ClientStream,
    ServerStream,
    Bidi,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Unary, Self::ClientStream, Self::ServerStream, Self::Bidi];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Unary => "/it.Echo/Unary",
            Self::ClientStream => "/it.Echo/ClientStream",
            Self::ServerStream => "/it.Echo/ServerStream",
            Self::Bidi => "/it.Echo/Bidi",
        }
    }

    /// `rpc.method`.
    pub(crate) fn method(self) -> &'static str {
        &self.path()[1..]
    }

    /// Whether several replies come.
    pub(crate) fn streams_replies(self) -> bool {
        matches!(self, Self::ServerStream | Self::Bidi)
    }
}

/// A client of the service through any channel.
#[derive(Clone)]
pub(crate) struct EchoClient<T> {
    grpc: tonic::client::Grpc<T>,
}

impl<T> EchoClient<T>
where
    T: tonic::client::GrpcService<Body>,
    T::ResponseBody: axum::body::HttpBody<Data = axum::body::Bytes> + Send + 'static,
    <T::ResponseBody as axum::body::HttpBody>::Error: Into<tonic::codegen::StdError> + Send,
{
    pub(crate) fn new(channel: T) -> Self {
        Self { grpc: tonic::client::Grpc::new(channel) }
    }

    /// One call of any kind, read to its end.
    pub(crate) async fn call(&mut self, kind: Kind, request: &str) -> Result<Vec<String>, Status> {
        self.call_with(kind, Request::new(request.to_owned())).await
    }

    pub(crate) async fn call_with(
        &mut self,
        kind: Kind,
        request: Request<String>,
    ) -> Result<Vec<String>, Status> {
        if kind.streams_replies() {
            let mut replies = self.open(kind, request).await?;
            let mut all = Vec::new();
            while let Some(reply) = replies.message().await? {
                all.push(reply);
            }
            return Ok(all);
        }
        self.ready().await?;
        let path = kind.path().parse().unwrap();
        let reply = if kind == Kind::Unary {
            self.grpc.unary(request, path, Codec::default()).await
        } else {
            self.grpc.client_streaming(streamed(request), path, Codec::default()).await
        };
        Ok(vec![reply?.into_inner()])
    }

    /// The replies of a call with several.
    pub(crate) async fn open(
        &mut self,
        kind: Kind,
        request: Request<String>,
    ) -> Result<Streaming<String>, Status> {
        self.ready().await?;
        let path = kind.path().parse().unwrap();
        let replies = if kind == Kind::ServerStream {
            self.grpc.server_streaming(request, path, Codec::default()).await
        } else {
            self.grpc.streaming(streamed(request), path, Codec::default()).await
        };
        Ok(replies?.into_inner())
    }

    /// A call of a path that nobody serves.
    pub(crate) async fn unknown(&mut self, path: &str) -> Status {
        self.ready().await.unwrap();
        let request = Request::new("ok".to_owned());
        self.grpc.unary::<_, String, _>(request, path.parse().unwrap(), Codec::default()).await.unwrap_err()
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::from_error(error.into()))
    }
}

fn streamed(request: Request<String>) -> Request<Pin<Box<dyn futures_util::Stream<Item = String> + Send>>> {
    request.map(|message| stream::iter([message]).boxed())
}
