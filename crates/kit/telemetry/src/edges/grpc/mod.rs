//! gRPC edges: a server layer, a client layer and channels that are traced from the start.
//!
//! Both layers work on HTTP messages and treat all four kinds of call alike: the span covers the call from its
//! head to the end of the response stream, and the status is read where gRPC puts it, in the trailers (or in the
//! headers of an answer without a body, or in the last frame of a gRPC-Web body). Nothing is decoded. `rpc.method` is the full `package.Service/Method`,
//! and `_OTHER` for what the server does not serve, so that callers cannot invent names. Durations are measured
//! whether or not the span was sampled. The layers leave out retries, balancing and deadlines (a `grpc-timeout` that has
//! run out is only recognised); the channels of a [`ChannelFactory`] have them as options.

mod channel;
mod client;
mod client_call;
mod connection;
pub mod filters;
mod frames;
mod messages;
mod methods;
mod server;
mod server_call;
mod status;
#[cfg(unix)]
mod unix_connector;
mod web;

pub use crate::core::exchange::unix_socket::UnixSocket;
#[cfg(feature = "tls")]
pub use channel::ChannelTls;
pub use channel::{ChannelError, ChannelFactory, ChannelFuture, Resolver, Resolving, Retries, TracedChannel};
pub use client::{ClientBody, ClientFuture, ClientLayer, ClientService};
pub use connection::{Connection, ConnectionFuture, PeerAddress};
pub use methods::{DescriptorError, Methods};
pub use server::{ServerBody, ServerFuture, ServerLayer, ServerService};

use crate::base::attributes::ERROR_TYPE;
use crate::core::exchange::asked::Asked;

/// Says by its path without the first slash whether a call is traced.
type Filter = std::sync::Arc<Asked<dyn Fn(&str) -> bool + Send + Sync>>;

const SYSTEM: &str = "rpc.system.name";
const METHOD: &str = "rpc.method";
/// As the released conventions have it (1.44.0 of 2026); those to come call it `rpc.status_code`.
const STATUS_CODE: &str = "rpc.response.status_code";

impl crate::core::handle::Telemetry {
    /// The layer of a gRPC server, around tonic's routes or the router they become.
    ///
    /// ```
    /// use tonic::service::Routes;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let app: axum::Router = Routes::default().into_axum_router().layer(telemetry.grpc_server());
    /// ```
    pub fn grpc_server(&self) -> ServerLayer {
        ServerLayer::new(self)
    }

    /// The layer of a gRPC client, around tonic's channel.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use tonic::transport::Channel;
    /// use tower::ServiceBuilder;
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let channel = Channel::from_static("http://127.0.0.1:9092").connect_lazy();
    /// let stock = ServiceBuilder::new().layer(telemetry.grpc_client()).service(channel);
    /// # drop(stock);
    /// # });
    /// ```
    pub fn grpc_client(&self) -> ClientLayer {
        ClientLayer::new(self)
    }

    /// A channel to `http://host:port` that connects at the first call. For several, see [`ChannelFactory`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let stock = tonic_health::pb::health_client::HealthClient::new(telemetry.grpc_channel("http://127.0.0.1:9092").unwrap());
    /// # drop(stock);
    /// # });
    /// ```
    pub fn grpc_channel(&self, target: &str) -> Result<TracedChannel, ChannelError> {
        TracedChannel::new(self, target)
    }
}
