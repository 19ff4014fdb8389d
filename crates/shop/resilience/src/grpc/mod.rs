//! Calls to another service: under the deadline, behind a breaker, in a span.
//!
//! [`Channel`] takes the place of tonic's. It fails in four ways only: with what the service answered, with
//! `DEADLINE_EXCEEDED` when the time is over, with `UNAVAILABLE` when there is no connection or it broke, and with
//! `UNAVAILABLE` at once while the breaker is shut. It never retries; [`crate::retry`] does, around the typed
//! client.

mod faults;
mod guard;
mod pool;

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    Request, Response, Uri,
    uri::{Authority, InvalidUri},
};
use tonic::{Status, body::Body, transport::Endpoint};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_service::Service;
use waypost_telemetry::{Telemetry, grpc::ClientLayer};

use crate::{
    breaker::{self, Breaker},
    deadline,
};
use guard::GuardLayer;
use pool::{Pool, PooledBody};

/// How calls to one target are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelOptions {
    /// The most time that any call has, and the time of a call without a deadline.
    pub longest: Duration,
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
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            longest: Duration::from_secs(10),
            margin: Duration::from_millis(20),
            connect_timeout: Duration::from_secs(1),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(5),
            breaker: breaker::Settings::default(),
            counts_timeouts_from: Duration::from_secs(5),
            max_connections: 16,
            calls_per_connection: 100,
        }
    }
}

/// No channel can be made to the target.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The target is not a URI.
    #[error("cannot read the target {target:?} as http://host:port")]
    InvalidTarget {
        /// The target as it was given.
        target: String,
        /// What is wrong with it.
        #[source]
        source: InvalidUri,
    },
    /// The target is a URI, but not one that a plain connection can be made to.
    #[error("the target {target:?} is not of the form http://host:port")]
    UnusableTarget {
        /// The target as it was given.
        target: String,
    },
    /// The target asks for TLS.
    #[error(
        "the target {target:?} asks for TLS, which is not spoken between services: give http://host:port, and \
         let a proxy or a mesh beside each service encrypt"
    )]
    TlsTarget {
        /// The target as it was given.
        target: String,
    },
}

/// What a target has to be for a [`Channel`]: `http://host:port`. For a check of settings, before anything is bound.
pub fn check_target(target: &str) -> Result<(), ChannelError> {
    parse_target(target).map(|_| ())
}

fn parse_target(target: &str) -> Result<(Uri, Authority), ChannelError> {
    let uri: Uri =
        target.parse().map_err(|source| ChannelError::InvalidTarget { target: target.to_owned(), source })?;
    let has_only_authority = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match (uri.scheme_str(), uri.authority().filter(|authority| !authority.host().is_empty())) {
        (Some("http"), Some(authority)) if has_only_authority => {
            let authority = authority.clone();
            Ok((uri, authority))
        }
        (Some("https"), _) => Err(ChannelError::TlsTarget { target: target.to_owned() }),
        _ => Err(ChannelError::UnusableTarget { target: target.to_owned() }),
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
    stack: Stack,
    breaker: Breaker,
    target: Uri,
    telemetry: Telemetry,
    options: ChannelOptions,
}

type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

impl Channel {
    /// A channel to `http://host:port`. Has to be called within a tokio runtime, which drives the connection.
    pub fn connect_lazy(
        telemetry: &Telemetry,
        target: &str,
        options: ChannelOptions,
    ) -> Result<Self, ChannelError> {
        let (target, authority) = parse_target(target)?;
        let breaker = Breaker::new(telemetry, authority.as_str(), options.breaker);
        let stack = stack(telemetry, &target, &options, &breaker);
        Ok(Self { stack, breaker, target, telemetry: telemetry.clone(), options })
    }

    /// The same target and the same breaker over connections of its own: for calls that must not wait behind those of
    /// another kind, such as reads behind slow writes.
    #[must_use]
    pub fn apart(&self) -> Self {
        let stack = stack(&self.telemetry, &self.target, &self.options, &self.breaker);
        Self { stack, ..self.clone() }
    }

    /// The breaker of the target.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Where the calls go.
    pub fn target(&self) -> &Uri {
        &self.target
    }
}

fn stack(telemetry: &Telemetry, target: &Uri, options: &ChannelOptions, breaker: &Breaker) -> Stack {
    let endpoint = Endpoint::from(target.clone())
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(options.keep_alive_interval)
        .keep_alive_timeout(options.keep_alive_timeout);
    let stack = ServiceBuilder::new()
        // One type of body for the typed clients, whatever the layers below make of it.
        .map_response(|response: Response<_>| response.map(Body::new))
        // Outermost, so that a target that keeps failing costs neither time nor a span.
        .layer(GuardLayer { breaker: breaker.clone(), counts_timeouts_from: options.counts_timeouts_from })
        // One CLIENT span for each call that is made. Around the deadline, so that a call that ran out of time
        // shows as DEADLINE_EXCEEDED and not as cancelled.
        .layer(ClientLayer::new(telemetry).target(target))
        // Around the connections, so that waiting for one counts too.
        .layer(deadline::ClientLayer { longest: options.longest, margin: options.margin })
        // A broken connection is UNAVAILABLE, as in other gRPC implementations; tonic says UNKNOWN.
        .map_response(|response: Response<PooledBody>| response.map(faults::name_body_faults))
        .map_err(faults::of_connection)
        // tonic's channels, which say in their answers whom they are connected to.
        .service(Pool::new(endpoint, options.max_connections, options.calls_per_connection));
    BoxCloneSyncService::new(stack)
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.target)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future =
        <BoxCloneSyncService<Request<Body>, Response<Body>, Status> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.stack.call(request)
    }
}
