//! Channels that are traced from the start, and one place where their options stand.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use http::{Request, Response, Uri, uri::InvalidUri};
use tonic::body::Body;
use tonic::transport::{self, Channel, Endpoint};
use tower_layer::Layer;
use tower_service::Service;

use super::client::{ClientBody, ClientFuture, ClientLayer, ClientService};
use super::connection::{Connection, ConnectionFuture};
use crate::core::handle::Telemetry;

/// No channel could be made. Nothing was connected yet: a server that is away shows at the first call.
///
/// ```
/// use waypost_telemetry::{Telemetry, grpc::{ChannelError, TracedChannel}};
///
/// let refused = TracedChannel::new(&Telemetry::disabled(), "stock:9090");
/// assert!(matches!(refused, Err(ChannelError::Incomplete { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The target is not a URI.
    #[error("`{target}` is not a target of the form `http://host:port`")]
    InvalidUri {
        /// What was asked for.
        target: String,
        /// What is wrong with it.
        #[source]
        source: InvalidUri,
    },
    /// The target is a URI without scheme or host.
    #[error("`{target}` is not a target of the form `http://host:port`: it names no scheme or no host")]
    Incomplete {
        /// What was asked for.
        target: String,
    },
    /// The user agent is not a header value.
    #[error("cannot set the user agent")]
    UserAgent(#[source] transport::Error),
    /// A channel drives its connection by tasks and was asked for outside a tokio runtime.
    #[error("a gRPC channel needs a tokio runtime")]
    NoRuntime,
}

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
pub struct TracedChannel {
    service: ClientService<Connection>,
}

impl TracedChannel {
    /// A channel to `target`, `http://host:port`, with the options of [`ChannelFactory::new`]; the same as
    /// [`Telemetry::grpc_channel`].
    pub fn new(telemetry: &Telemetry, target: &str) -> Result<Self, ChannelError> {
        ChannelFactory::new(telemetry).open(target)
    }
}

impl Service<Request<Body>> for TracedChannel {
    type Response = Response<ClientBody<Body>>;
    type Error = transport::Error;
    type Future = ClientFuture<ConnectionFuture>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), transport::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.service, task)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.service.call(request)
    }
}

/// Makes the channels of a program with the same options, each target connected once.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::time::Duration;
/// use waypost_telemetry::{Telemetry, grpc::ChannelFactory};
///
/// # let telemetry = Telemetry::disabled();
/// let channels = ChannelFactory::new(&telemetry)
///     .connect_timeout(Duration::from_secs(1))
///     .target("payment", "http://127.0.0.1:9093");
///
/// let by_name = channels.channel("payment")?;
/// let by_uri = channels.channel("http://127.0.0.1:9092")?;
/// # drop((by_name, by_uri));
/// # Ok::<(), waypost_telemetry::grpc::ChannelError>(())
/// # }).unwrap();
/// ```
pub struct ChannelFactory {
    layer: ClientLayer,
    targets: HashMap<String, String>,
    connect_timeout: Duration,
    call_timeout: Option<Duration>,
    keep_alive: Option<KeepAlive>,
    user_agent: String,
    local_address: Option<IpAddr>,
    adjust: Option<Arc<dyn Fn(Endpoint) -> Endpoint + Send + Sync>>,
    open: Mutex<HashMap<String, TracedChannel>>,
}

#[derive(Clone, Copy, Debug)]
struct KeepAlive {
    interval: Duration,
    timeout: Duration,
}

impl ChannelFactory {
    /// Channels under a telemetry handle: 3 s to connect, no limit of a call's time, a ping after 20 s of silence
    /// while calls run, 5 s for its answer.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            layer: ClientLayer::new(telemetry),
            targets: HashMap::new(),
            connect_timeout: Duration::from_secs(3),
            call_timeout: None,
            keep_alive: Some(KeepAlive {
                interval: Duration::from_secs(20),
                timeout: Duration::from_secs(5),
            }),
            user_agent: product(telemetry),
            local_address: None,
            adjust: None,
            open: Mutex::default(),
        }
    }

    /// A name for a target, `http://host:port`.
    #[must_use]
    pub fn target(mut self, name: impl Into<String>, uri: impl Into<String>) -> Self {
        self.targets.insert(name.into(), uri.into());
        self
    }

    /// How long connecting may take.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call may take until its response's head, whatever deadline the caller has.
    ///
    /// ```
    /// use std::time::Duration;
    /// use waypost_telemetry::{Telemetry, grpc::ChannelFactory};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let channels = ChannelFactory::new(&telemetry)
    ///     .call_timeout(Duration::from_secs(2))
    ///     .keep_alive(Duration::from_secs(30), Duration::from_secs(5))
    ///     .user_agent("shop/1.2")
    ///     .local_address(None)
    ///     .traced(|layer| layer.baggage(false).filter(|method| method != "shop.v1.Stock/Ping"))
    ///     .endpoint(|endpoint| endpoint.tcp_nodelay(true));
    /// # drop(channels);
    /// ```
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = Some(timeout);
        self
    }

    /// After how much silence a connection with calls on it is asked whether it lives, and how long it has to answer.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive = Some(KeepAlive { interval, timeout });
        self
    }

    /// What stands before tonic's own name in the `user-agent`: name and version of the service unless it is said
    /// here, and the name of the kit where those are no tokens of HTTP.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// Changes how calls are traced: what is sent along, filtered, captured.
    #[must_use]
    pub fn traced(mut self, change: impl FnOnce(ClientLayer) -> ClientLayer) -> Self {
        self.layer = change(self.layer);
        self
    }

    /// The address that connections come from.
    #[must_use]
    pub fn local_address(mut self, address: Option<IpAddr>) -> Self {
        self.local_address = address;
        self
    }

    /// Changes anything else of tonic's endpoint, last: windows, limits, TLS. Its `local_address` has no effect, as it
    /// cannot be read back; [`local_address`](Self::local_address) has.
    #[must_use]
    pub fn endpoint(mut self, adjust: impl Fn(Endpoint) -> Endpoint + Send + Sync + 'static) -> Self {
        self.adjust = Some(Arc::new(adjust));
        self
    }

    /// The channel to a named target or a URI; the same one every time.
    pub fn channel(&self, target: &str) -> Result<TracedChannel, ChannelError> {
        let uri = self.targets.get(target).map_or(target, String::as_str);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(uri) {
            return Ok(channel.clone());
        }
        let channel = self.open(uri)?;
        open.insert(uri.to_owned(), channel.clone());
        Ok(channel)
    }

    fn open(&self, target: &str) -> Result<TracedChannel, ChannelError> {
        let invalid = |source| ChannelError::InvalidUri { target: target.to_owned(), source };
        let uri: Uri = target.parse().map_err(invalid)?;
        if uri.scheme().is_none() || uri.host().is_none_or(str::is_empty) {
            return Err(ChannelError::Incomplete { target: target.to_owned() });
        }
        // tonic would panic when it starts the task that drives the connection.
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ChannelError::NoRuntime);
        }
        let endpoint = self.configured(Channel::builder(uri.clone()))?;
        let connection = Connection::lazy_from(&endpoint, self.local_address);
        let (connection, peer) = connection.without_extension();
        Ok(TracedChannel { service: self.layer.clone().target(&uri).peer(peer).layer(connection) })
    }

    fn configured(&self, endpoint: Endpoint) -> Result<Endpoint, ChannelError> {
        let mut endpoint = endpoint.connect_timeout(self.connect_timeout).tcp_nodelay(true);
        if let Some(timeout) = self.call_timeout {
            endpoint = endpoint.timeout(timeout);
        }
        if let Some(KeepAlive { interval, timeout }) = self.keep_alive {
            endpoint = endpoint.http2_keep_alive_interval(interval).keep_alive_timeout(timeout);
        }
        endpoint = endpoint.user_agent(self.user_agent.clone()).map_err(ChannelError::UserAgent)?;
        Ok(match &self.adjust {
            Some(adjust) => adjust(endpoint),
            None => endpoint,
        })
    }
}

/// The service as a product of RFC 9110: `name/version`.
fn product(telemetry: &Telemetry) -> String {
    let is_token = |text: &str| {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_token)
    };
    let name = telemetry.service_name();
    if !is_token(name) {
        return concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned();
    }
    let version = telemetry.resource().iter().find(|attribute| attribute.key.as_str() == "service.version");
    match version.map(|version| version.value.as_str()) {
        Some(version) if is_token(&version) => format!("{name}/{version}"),
        _ => name.to_owned(),
    }
}

impl fmt::Debug for ChannelFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelFactory").field("targets", &self.targets).finish_non_exhaustive()
    }
}
