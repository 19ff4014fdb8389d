//! A channel over the replicas behind a name: one of them is away, and the call goes on to the other.
//!
//! `cargo run -p waypost-telemetry --features grpc,testing --example grpc_channels`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use waypost_telemetry::grpc::{ChannelFactory, Resolver, Resolving, Retries};
use waypost_telemetry::testing::{SpanTree, TestTelemetry};
use waypost_telemetry::with_context;

/// Stands for DNS.
struct Replicas(Vec<SocketAddr>);

impl Resolver for Replicas {
    fn resolve(&self, _host: &str, _port: u16) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", shown().await?);
    Ok(())
}

/// What calls leave behind, as text, up to the first that met the replica that is away.
pub(crate) async fn shown() -> Result<String, Box<dyn Error>> {
    // A handle in memory, so that the spans can be shown; a service has one of `waypost_telemetry::start`.
    let telemetry = TestTelemetry::new("order");
    let (_reporter, health) = tonic_health::server::health_reporter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let alive = listener.local_addr()?;
    let app = Routes::new(health).into_axum_router();
    #[expect(clippy::disallowed_methods, reason = "an example needs none of the limits of a public server")]
    drop(waypost_telemetry::spawn(async move { axum::serve(listener, app).await }));
    // Nobody listens here once it is dropped.
    let away = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;

    let channels = ChannelFactory::new(&telemetry)
        .resolver(Replicas(vec![alive, away]))
        .default_deadline(Duration::from_secs(10))
        .retries(Retries::new())
        .target("stock", "dns:///stock:9092");
    let mut stock = HealthClient::new(channels.channel("stock")?);
    loop {
        telemetry.forget();
        let asking = telemetry.span("ask").run(async { stock.check(HealthCheckRequest::default()).await });
        with_context(telemetry.context(), asking).await?;
        // Which replica comes first is drawn.
        if telemetry.finished_spans().len() > 2 {
            return Ok(
                SpanTree::only(&telemetry.finished_spans()).render_with(&["error.type", "server.address"])
            );
        }
    }
}
