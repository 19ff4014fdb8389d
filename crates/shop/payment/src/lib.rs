//! Payments: one live authorisation an order, captured at most once, refunded never beyond what was captured.
//!
//! For the order service. One payment's way through this crate: [`grpc`] reads the message, [`logic`] writes the
//! intent down through the [`store`], asks the [`provider`], and writes down what it said, as [`domain`] judges it.
//! What a crash or a silent provider leaves open is settled by the same request sent again, or by `review`, a worker.
//!
//! Invariants (`docs/guarantees.md`):
//! - I7: an unknown outcome can be resolved. The intent, with our reference, is durable before the provider is asked,
//!   and the same step is never sent under a new reference.
//! - I8: captured <= authorised, refunded <= captured, one live authorisation an order.
//! - I9: the ledger balances per order and in total, and says what the payments say.
//! - What was voided stays voided, also when the `Authorize` that it undoes arrives later, or its charge does: the charge
//!   is looked for as long as one may come, and voided; what was captured all the same is given back.
//! - Only a decision of the provider is a no ([`provider`]), and only when no earlier request for the same is open.
//!
//! Left out: partial captures, authorisations that run out, and events.

mod config;
mod contradictions;
pub mod domain;
mod error;
pub mod grpc;
pub mod logic;
pub mod provider;
mod review;
pub mod store;

pub use crate::{
    config::{Config, ProviderConfig, ReviewConfig},
    error::Error,
};

use std::sync::Arc;
use waypost_durable::Storage;
use waypost_service::{App, Check, Worker};
use waypost_telemetry::Telemetry;

/// What the process lends to the role.
#[derive(Debug)]
pub struct Parts {
    /// The role's own telemetry handle; its service name is `payment-service`.
    pub telemetry: Telemetry,
    /// Which database the data is in, and where.
    pub storage: Storage,
}

/// Opens and migrates the database and returns the role.
pub async fn build(config: &Config, parts: Parts) -> Result<App, Error> {
    let Parts { telemetry, storage } = parts;
    let provider = provider::Provider::new(&config.provider, &telemetry)?;
    let store = store::open(&storage, &telemetry, config.review.times()).await?;
    let payments = logic::Payments::new(Arc::clone(&store), provider, config);
    let router = grpc::router(&telemetry, payments.clone(), &config.grpc);
    let contradictions = contradictions::check(Arc::clone(&store), &telemetry);
    let review = payments.reviewer(&telemetry);
    let (kept, every, deleted) =
        (config.retention.get(), config.retention_interval.get(), Arc::clone(&store));
    let retention = Worker::in_portions("payment-retention", every, &telemetry, move || {
        let store = Arc::clone(&deleted);
        async move { store.delete_ended(kept).await }
    });
    let probed = Arc::clone(&store);
    let check = Check::new("payment-database", move || {
        let store = Arc::clone(&probed);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let close = Worker::closing("payment-database", move || async move { store.close().await });
    Ok(App {
        router,
        workers: vec![review, retention, close],
        checks: vec![check, contradictions],
        ..App::default()
    })
}
