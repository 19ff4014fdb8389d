//! Calls to another service: under the deadline, behind a breaker, in a span.
//!
//! [`Channel`] takes the place of tonic's. It fails in four ways only: with what the service answered, with
//! `DEADLINE_EXCEEDED` when the time is over, with `UNAVAILABLE` when there is no connection or it broke, and with
//! `UNAVAILABLE` at once while the breaker is shut. It never retries; [`crate::retry`] does, around the typed
//! client.

mod faults;
mod guard;

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri, uri::InvalidUri};
use tonic::{Status, body::Body, transport::Endpoint};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_service::Service;
use waypost_telemetry::{
    Telemetry,
    grpc::{ClientLayer, Connection},
};

use crate::{
    breaker::{self, Breaker},
    deadline,
};
use guard::GuardLayer;

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
    /// A call that had less time than this and ran out of it tells nothing of the target. Otherwise a client that
    /// asks for impossibly short deadlines could shut the breaker for everybody.
    pub counts_timeouts_from: Duration,
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
            counts_timeouts_from: Duration::from_millis(250),
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
}

/// A connection to another service that is made when it is first needed, and made again when it breaks. Cheap to
/// clone; clones share the connection and the breaker.
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
    stack: BoxCloneSyncService<Request<Body>, Response<Body>, Status>,
    breaker: Breaker,
    target: Uri,
}

impl Channel {
    /// A channel to `http://host:port`. Has to be called within a tokio runtime, which drives the connection.
    pub fn connect_lazy(
        telemetry: &Telemetry,
        target: &str,
        options: ChannelOptions,
    ) -> Result<Self, ChannelError> {
        let uri: Uri = target
            .parse()
            .map_err(|source| ChannelError::InvalidTarget { target: target.to_owned(), source })?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ChannelError::UnusableTarget { target: target.to_owned() });
        };
        let breaker = Breaker::new(telemetry, authority.as_str(), options.breaker);
        let endpoint = Endpoint::from(uri.clone())
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout);

        let stack = ServiceBuilder::new()
            // One type of body for the typed clients, whatever the layers below make of it.
            .map_response(|response: Response<_>| response.map(Body::new))
            // Outermost, so that a target that keeps failing costs neither time nor a span.
            .layer(GuardLayer {
                breaker: breaker.clone(),
                counts_timeouts_from: options.counts_timeouts_from,
            })
            // One CLIENT span for each call that is made. Around the deadline, so that a call that ran out of
            // time shows as DEADLINE_EXCEEDED and not as cancelled.
            .layer(ClientLayer::new(telemetry).target(&uri))
            // Around the connection, so that waiting for one counts too.
            .layer(deadline::ClientLayer { longest: options.longest, margin: options.margin })
            // A broken connection is UNAVAILABLE, as in other gRPC implementations; tonic says UNKNOWN.
            .map_response(|response: Response<Body>| response.map(faults::name_body_faults))
            .map_err(faults::of_connection)
            // tonic's channel, which says in its answers whom it is connected to.
            .service(Connection::lazy(&endpoint));
        Ok(Self { stack: BoxCloneSyncService::new(stack), breaker, target: uri })
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
