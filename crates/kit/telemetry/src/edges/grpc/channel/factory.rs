//! The options of channels, in one place.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use tonic::transport::{Channel, Endpoint};
use tower_layer::Layer as _;

use super::balance::Balance;
use super::resolver::{Resolver, System};
use super::retry::Retries;
use super::target::Target;
#[cfg(feature = "tls")]
use super::tls::{ChannelTls, Secured};
use super::tries::{Reach, Tries};
use super::{ChannelError, TracedChannel};
#[cfg(unix)]
use crate::core::exchange::unix_socket::UnixSocket;
use crate::core::handle::Telemetry;
use crate::edges::grpc::client::ClientLayer;
use crate::edges::grpc::connection::Connection;

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
    dial: Dial,
    deadline: Option<Duration>,
    retries: Option<Retries>,
    resolver: Arc<dyn Resolver>,
    refresh: Duration,
    open: Mutex<HashMap<String, TracedChannel>>,
}

/// How one connection is made.
#[derive(Clone)]
struct Dial {
    connect_timeout: Duration,
    call_timeout: Option<Duration>,
    keep_alive: Option<KeepAlive>,
    user_agent: String,
    local_address: Option<IpAddr>,
    adjust: Option<Arc<dyn Fn(Endpoint) -> Endpoint + Send + Sync>>,
    #[cfg(feature = "tls")]
    tls: Option<Secured>,
}

#[derive(Clone, Copy, Debug)]
struct KeepAlive {
    interval: Duration,
    timeout: Duration,
}

impl ChannelFactory {
    /// Channels under a telemetry handle: 3 s to connect, no limit of a call's time, a ping after 20 s of silence
    /// while calls run, 5 s for its answer; no deadline, no retries, no TLS.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            layer: ClientLayer::new(telemetry),
            targets: HashMap::new(),
            dial: Dial {
                connect_timeout: Duration::from_secs(3),
                call_timeout: None,
                keep_alive: Some(KeepAlive {
                    interval: Duration::from_secs(20),
                    timeout: Duration::from_secs(5),
                }),
                user_agent: product(telemetry),
                local_address: None,
                adjust: None,
                #[cfg(feature = "tls")]
                tls: None,
            },
            deadline: None,
            retries: None,
            resolver: Arc::new(System),
            refresh: Duration::from_secs(30),
            open: Mutex::default(),
        }
    }

    /// A name for a target: `http://host:port` and `https://host:port`, one connection each; `dns:///host:port`, one to
    /// every address of the name, over which the calls are balanced; `unix:/path`, one to a Unix-domain socket of this
    /// machine, which is never encrypted.
    #[must_use]
    pub fn target(mut self, name: impl Into<String>, uri: impl Into<String>) -> Self {
        self.targets.insert(name.into(), uri.into());
        self
    }

    /// How long connecting may take.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.dial.connect_timeout = timeout;
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
        self.dial.call_timeout = Some(timeout);
        self
    }

    /// After how much silence a connection with calls on it is asked whether it lives, and how long it has to answer.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.dial.keep_alive = Some(KeepAlive { interval, timeout });
        self
    }

    /// What stands before tonic's own name in the `user-agent`: name and version of the service unless it is said
    /// here, and the name of the kit where those are no tokens of HTTP.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.dial.user_agent = agent.into();
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
        self.dial.local_address = address;
        self
    }

    /// Changes anything else of tonic's endpoint, last: windows, limits, TLS. Its `local_address` has no effect, as it
    /// cannot be read back; [`local_address`](Self::local_address) has.
    #[must_use]
    pub fn endpoint(mut self, adjust: impl Fn(Endpoint) -> Endpoint + Send + Sync + 'static) -> Self {
        self.dial.adjust = Some(Arc::new(adjust));
        self
    }

    /// The deadline of calls whose caller sets none (`grpc-timeout`): sent to the server, and kept here for the whole call
    /// with its tries and its answer. A call that is over time ends as DEADLINE_EXCEEDED.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use waypost_telemetry::{Telemetry, grpc::{ChannelFactory, Retries}};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let channels = ChannelFactory::new(&telemetry)
    ///     .default_deadline(Duration::from_secs(2))
    ///     .retries(Retries::new())
    ///     .refresh(Duration::from_secs(10))
    ///     .target("stock", "dns:///stock:9092");
    /// let stock = channels.channel("stock")?;
    /// # drop(stock);
    /// # Ok::<(), waypost_telemetry::grpc::ChannelError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn default_deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Repeats calls that failed; none are unless it is asked for. Each try is a CLIENT span. On a `dns:///` target a call
    /// that surely was not sent goes on to another replica without being asked for.
    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Encrypts connections to `https://` and `dns:///` targets.
    ///
    /// # Errors
    /// When the certificate and its key do not fit, or the system has no authorities and none were named.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: &ChannelTls) -> Result<Self, ChannelError> {
        self.dial.tls = Some(tls.secured()?);
        Ok(self)
    }

    /// Who looks up the names of `dns:///` targets; the system unless said.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// After how long a name is looked up again by the next call; 30 s unless said, at least half a second. A connection
    /// that fails does the same.
    #[must_use]
    pub fn refresh(mut self, interval: Duration) -> Self {
        self.refresh = interval;
        self
    }

    /// The channel to a named target or a URI; the same one every time.
    ///
    /// # Errors
    /// When the target has no form that is known, or there is no tokio runtime.
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

    pub(super) fn open(&self, target: &str) -> Result<TracedChannel, ChannelError> {
        let parsed = Target::read(target)?;
        let incomplete = || ChannelError::Incomplete { target: target.to_owned() };
        let uri = parsed.uri(self.dial.secures()).ok_or_else(incomplete)?;
        // tonic would panic when it starts the task that drives the connection.
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ChannelError::NoRuntime);
        }
        let layer = self.layer.clone();
        let (layer, connection) = match parsed {
            Target::One(_) => (layer.target(&uri), self.dial.connection(&uri, None)?),
            #[cfg(unix)]
            Target::Socket(path) => {
                let layer = layer.target_socket(&UnixSocket::new(&path));
                (layer, Connection::lazy_unix(&self.dial.endpoint(&uri, None)?, path))
            }
            Target::Name { host, port } => {
                let layer = layer.target(&uri);
                let reach = Reach::Name(self.balance(host, port, uri)?);
                return Ok(self.managed(layer, reach));
            }
        };
        let (connection, peer) = connection.without_extension();
        let layer = layer.peer(peer);
        if self.deadline.is_none() && self.retries.is_none() {
            return Ok(TracedChannel::plain(layer.layer(connection)));
        }
        Ok(self.managed(layer, Reach::One(connection)))
    }

    fn managed(&self, layer: ClientLayer, reach: Reach) -> TracedChannel {
        TracedChannel::managed(Tries::new(layer, reach, self.deadline, self.retries.clone()))
    }

    fn balance(&self, host: String, port: u16, uri: Uri) -> Result<Balance, ChannelError> {
        // What is wrong with the options shows now and not with the first address.
        self.dial.endpoint(&uri, None)?;
        let dial = self.dial.clone();
        let connect = move |address: SocketAddr| dial.connection(&uri, Some(address)).ok();
        let times = [self.refresh, self.dial.connect_timeout];
        Ok(Balance::new((host, port), times, Arc::clone(&self.resolver), Box::new(connect)))
    }
}

impl Dial {
    /// Whether there is TLS of the kit's.
    fn secures(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// A connection that is made when it is first needed: to the host of the URI, or to an address that it was found at.
    fn connection(&self, uri: &Uri, address: Option<SocketAddr>) -> Result<Connection, ChannelError> {
        let endpoint = self.endpoint(uri, address)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls.clone().filter(|_| uri.scheme_str() == Some("https")) {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let over = move |tcp| tls.clone().connect(host.clone(), tcp);
            return Ok(Connection::lazy_over_from(&endpoint, self.local_address, over));
        }
        Ok(Connection::lazy_from(&endpoint, self.local_address))
    }

    fn endpoint(&self, uri: &Uri, address: Option<SocketAddr>) -> Result<Endpoint, ChannelError> {
        let is_secured = self.secures() && uri.scheme_str() == Some("https");
        let target = match address {
            Some(address) => format!("http://{address}"),
            // To tonic the connection is one that TLS of its own is not asked for.
            None if is_secured => {
                format!("http://{}", uri.authority().map_or("", Authority::as_str))
            }
            None => uri.to_string(),
        };
        let target =
            target.parse().map_err(|source| ChannelError::InvalidUri { target: uri.to_string(), source })?;
        let endpoint = self.configured(Channel::builder(target))?;
        // Requests say whom they are meant for, whatever address is connected to.
        Ok(if address.is_some() || is_secured { endpoint.origin(uri.clone()) } else { endpoint })
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
