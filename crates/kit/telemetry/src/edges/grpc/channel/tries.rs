//! A call and its tries: each a CLIENT span over one connection, within the deadline of the call.
//!
//! A call that surely was not sent, because no connection could be made, goes on to the next replica without a wait and
//! without the budget. Any other failure is repeated only as [`Retries`] says.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, request::Parts};
use tonic::body::Body;
use tonic::{Code, Status, transport};
use tower_layer::Layer as _;
use tower_service::Service;

use super::balance::{self, Balance};
use super::deadline::Deadline;
use super::message::Message;
use super::retry::{Budget, Pushback, Retries};
use crate::edges::grpc::client::{ClientBody, ClientLayer};
use crate::edges::grpc::connection::Connection;
use crate::edges::grpc::status;

type Answer = Result<Response<ClientBody<Body>>, transport::Error>;

/// The future of a call.
pub(super) type Tried = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// How often the call was tried before (gRFC A6).
static PREVIOUS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// A channel that manages its calls. Clones share its connections and its budget.
#[derive(Clone)]
pub(super) struct Tries(Arc<Managed>);

struct Managed {
    layer: ClientLayer,
    reach: Reach,
    deadline: Option<Duration>,
    retries: Option<(Retries, Budget)>,
}

/// Where calls go.
#[derive(Clone)]
pub(super) enum Reach {
    One(Connection),
    Name(Balance),
}

impl Tries {
    pub(super) fn new(
        layer: ClientLayer,
        reach: Reach,
        deadline: Option<Duration>,
        retries: Option<Retries>,
    ) -> Self {
        let retries = retries.map(|retries| {
            let budget = Budget::of(&retries);
            (retries, budget)
        });
        Self(Arc::new(Managed { layer, reach, deadline, retries }))
    }

    pub(super) fn call(&self, request: Request<Body>) -> Tried {
        let managed = Arc::clone(&self.0);
        let (head, body) = request.into_parts();
        // The deadline runs from here on, whenever the call is first polled.
        let deadline = Deadline::of(&head.headers, managed.deadline);
        Box::pin(async move {
            let mut body = Some(body);
            let message =
                std::future::poll_fn(|task| Poll::Ready(Message::of(body.take().unwrap_or_default(), task)));
            let message = message.await;
            managed.run(head, message, deadline).await
        })
    }
}

impl Managed {
    async fn run(&self, head: Parts, mut message: Message, deadline: Option<Deadline>) -> Answer {
        let path = head.uri.path();
        let method = path.strip_prefix('/').unwrap_or(path);
        let retries = self.retries.as_ref().filter(|(retries, _)| retries.may_repeat_method(method));
        if let Some((_, budget)) = &self.retries {
            budget.deposit();
        }
        let route = Route { reach: self.reach.clone(), deadline, tried: Arc::default() };
        let (mut sent, mut repeated) = (0, 1);
        let mut next = message.body();
        loop {
            let body = next.take().unwrap_or_default();
            let request = again(&head, body, sent, deadline);
            let answer = self.layer.layer(route.clone()).call(request).await;
            sent += 1;
            let Some((code, pushback, was_not_sent)) = failure(&answer) else { return answer };
            let wait = if was_not_sent && route.has_others() {
                Some(Duration::ZERO)
            } else {
                let wait = retries.and_then(|(retries, _)| retries.wait_after(repeated, code, pushback));
                let wait = wait.filter(|wait| deadline.is_none_or(|deadline| deadline.remaining() > *wait));
                wait.filter(|_| retries.is_some_and(|(_, budget)| budget.withdraw()))
                    .inspect(|_| repeated += 1)
            };
            let Some(wait) = wait else { return answer };
            next = message.body();
            if next.is_none() {
                return answer;
            }
            // The try that failed is over before the next one begins.
            drop(answer);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// A request of the same head.
fn again(head: &Parts, body: Body, sent: u32, deadline: Option<Deadline>) -> Request<Body> {
    let mut request = Request::from_parts(head.clone(), body);
    if let Some(deadline) = deadline {
        deadline.announce(request.headers_mut());
    }
    if sent > 0 {
        request.headers_mut().insert(PREVIOUS.clone(), HeaderValue::from(sent));
    }
    request
}

/// Why a try failed before any message came: its code, what the server says of trying again, and whether it surely was
/// not sent. `None` for all else.
fn failure(answer: &Answer) -> Option<(Code, Pushback, bool)> {
    match answer {
        Ok(response) => {
            let by_http = || (!response.status().is_success()).then(|| status::of_http(response.status()));
            let code = status::read(response.headers()).or_else(by_http).filter(|code| *code != Code::Ok)?;
            let was_not_sent = response.extensions().get::<NotSent>().is_some();
            Some((code, Pushback::of(response.headers()), was_not_sent))
        }
        Err(error) => {
            let mut chain = std::iter::successors(error.source(), |&error| error.source());
            let was_not_sent = chain.any(<dyn Error>::is::<tonic::ConnectError>);
            // tonic says UNKNOWN of a connection that broke; other implementations, and the callers of this, UNAVAILABLE.
            Some((Code::Unavailable, Pushback::Silent, was_not_sent))
        }
    }
}

/// An answer that was made here, because the call could not be sent.
#[derive(Clone)]
struct NotSent;

/// One way of a try: draws a replica and sends the request there.
#[derive(Clone)]
struct Route {
    reach: Reach,
    deadline: Option<Deadline>,
    /// The replicas that this call was not sent to.
    tried: Arc<std::sync::Mutex<Vec<std::net::SocketAddr>>>,
}

impl Route {
    /// Whether there is a replica that was not tried.
    fn has_others(&self) -> bool {
        match &self.reach {
            Reach::One(_) => false,
            Reach::Name(balance) => self.tried().len() < balance.len(),
        }
    }

    fn tried(&self) -> std::sync::MutexGuard<'_, Vec<std::net::SocketAddr>> {
        self.tried.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Body>, transport::Error> {
        let balance = match self.reach {
            Reach::One(connection) => return balance::send(connection, request).await,
            Reach::Name(ref balance) => balance,
        };
        let tried = self.tried().clone();
        let replica = match balance.draw(&tried).await {
            Ok(replica) => replica,
            Err(error) => return Ok(unresolved(&error)),
        };
        let (connection, busy) = replica.take();
        let answer = balance::send(connection, request).await;
        if failure_of_connection(&answer) {
            balance.doubt(&replica);
            self.tried().push(replica.address());
        }
        Ok(answer?.map(|body| Body::new(Counted { body, _busy: busy })))
    }
}

fn failure_of_connection(answer: &Result<Response<Body>, transport::Error>) -> bool {
    answer.is_err()
}

/// The answer to a call whose target has no address.
fn unresolved(error: &std::io::Error) -> Response<Body> {
    let text = match error.kind() {
        std::io::ErrorKind::TimedOut => "the lookup of the target's name took too long",
        _ => "the target's name has no address",
    };
    let mut answer = Status::unavailable(text).into_http();
    answer.extensions_mut().insert(NotSent);
    answer
}

impl Service<Request<Body>> for Route {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, transport::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), transport::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (deadline, sending) = (self.deadline, self.clone().send(request));
        Box::pin(async move {
            match deadline {
                Some(deadline) => deadline.bound(sending).await,
                None => sending.await,
            }
        })
    }
}

pin_project_lite::pin_project! {
    /// A body whose end is the end of a call at a replica.
    struct Counted {
        #[pin]
        body: Body,
        _busy: balance::Busy,
    }
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        self.project().body.poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

impl fmt::Debug for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tries").field("retries", &self.0.retries.is_some()).finish_non_exhaustive()
    }
}
