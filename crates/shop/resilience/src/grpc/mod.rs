//! Calls to another service: under the deadline, behind a breaker, in a span, to one of its replicas.
//!
//! [`Channel`] takes the place of tonic's. It fails in four ways only: with what the service answered, with
//! `DEADLINE_EXCEEDED` when the time is over, with `UNAVAILABLE` when there is no connection or it broke, and with
//! `UNAVAILABLE` at once while the breaker is shut.
//!
//! A [`Target`] with several replicas gets each call at the less busy one of two that are drawn among those that say
//! that they take calls (`grpc.health.v1`) and whose breakers let calls pass, which is what others call outlier ejection.
//! A call that could not be sent goes on to the next replica. What may have been sent is never repeated here:
//! [`crate::retry`] does that, around the typed client, and finds another replica, as the one that failed has to show
//! first that it is well.

mod address;
mod balance;
mod faults;
mod guard;
mod health;
mod pool;
mod replica;
mod replicas;
mod secured;
mod target;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use tonic::{Status, body::Body};
use tower_service::Service;
use waypost_identity::Outgoing;
use waypost_telemetry::Telemetry;

use crate::{breaker, discovery::Discovery};
pub use address::Address;
use balance::Lines;
pub(crate) use balance::NoReplica;
use replicas::Replicas;
pub use secured::untraced;
pub use target::{ChannelError, Target, check_target};

/// How calls to one target are made.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelOptions {
    /// The most time that any call has, and the time of a call without a deadline.
    pub max: Duration,
    /// What is kept back of the time, so that the answer "too late" arrives in time; at most a quarter of it.
    pub margin: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// After how long without a sign of life a connection that calls wait on is asked for one.
    pub keep_alive_interval: Duration,
    /// How long the connection has to show the sign of life before it is given up.
    pub keep_alive_timeout: Duration,
    /// When to stop calling a target that fails.
    pub breaker: breaker::Settings,
    /// A call that had less time than this and ran out of it tells nothing of the target: the time was short because its
    /// caller wanted it so, and that must not shut the breaker for everybody. Half of what whoever owns the channel gives
    /// a call on its own account.
    pub counts_timeouts_from: Duration,
    /// Connections to the target at most. A server lets so many calls be open on each: times its bound, this is what
    /// can be open at the target at once.
    pub max_connections: usize,
    /// Calls that are open on a connection before a further one is made. RFC 9113 asks servers for no less than 100.
    pub calls_per_connection: usize,
    /// Mutual TLS with the role that is called; none, and connections are plain.
    pub tls: Option<Outgoing>,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            max: Duration::from_secs(10),
            margin: Duration::from_millis(20),
            connect_timeout: Duration::from_secs(1),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(5),
            breaker: breaker::Settings::default(),
            counts_timeouts_from: Duration::from_secs(5),
            max_connections: 16,
            calls_per_connection: 100,
            tls: None,
        }
    }
}

/// Connections to another service that are made when they are first needed, and made again when they break. Cheap to
/// clone; clones share the connections and the breaker.
///
/// ```no_run
/// use waypost_api::user::v1::{GetUserRequest, user_service_client::UserServiceClient};
/// use waypost_resilience::grpc::{Channel, ChannelOptions};
/// # use waypost_telemetry::Telemetry;
/// # async fn example(telemetry: Telemetry) -> Result<(), Box<dyn std::error::Error>> {
/// let channel = Channel::connect_lazy(&telemetry, "http://127.0.0.1:9091", ChannelOptions::default())?;
/// let mut users = UserServiceClient::new(channel.clone());
/// let user = users.get_user(GetUserRequest { user_id: "user123".to_owned() }).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Channel {
    replicas: Arc<Replicas>,
    lines: Arc<Lines>,
}

impl Channel {
    /// A channel to a [`Target`] that needs no registry. Has to be called within a tokio runtime, which drives the
    /// connections.
    pub fn connect_lazy(
        telemetry: &Telemetry,
        target: &str,
        options: ChannelOptions,
    ) -> Result<Self, ChannelError> {
        Self::discover_lazy(&Discovery::default(), telemetry, target, options)
    }

    /// As [`Channel::connect_lazy`], to replicas that are found by this discovery.
    pub fn discover_lazy(
        discovery: &Discovery,
        telemetry: &Telemetry,
        target: &str,
        options: ChannelOptions,
    ) -> Result<Self, ChannelError> {
        let replicas = Arc::new(Replicas::new(discovery, telemetry, target, options)?);
        Ok(Self { replicas, lines: Arc::default() })
    }

    /// The same replicas and the same breakers over connections of its own: for calls that must not wait behind those of
    /// another kind, such as reads behind slow writes.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { replicas: Arc::clone(&self.replicas), lines: Arc::default() }
    }

    /// Each replica that is known at the moment, with the state of its breaker.
    pub fn breakers(&self) -> Vec<(String, breaker::State)> {
        let replicas = self.replicas.current();
        replicas.iter().map(|replica| (replica.address.to_string(), replica.breaker.state())).collect()
    }

    /// Whether the target takes calls, by what it says of itself: at least one of its replicas, where it has several.
    /// The only replica is asked; it answers within the caller's time or not at all. Cancel safe.
    ///
    /// # Errors
    /// What the target says instead, for people.
    pub async fn serving(&self) -> Result<(), String> {
        self.replicas.serving().await
    }

    /// Where the calls go, as it was given.
    pub fn target(&self) -> &str {
        &self.replicas.target
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("target", &self.target()).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    /// Always ready: where a call goes is decided with the call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        balance::call(&self.replicas, &self.lines, request)
    }
}
