//! A small HTTP/1.1 client for the gateway and the admin listener: one kept-alive connection, one request at a time.
//!
//! For the load generator, which must cost little beside what it measures, for the first order of `up`, and for the
//! commands of operators. The
//! connection is driven by the task that waits for the answer: no pool, no second task, no lock. What is left
//! out: TLS, redirects, proxies, retries.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Names a request, so that sending it again makes no second order.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// An answer of the gateway is far smaller; more is refused.
const LARGEST_ANSWER: usize = 1 << 20;

/// Where the gateway is: an `http://host:port` URL, resolved once.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    host: HeaderValue,
    addresses: Vec<SocketAddr>,
}

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("`{0}` is not a URL of the form http://host:port")]
    NotAUrl(String),
    #[error("`{0}` asks for something else than http://host:port; https and paths are not supported")]
    Unsupported(String),
    #[error("cannot find the address of {host}")]
    Unknown {
        host: String,
        #[source]
        source: io::Error,
    },
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Target, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::NotAUrl(url.to_owned()))?;
        let host = uri.host().ok_or_else(|| TargetError::NotAUrl(url.to_owned()))?.to_owned();
        let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if uri.scheme_str() != Some("http") || has_path || authority.contains('@') {
            return Err(TargetError::Unsupported(url.to_owned()));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (bare, uri.port_u16().unwrap_or(80))
            .to_socket_addrs()
            .map_err(|source| TargetError::Unknown { host: host.clone(), source })?;
        let header = HeaderValue::from_str(authority).map_err(|_| TargetError::NotAUrl(url.to_owned()))?;
        Ok(Target { host: header, addresses: addresses.collect() })
    }
}

impl Target {
    /// True when every address of the target is of this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the connection was lost before the answer was complete")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the request cannot be written as HTTP")]
    Request(#[from] http::Error),
    #[error("{user} cannot log in: {status} {code}")]
    Login { user: &'static str, status: StatusCode, code: String },
}

impl ClientError {
    /// The class of the error, beside the gateway's own codes.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ClientError::Connect(_) => "client:connect_failed",
            ClientError::Lost(_) => "client:connection_lost",
            ClientError::TimedOut(_) => "client:timed_out",
            ClientError::Request(_) => "client:bad_request",
            ClientError::Login { .. } => "client:login_failed",
        }
    }
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A text member of the JSON body.
    pub(crate) fn text(&self, member: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        body.get(member)?.as_str().map(str::to_owned)
    }
}

/// One connection to the gateway, opened when it is first needed and again after it broke.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    target: &'a Target,
    max_wait: Duration,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    connection: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// Why an exchange brought no answer.
enum Unanswered {
    /// Nothing of the request has left; it can be sent again on another connection.
    Unsent(Box<Request<Full<Bytes>>>),
    Lost(ClientError),
}

impl<'a> Client<'a> {
    /// `max_wait` bounds each exchange, connecting included.
    pub(crate) fn new(target: &'a Target, max_wait: Duration) -> Client<'a> {
        Client { target, max_wait, open: None }
    }

    /// Posts JSON and waits for the whole answer.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        json: Bytes,
        bearer: Option<&HeaderValue>,
    ) -> Result<Answer, ClientError> {
        self.send(Method::POST, path, json, bearer, None).await
    }

    /// The same with an `Idempotency-Key`.
    pub(crate) async fn post_once(
        &mut self,
        path: &str,
        json: Bytes,
        bearer: Option<&HeaderValue>,
        key: Option<HeaderValue>,
    ) -> Result<Answer, ClientError> {
        self.send(Method::POST, path, json, bearer, key).await
    }

    /// Sends JSON, or nothing, and waits for the whole answer.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        json: Bytes,
        bearer: Option<&HeaderValue>,
    ) -> Result<Answer, ClientError> {
        self.send(method, path, json, bearer, None).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        json: Bytes,
        bearer: Option<&HeaderValue>,
        key: Option<HeaderValue>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.target.host.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        let request = request.body(Full::new(json))?;
        let answer = tokio::time::timeout(self.max_wait, self.exchange(request)).await;
        let answer = answer.unwrap_or(Err(ClientError::TimedOut(self.max_wait)));
        if answer.is_err() {
            // What is left of the broken exchange must not be taken for the next answer.
            self.open = None;
        }
        answer
    }

    /// Logs a user in; the value of the `Authorization` header to use from then on.
    pub(crate) async fn log_in(
        &mut self,
        user: &'static str,
        password: &str,
    ) -> Result<HeaderValue, ClientError> {
        let body = serde_json::json!({ "user_id": user, "password": password }).to_string();
        let answer = self.post("/api/login", body.into(), None).await?;
        let token = answer.text("access_token");
        let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        let code = answer.text("code").unwrap_or_default();
        header.ok_or(ClientError::Login { user, status: answer.status, code })
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let unsent = match &mut self.open {
            Some(open) => match open.exchange(request).await {
                Ok(answer) => return Ok(answer),
                // The server closed the connection while it was idle.
                Err(Unanswered::Unsent(request)) => *request,
                Err(Unanswered::Lost(error)) => return Err(error),
            },
            None => request,
        };
        let fresh = Open::connect(self.target).await?;
        match self.open.insert(fresh).exchange(unsent).await {
            Ok(answer) => Ok(answer),
            Err(Unanswered::Unsent(_)) => Err(ClientError::Lost("closed as soon as it was opened".into())),
            Err(Unanswered::Lost(error)) => Err(error),
        }
    }
}

impl Open {
    async fn connect(target: &Target) -> Result<Open, ClientError> {
        let stream = TcpStream::connect(target.addresses.as_slice()).await.map_err(ClientError::Connect)?;
        stream.set_nodelay(true).map_err(ClientError::Connect)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| ClientError::Lost(error.into()))?;
        Ok(Open { sender, connection: Some(connection) })
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Unanswered> {
        let sending = self.sender.try_send_request(request);
        let response =
            driven(&mut self.connection, sending).await.map_err(|mut error| match error.take_message() {
                Some(request) => Unanswered::Unsent(Box::new(request)),
                None => Unanswered::Lost(ClientError::Lost(error.into_error().into())),
            })?;
        let status = response.status();
        let reading = Limited::new(response.into_body(), LARGEST_ANSWER).collect();
        let body = driven(&mut self.connection, reading).await;
        let body = body.map_err(|error| Unanswered::Lost(ClientError::Lost(error)))?;
        Ok(Answer { status, body: body.to_bytes() })
    }
}

/// Polls the connection beside `work`, which makes progress only when the connection does. A connection that has
/// ended is dropped, which is how hyper tells whoever still waits on it.
async fn driven<C, F>(connection: &mut Option<C>, work: F) -> F::Output
where
    C: Future + Unpin,
    F: Future,
{
    let mut work = pin!(work);
    poll_fn(|context: &mut Context<'_>| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(context).is_ready()) {
            *connection = None;
        }
        // The connection may have just received what `work` waits for.
        work.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_loopback_only_when_each_address_is() {
        assert!("http://127.0.0.1:8080".parse::<Target>().unwrap().is_loopback());
        assert!("http://[::1]:8080/".parse::<Target>().unwrap().is_loopback());
        assert!(!"http://192.0.2.1:8080".parse::<Target>().unwrap().is_loopback());
        assert!(!"http://0.0.0.0:8080".parse::<Target>().unwrap().is_loopback());
    }

    #[test]
    fn what_is_no_plain_http_address_is_refused() {
        for url in
            ["https://127.0.0.1:8080", "http://127.0.0.1/api", "127.0.0.1:8080", "/", "http://u:p@127.0.0.1"]
        {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
    }
}
