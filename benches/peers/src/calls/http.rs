//! A server of axum in memory, and a client of reqwest over loopback.

use std::hint::black_box;

use anyhow::bail;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use http::Request;
use http_body_util::BodyExt as _;
use opentelemetry::global;
use reqwest_middleware::ClientBuilder;
use reqwest_tracing::TracingMiddleware;
use tokio::net::TcpListener;
use tower::{Layer as _, Service as _, ServiceExt as _};
use tracing::Level;

use super::setup::Peer;
use super::{Calls, beside};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn routes() -> Router {
    Router::new().route("/orders/{id}", get(async |Path(id): Path<String>| id))
}

pub(super) async fn server(peer: &Peer, variant: &str, calls: &mut Calls) -> anyhow::Result<()> {
    let app = match (peer.kit(), variant) {
        (Some(kit), _) => routes().layer(kit.http_server()),
        (None, "bare") => routes(),
        (None, "tower-otel") => routes()
            .layer(tower_otel::metrics::HttpLayer::server(&global::meter("shop")))
            .layer(tower_otel::trace::HttpLayer::server(Level::INFO)),
        (None, "axum-tracing-opentelemetry") => routes().layer(OtelAxumLayer::default()),
        (None, "opentelemetry-instrumentation-tower") => {
            routes().layer(opentelemetry_instrumentation_tower::http::server::Layer::new())
        }
        (None, other) => bail!("{other} has no layer for servers"),
    };
    calls
        .each(async || {
            let request = Request::get("/orders/17")
                .header("host", "shop.example")
                .header("user-agent", "load/1.0")
                .header("traceparent", TRACEPARENT)
                .body(Body::empty())?;
            let response = app.clone().oneshot(request).await?;
            black_box(response.into_body().collect().await?);
            Ok(())
        })
        .await
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement needs none of the limits of a public server"
    )]
    axum::serve(listener, routes()).await
}

pub(super) async fn client(peer: &Peer, variant: &str, calls: &mut Calls) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/orders/17", listener.local_addr()?);
    beside(serve(listener));
    let client = reqwest::Client::builder().no_proxy().build()?;
    match (peer.kit(), variant) {
        (Some(kit), _) => {
            let client = kit.http_client().reqwest(client);
            calls
                .each(async || {
                    let request = client.client().get(&url);
                    black_box(client.send_as("/orders/{id}", request).await?.bytes().await?);
                    Ok(())
                })
                .await?;
        }
        (None, "bare") => {
            calls
                .each(async || {
                    black_box(client.get(&url).send().await?.bytes().await?);
                    Ok(())
                })
                .await?;
        }
        (None, "tower-otel") => {
            let traced = tower_otel::trace::HttpLayer::client(Level::INFO).layer(client.clone());
            let mut traced = tower_otel::metrics::HttpLayer::client(&global::meter("shop")).layer(traced);
            calls
                .each(async || {
                    let request = client.get(&url).build()?;
                    black_box(traced.ready().await?.call(request).await?.bytes().await?);
                    Ok(())
                })
                .await?;
        }
        (None, "reqwest-tracing") => {
            let client = ClientBuilder::new(client).with(TracingMiddleware::default()).build();
            calls
                .each(async || {
                    black_box(client.get(&url).send().await?.bytes().await?);
                    Ok(())
                })
                .await?;
        }
        (None, other) => bail!("{other} has no layer for clients"),
    }
    Ok(())
}
