//! What the two services share: the contract between them, and how each starts and stops.
//!
//! Telemetry is configured by the standard `OTEL_*` variables; without any, spans go to a collector at
//! `http://localhost:4318`, and if there is none the services work all the same.

use std::env;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use waypost_telemetry::{Settings, Telemetry};

/// The payment service's contract, generated from `proto/payment.proto`.
#[allow(clippy::pedantic, missing_docs, reason = "generated code")]
pub mod payment {
    tonic::include_proto!("payment.v1");

    /// The contract as data: tells the server's telemetry which methods there are.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}

/// The order that a span works on.
pub const ORDER_ID: &str = "order.id";
/// What is to be paid, in major units.
pub const PAYMENT_AMOUNT: &str = "payment.amount";
/// The transaction that paid it.
pub const PAYMENT_TRANSACTION_ID: &str = "payment.transaction_id";

/// A setting from the environment.
pub fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Telemetry of a service, as the environment wants it; `OTEL_SERVICE_NAME` may rename it.
pub fn start_telemetry(service_name: &str) -> anyhow::Result<Telemetry> {
    let settings = Settings::new(service_name).with_env()?;
    waypost_telemetry::logs::install(&settings.logs)?;
    let telemetry = waypost_telemetry::init(settings)?;
    // One service, one process: code outside any request finds the handle here.
    telemetry.set_process_default();
    Ok(telemetry)
}

/// Sends what is left and says what became of it.
pub async fn stop_telemetry(telemetry: &Telemetry) {
    let report = telemetry.shutdown(Duration::from_secs(5)).await;
    info!("Stopped. {report}");
}

/// Binds the address in the variable `name`.
pub async fn listen(name: &str, default: &str) -> anyhow::Result<TcpListener> {
    let address = setting(name, default);
    TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; set {name} to move"))
}

/// Resolves when the process is asked to stop: Ctrl-C, or SIGTERM from whoever started it.
pub async fn asked_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
