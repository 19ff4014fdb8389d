//! The payment provider: a simulated outside company with its own ledger, clock and moods.
//!
//! For the payment service, which must live with a provider that is slow, declines, fails before it charged, and
//! fails after it charged. It stands where a real provider would: behind HTTP, reached with an idempotency key, asked
//! by reference when an answer got lost. [`http`] reads the request, [`faults`] decides what goes wrong today,
//! [`logic`] carries out in one atomic unit of the [`store`] what [`domain`] decides.
//!
//! Invariants:
//! - One key, one effect: a repeated key gets the first answer, and the same key with another request is refused.
//! - `refunded <= captured <= amount`; the ledger of captures and refunds only grows and adds up to both.
//! - A fault never changes what the ledger says: it delays or swallows answers, does the work later or twice under its key,
//!   or refuses before anything is written.
//!
//! Left out: cards, webhooks, disputes, partial captures and authorisations that run out.

mod config;
pub mod domain;
mod error;
pub mod faults;
pub mod http;
pub mod logic;
pub mod store;

pub use crate::config::{Config, FaultConfig};
pub use crate::error::Error;

use std::sync::Arc;

use waypost_durable::Storage;
use waypost_service::{App, Check, Worker};
use waypost_telemetry::Telemetry;

use crate::faults::Faults;
use crate::logic::Provider;

/// What the process lends to the role.
#[derive(Debug)]
pub struct Parts {
    /// The role's own telemetry handle; its service name is `payment-provider`.
    pub telemetry: Telemetry,
    /// Which database the data is in, and where.
    pub storage: Storage,
    /// What goes wrong. The process may change it while the role runs.
    pub faults: Faults,
}

/// Opens and migrates the database and returns the role.
///
/// # Errors
/// When the database cannot be opened or migrated.
pub async fn build(config: &Config, parts: Parts) -> Result<App, Error> {
    let Parts { telemetry, storage, faults } = parts;
    let store = store::open(&storage, &telemetry).await?;
    let provider = Provider::new(Arc::clone(&store));
    let late = provider.put_off_work().await?;
    let router = http::router(&telemetry, provider, faults, late);
    let probed = Arc::clone(&store);
    let check = Check::new("provider-database", move || {
        let store = Arc::clone(&probed);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let (answers, charges) = (config.request_retention.get(), config.charge_retention.get());
    let (every, remembered) = (config.retention_interval.get(), Arc::clone(&store));
    let retention = Worker::in_portions("provider-retention", every, &telemetry, move || {
        let store = Arc::clone(&remembered);
        async move { Ok::<_, Error>(store.forget_requests(answers).await? + store.forget_charges(charges).await?) }
    });
    let close = Worker::closing("provider-database", move || async move { store.close().await });
    Ok(App { router, workers: vec![retention, close], checks: vec![check], ..App::default() })
}
