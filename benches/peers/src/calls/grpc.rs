//! A unary call of tonic over loopback, with layers on both ends.

use std::hint::black_box;

use anyhow::bail;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::Layer as _;
use tracing::Level;

use super::setup::Peer;
use super::{Calls, beside};
use crate::request::service::orders;
use orders::orders_client::OrdersClient;
use orders::orders_server::{Orders, OrdersServer};

struct Numbers;

#[tonic::async_trait]
impl Orders for Numbers {
    async fn place(&self, order: Request<orders::Order>) -> Result<Response<orders::Placed>, Status> {
        Ok(Response::new(orders::Placed { number: order.into_inner().amount }))
    }
}

pub(super) async fn both(peer: &Peer, variant: &str, calls: &mut Calls) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("http://{}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = OrdersServer::new(Numbers);
    let endpoint = Endpoint::from_shared(target.clone())?;
    match (peer.kit(), variant) {
        (Some(kit), _) => {
            let server = Server::builder().layer(kit.grpc_server()).add_service(service);
            beside(server.serve_with_incoming(incoming));
            place(kit.grpc_channel(&target)?, calls).await?;
        }
        (None, "bare") => {
            beside(Server::builder().add_service(service).serve_with_incoming(incoming));
            place(endpoint.connect_lazy(), calls).await?;
        }
        (None, "tonic-tracing-opentelemetry") => {
            let layer = tonic_tracing_opentelemetry::middleware::server::OtelGrpcLayer::default();
            let server = Server::builder().layer(layer).add_service(service);
            beside(server.serve_with_incoming(incoming));
            let layer = tonic_tracing_opentelemetry::middleware::client::OtelGrpcLayer;
            place(layer.layer(endpoint.connect_lazy()), calls).await?;
        }
        (None, "tower-otel") => {
            let layer = tower_otel::trace::GrpcLayer::server(Level::INFO);
            let server = Server::builder().layer(layer).add_service(service);
            beside(server.serve_with_incoming(incoming));
            let layer = tower_otel::trace::GrpcLayer::client(Level::INFO);
            place(layer.layer(endpoint.connect_lazy()), calls).await?;
        }
        (None, other) => bail!("{other} has no layer for gRPC"),
    }
    Ok(())
}

async fn place<S, B>(channel: S, calls: &mut Calls) -> anyhow::Result<()>
where
    S: GrpcService<Body, ResponseBody = B>,
    S::Error: Into<tonic::codegen::StdError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send,
{
    let mut client = OrdersClient::new(channel);
    calls
        .each(async || {
            let order = orders::Order { id: "order-17".to_owned(), amount: 4_999 };
            black_box(client.place(order).await?);
            Ok(())
        })
        .await
}
