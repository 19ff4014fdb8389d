//! Channels that are traced from the start, and what they can do beside connecting once: balance over the addresses of
//! a name, encrypt, set deadlines, repeat calls on a budget.
//!
//! From the outside in: a call is given its deadline, then tried (and tried again, where that is allowed), each try is a
//! CLIENT span, and each goes over one connection. A channel to one address without deadline and retries is nothing but
//! its span and its connection.

mod balance;
mod deadline;
mod error;
mod factory;
mod message;
mod resolver;
mod retry;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod tries;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::body::Body;
use tonic::transport;
use tower_service::Service;

pub use error::ChannelError;
pub use factory::ChannelFactory;
pub use resolver::{Resolver, Resolving};
pub use retry::Retries;
#[cfg(feature = "tls")]
pub use tls::ChannelTls;

use super::client::{ClientBody, ClientFuture, ClientService};
use super::connection::{Connection, ConnectionFuture};
use crate::core::handle::Telemetry;
use tries::{Tried, Tries};

/// A gRPC channel whose calls are CLIENT spans; a drop-in for tonic's `Channel`. Cheap to clone.
///
/// Connects at the first call, and again when the connection is lost.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let mut stock = HealthClient::new(telemetry.grpc_channel("http://127.0.0.1:1")?); // nobody is there
/// stock.check(HealthCheckRequest::default()).await.unwrap_err();
/// telemetry.tree().assert_matches(
///     "grpc.health.v1.Health/Check CLIENT order-service ERROR error.type=connection_refused",
/// );
/// # Ok::<(), waypost_telemetry::grpc::ChannelError>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TracedChannel(Way);

#[derive(Clone, Debug)]
enum Way {
    /// To one address, as it comes.
    Plain(ClientService<Connection>),
    Managed(Tries),
}

impl TracedChannel {
    /// A channel to `target`, `http://host:port`, with the options of [`ChannelFactory::new`]; the same as
    /// [`Telemetry::grpc_channel`].
    pub fn new(telemetry: &Telemetry, target: &str) -> Result<Self, ChannelError> {
        ChannelFactory::new(telemetry).open(target)
    }

    fn plain(service: ClientService<Connection>) -> Self {
        Self(Way::Plain(service))
    }

    fn managed(tries: Tries) -> Self {
        Self(Way::Managed(tries))
    }
}

impl Service<Request<Body>> for TracedChannel {
    type Response = Response<ClientBody<Body>>;
    type Error = transport::Error;
    type Future = ChannelFuture;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), transport::Error>> {
        match &mut self.0 {
            Way::Plain(service) => Service::<Request<Body>>::poll_ready(service, task),
            // Each connection is asked when it is called.
            Way::Managed(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ChannelFuture {
        let waiting = match &mut self.0 {
            Way::Plain(service) => Waiting::Plain { future: service.call(request) },
            Way::Managed(tries) => Waiting::Managed { future: tries.call(request) },
        };
        ChannelFuture { waiting }
    }
}

pin_project! {
    /// The response of a [`TracedChannel`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ChannelFuture {
        #[pin]
        waiting: Waiting,
    }
}

pin_project! {
    #[project = WaitingProjection]
    #[allow(clippy::large_enum_variant, reason = "the larger one is the usual one")]
    enum Waiting {
        Plain {
            #[pin]
            future: ClientFuture<ConnectionFuture>,
        },
        Managed {
            future: Tried,
        },
    }
}

impl Future for ChannelFuture {
    type Output = Result<Response<ClientBody<Body>>, transport::Error>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project().waiting.project() {
            WaitingProjection::Plain { future } => future.poll(task),
            WaitingProjection::Managed { future } => future.as_mut().poll(task),
        }
    }
}

impl std::fmt::Debug for ChannelFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelFuture").finish_non_exhaustive()
    }
}
