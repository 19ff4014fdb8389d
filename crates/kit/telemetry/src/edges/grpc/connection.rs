//! tonic's channel with the address it is connected to, which tonic hides: its connector remembers it, and every
//! response carries it along.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context as TaskContext, Poll, ready};

use http::{Extensions, Request, Response, Uri};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use opentelemetry::KeyValue;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::transport::{self, Channel, Endpoint};
use tower_service::Service;

#[cfg(unix)]
use super::unix_connector::UnixConnector;
use crate::core::exchange::attributes;
#[cfg(unix)]
use crate::core::exchange::unix_socket::UnixSocket;

/// Whom a response came from: an extension of the response, `network.peer.address` and `network.peer.port` of the
/// CLIENT span. [`Connection`] sets it; connectors of one's own may. A response that came by a Unix-domain socket has a
/// [`UnixSocket`](super::UnixSocket) instead.
///
/// ```
/// use waypost_telemetry::grpc::PeerAddress;
///
/// let mut response = http::Response::new(());
/// response.extensions_mut().insert(PeerAddress(([10, 0, 0, 7], 9_090).into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// tonic's channel, for those who build layers around it: its responses carry a [`PeerAddress`], or a
/// [`UnixSocket`](super::UnixSocket). Cheap to clone.
///
/// Connects at the first call, and again when the connection is lost. Needs a tokio runtime when it is made.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use tonic::transport::Endpoint;
/// use tower::ServiceBuilder;
/// use waypost_telemetry::{Telemetry, grpc::Connection};
///
/// # let telemetry = Telemetry::disabled();
/// let endpoint = Endpoint::from_static("http://127.0.0.1:9092").tcp_nodelay(true);
/// let traced = telemetry.grpc_client().target(endpoint.uri());
/// let stock = ServiceBuilder::new().layer(traced).service(Connection::lazy(&endpoint));
/// # drop(stock);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    peer: Peer,
    /// Whether responses carry the address: a map of extensions for each.
    tells: bool,
}

impl Connection {
    /// As `Endpoint::connect_lazy`, with all settings of the endpoint but its `local_address`, which cannot be read
    /// back from it.
    pub fn lazy(endpoint: &Endpoint) -> Self {
        Self::lazy_from(endpoint, None)
    }

    /// As [`lazy`](Self::lazy), from an address of this machine.
    pub fn lazy_from(endpoint: &Endpoint, local_address: Option<IpAddr>) -> Self {
        let peer = Peer::default();
        let connector = Connector::new(endpoint, local_address, peer.clone());
        Self { channel: endpoint.connect_with_connector_lazy(connector), peer, tells: true }
    }

    /// As [`lazy`](Self::lazy), with something of one's own between TCP and HTTP/2, such as a TLS that tonic does not have.
    /// `over` is called for each connection that is made, within the endpoint's `connect_timeout`; an error of it is the
    /// call's.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use hyper_util::rt::TokioIo;
    /// use tonic::transport::Endpoint;
    /// use waypost_telemetry::grpc::Connection;
    ///
    /// let endpoint = Endpoint::from_static("http://127.0.0.1:9092");
    /// let connection = Connection::lazy_over(&endpoint, |tcp| async move { Ok(TokioIo::new(tcp)) });
    /// # drop(connection);
    /// # });
    /// ```
    pub fn lazy_over<F, Fut, Io>(endpoint: &Endpoint, over: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Io, BoxError>> + Send + 'static,
        Io: Read + Write + Send + Unpin + 'static,
    {
        Self::lazy_over_from(endpoint, None, over)
    }

    /// As [`lazy_over`](Self::lazy_over), from an address of this machine.
    pub(super) fn lazy_over_from<F, Fut, Io>(
        endpoint: &Endpoint,
        local_address: Option<IpAddr>,
        over: F,
    ) -> Self
    where
        F: Fn(TcpStream) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Io, BoxError>> + Send + 'static,
        Io: Read + Write + Send + Unpin + 'static,
    {
        let peer = Peer::default();
        let connector = Over { tcp: Connector::new(endpoint, local_address, peer.clone()), over };
        Self { channel: endpoint.connect_with_connector_lazy(connector), peer, tells: true }
    }

    /// As [`lazy`](Self::lazy), to the Unix-domain socket at this path. The endpoint is whom requests say they are for, by
    /// custom `http://localhost`.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use tonic::transport::Endpoint;
    /// use tower::ServiceBuilder;
    /// use waypost_telemetry::{Telemetry, grpc::{Connection, UnixSocket}};
    ///
    /// # let telemetry = Telemetry::disabled();
    /// let path = "/run/shop/stock.sock";
    /// let traced = telemetry.grpc_client().target_socket(&UnixSocket::new(path));
    /// let connection = Connection::lazy_unix(&Endpoint::from_static("http://localhost"), path);
    /// let stock = ServiceBuilder::new().layer(traced).service(connection);
    /// # drop(stock);
    /// # });
    /// ```
    #[cfg(unix)]
    pub fn lazy_unix(endpoint: &Endpoint, path: impl Into<PathBuf>) -> Self {
        Self::lazy_unix_over(endpoint, path, |stream| async move { Ok(TokioIo::new(stream)) })
    }

    /// As [`lazy_unix`](Self::lazy_unix), with something of one's own between the socket and HTTP/2; see
    /// [`lazy_over`](Self::lazy_over).
    #[cfg(unix)]
    pub fn lazy_unix_over<F, Fut, Io>(endpoint: &Endpoint, path: impl Into<PathBuf>, over: F) -> Self
    where
        F: Fn(UnixStream) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Io, BoxError>> + Send + 'static,
        Io: Read + Write + Send + Unpin + 'static,
    {
        let peer = Peer::default();
        let connector = UnixConnector::new(path.into(), peer.clone(), over);
        Self { channel: endpoint.connect_with_connector_lazy(connector), peer, tells: true }
    }

    /// For a layer that asks the peer itself.
    pub(super) fn without_extension(mut self) -> (Self, Peer) {
        self.tells = false;
        let peer = self.peer.clone();
        (self, peer)
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = ConnectionFuture;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), transport::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.channel, task)
    }

    fn call(&mut self, request: Request<Body>) -> ConnectionFuture {
        let peer = self.tells.then(|| self.peer.clone());
        ConnectionFuture { response: self.channel.call(request), peer }
    }
}

pin_project! {
    /// The response of a [`Connection`].
    #[derive(Debug)]
    pub struct ConnectionFuture {
        #[pin]
        response: <Channel as Service<Request<Body>>>::Future,
        peer: Option<Peer>,
    }
}

impl Future for ConnectionFuture {
    type Output = Result<Response<Body>, transport::Error>;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = ready!(this.response.poll(task));
        if let (Ok(response), Some(peer)) = (&mut result, &this.peer) {
            peer.tell(response.extensions_mut());
        }
        Poll::Ready(result)
    }
}

/// The last address that a channel connected to; a channel has one connection at a time. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer(Arc<LastPeer>);

#[derive(Debug, Default)]
struct LastPeer {
    known: RwLock<Option<KnownPeer>>,
    /// Whether a connection was made that has carried no request yet.
    is_new: AtomicBool,
}

#[derive(Clone, Debug)]
struct KnownPeer {
    place: Place,
    attributes: [KeyValue; 2],
}

#[derive(Clone, Debug)]
enum Place {
    Address(PeerAddress),
    #[cfg(unix)]
    Socket(UnixSocket),
}

impl Peer {
    /// Says in the extensions of a response whom it came from.
    fn tell(&self, extensions: &mut Extensions) {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        match known.as_ref().map(|known| &known.place) {
            Some(Place::Address(address)) => {
                extensions.insert(*address);
            }
            #[cfg(unix)]
            Some(Place::Socket(socket)) => {
                extensions.insert(socket.clone());
            }
            None => {}
        }
    }

    /// `network.peer.address` with `network.peer.port`, or with `network.transport` for a Unix-domain socket.
    pub(super) fn attributes(&self) -> Option<[KeyValue; 2]> {
        self.0
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|known| known.attributes.clone())
    }

    fn set(&self, address: SocketAddr) {
        // Shared by all spans of this connection.
        let attributes = attributes::shared_network_peer(address);
        self.learn(KnownPeer { place: Place::Address(PeerAddress(address)), attributes });
    }

    #[cfg(unix)]
    pub(super) fn set_socket(&self, socket: UnixSocket) {
        let attributes = socket.peer_attributes();
        self.learn(KnownPeer { place: Place::Socket(socket), attributes });
    }

    fn learn(&self, known: KnownPeer) {
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        self.0.is_new.store(true, Ordering::Relaxed);
    }

    /// Whether this is the first request since a connection was made.
    pub(super) fn is_first_request(&self) -> bool {
        self.0.is_new.load(Ordering::Relaxed) && self.0.is_new.swap(false, Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn at(address: SocketAddr) -> Self {
        let peer = Self::default();
        peer.set(address);
        peer
    }
}

/// Connects as tonic does for the same endpoint, and remembers the peer.
struct Connector {
    http: HttpConnector,
    peer: Peer,
}

impl Connector {
    fn new(endpoint: &Endpoint, local_address: Option<IpAddr>, peer: Peer) -> Self {
        let mut http = HttpConnector::new();
        // TLS is tonic's, around this.
        http.enforce_http(false);
        http.set_nodelay(endpoint.get_tcp_nodelay());
        http.set_keepalive(endpoint.get_tcp_keepalive());
        http.set_keepalive_interval(endpoint.get_tcp_keepalive_interval());
        http.set_keepalive_retries(endpoint.get_tcp_keepalive_retries());
        http.set_connect_timeout(endpoint.get_connect_timeout());
        http.set_local_address(local_address);
        Self { http, peer }
    }
}

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(task).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let (connecting, peer) = (self.http.call(target), self.peer.clone());
        Box::pin(async move {
            let stream = connecting.await?;
            if let Ok(address) = stream.inner().peer_addr() {
                peer.set(address);
            }
            Ok(stream)
        })
    }
}

/// A connection with something on top of it.
struct Over<F> {
    tcp: Connector,
    over: F,
}

impl<F, Fut, Io> Service<Uri> for Over<F>
where
    F: Fn(TcpStream) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Io, BoxError>> + Send + 'static,
    Io: Read + Write + Send + Unpin + 'static,
{
    type Response = Io;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Io, BoxError>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(task)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let (connecting, over) = (self.tcp.call(target), self.over.clone());
        Box::pin(async move {
            let tcp = connecting.await?.into_inner();
            over(tcp).await
        })
    }
}
