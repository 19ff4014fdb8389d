//! Inventory: what there is of each product, what is held for which order, and the catalogue price.
//!
//! For the order service, which reserves stock before it takes money, commits the hold once the money is taken,
//! and releases it when an order is given up. One order's way through this crate: [`grpc`] reads the message,
//! [`logic`] adds how long a hold lasts, the [`store`] carries out in one atomic unit what [`domain`] decides.
//!
//! Invariants (`docs/guarantees.md`):
//! - I11: `0 <= reserved <= on_hand`, and `on_hand` is what was received less what was committed. The ledger of
//!   movements only grows, so that this can be checked from outside.
//! - I12: a reservation ends exactly once, as committed, released or expired; an expired one is never committed.
//! - All lines of a reservation are held, or none.
//! - What was released stays released, also when the `Reserve` that it undoes arrives later.
//!
//! Left out: receiving goods (the demo's stock is received once, when it is seeded), changing prices, and events.

mod config;
mod demo;
pub mod domain;
mod error;
pub mod grpc;
pub mod logic;
pub mod store;

pub use crate::{config::Config, error::Error};

use std::sync::Arc;
use waypost_durable::Storage;
use waypost_service::{App, Check, Worker};
use waypost_telemetry::{Telemetry, with_context};

/// What the process lends to the role.
#[derive(Debug)]
pub struct Parts {
    /// The role's own telemetry handle; its service name is `inventory-service`.
    pub telemetry: Telemetry,
    /// Which database the data is in, and where.
    pub storage: Storage,
}

/// Opens and migrates the database, seeds the demo products when asked to, and returns the role.
pub async fn build(config: &Config, parts: Parts) -> Result<App, Error> {
    let store = store::open(&parts.storage, &parts.telemetry).await?;
    let inventory = logic::Inventory::new(Arc::clone(&store), config);
    if config.seed {
        with_context(parts.telemetry.context(), inventory.add_products(demo::products())).await?;
    }
    let router = grpc::router(&parts.telemetry, inventory.clone(), &config.grpc);
    let sweeper = inventory.sweeper(config.sweep_interval.get(), &parts.telemetry);
    let (kept, every, deleted) =
        (config.hold_retention.get(), config.retention_interval.get(), Arc::clone(&store));
    let retention = Worker::in_portions("inventory-retention", every, &parts.telemetry, move || {
        let store = Arc::clone(&deleted);
        async move { store.delete_ended(kept).await }
    });
    let probed = Arc::clone(&store);
    let check = Check::new("inventory-database", move || {
        let store = Arc::clone(&probed);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let close = Worker::closing("inventory-database", move || async move { store.close().await });
    Ok(App { router, workers: vec![sweeper, retention, close], checks: vec![check], ..App::default() })
}
