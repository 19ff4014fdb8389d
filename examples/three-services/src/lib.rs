//! What the three services share: the contracts between them, and how each of them starts and ends.
//!
//! Telemetry is as the `OTEL_*` variables say; without any it goes to a collector on this machine, and if there is none the
//! services work all the same.

use std::env;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The contracts of stock and payments, generated from `proto/shop.proto`.
#[allow(clippy::pedantic, missing_docs, reason = "generated code")]
pub mod shop {
    tonic::include_proto!("shop.v1");

    /// The contracts as data: they tell a server's telemetry which methods there are.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shop.bin"));
}

/// The order that a span works on.
pub const ORDER_ID: &str = "order.id";

/// A setting from the environment.
pub fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Listens on the address in `LISTEN`, and says so.
pub async fn listen(service: &str, default: &str) -> anyhow::Result<TcpListener> {
    let address = setting("LISTEN", default);
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; set LISTEN"))?;
    tracing::info!("{service} listens on {}", listener.local_addr()?);
    Ok(listener)
}

/// Resolves at Ctrl-C, or at SIGTERM.
pub async fn asked_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
