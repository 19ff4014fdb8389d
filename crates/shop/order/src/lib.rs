//! Orders: accepted once, carried over inventory and payment to an end, told to whoever listens.
//!
//! For the gateway. One order's way through this crate: [`grpc`] reads the message, [`logic`] checks it against the
//! catalogue and has the [`store`] accept it in one unit, [`running`] starts its saga, whose steps are the list in
//! [`place_order`]; each unit of the saga becomes an order by the rules of [`domain`], and the last one writes the
//! event that the relay publishes.
//!
//! Invariants (`docs/guarantees.md`):
//! - I1 to I4: one key, one order; the key's row commits with the order.
//! - I5: what was accepted survives any crash and comes to an end; what nobody runs is resumed.
//! - I6: an event exists exactly when its move was committed.
//! - I13: legal moves only, one version each.
//! - I15: steps and undos may run twice and have the effect of once.
//! - I21: an order is seen and changed by its owner and by operators only; the SQL says so.
//!
//! Left out: who the caller is (the gateway knows), and what an order costs beyond price times quantity.

mod attention;
mod catalogue;
mod config;
pub mod domain;
mod error;
mod events;
pub mod grpc;
pub mod logic;
pub mod operator;
pub mod place_order;
pub mod running;
pub mod store;

pub use crate::{
    catalogue::Catalogue,
    config::{Config, Steps},
    error::Error,
};

use operator::Operator;
use place_order::{Inventory, Payments, PlaceOrder, plan};
use running::{OrderSagas, Sagas};
use std::sync::Arc;
use store::{Kept, Store, runner_name};
use uuid::Uuid;
use waypost_durable::{
    Backoff, Clock, Storage,
    broker::Broker,
    dead_letters::DeadLetters,
    relay::{Relay, RelayOptions},
    saga::{
        Policy, Runner,
        host::{Host, Options},
    },
};
use waypost_identity::Identity;
use waypost_resilience::{
    discovery::Discovery,
    grpc::{Channel, ChannelOptions},
};
use waypost_service::{App, Check, Tasks, Worker};
use waypost_telemetry::Telemetry;

/// What the process lends to the role.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a broker has none")]
pub struct Parts {
    /// The role's own telemetry handle; its service name is `order-service`.
    pub telemetry: Telemetry,
    /// Where sagas run, so that a drain waits for them.
    pub tasks: Tasks,
    /// Which database the data is in, and where.
    pub storage: Storage,
    /// The name of this process among those that share the database, the same after a restart; see
    /// [`Store::end_leases`].
    pub node: String,
    /// Where events are published.
    pub broker: Arc<dyn Broker>,
    /// How the replicas of inventory and payment are found.
    pub discovery: Discovery,
    /// Who this role is to those that it calls, where they ask for that.
    pub identity: Option<Identity>,
}

/// Opens and migrates the database and returns the role. Orders that a former process left unfinished are resumed as
/// soon as the workers run.
pub async fn build(config: &Config, parts: Parts) -> Result<Built, Error> {
    let store = store::open(&parts.storage, &parts.telemetry).await?;
    store.end_leases(parts.node.clone()).await?;
    let orders = orders(config, &parts, Arc::clone(&store), Clock::system())?;

    // Made by now, so that reading a list later needs no room for it. Without an answer the first list asks again.
    if let Err(error) = store.token_key().await {
        tracing::debug!(%error, "the key of page tokens was not made at the start");
    }
    let outbox = store.outbox();
    let dead_letters = outbox.dead_letters();
    let relay = Relay::new(outbox, Arc::clone(&parts.broker), &parts.telemetry).with_options(RelayOptions {
        keep_published: config.outbox_retention.get(),
        ..RelayOptions::default()
    });
    let mut workers = orders.workers;
    workers.push(Worker::new("order-relay", move |drain| async move { relay.run(drain.started()).await }));
    let closing = Arc::clone(&store);
    workers.push(Worker::closing("order-database", move || async move { closing.close().await }));
    let probed = Arc::clone(&store);
    let check = Check::new("order-database", move || {
        let store = Arc::clone(&probed);
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let attention = attention::checks(&*store, &parts.telemetry);
    let operator = operator(config, &parts, &*store, orders.sagas)?;
    let router = grpc::router(&parts.telemetry, orders.logic, &config.grpc);
    let checks = [check].into_iter().chain(attention).collect();
    let app = App { router, admin: operator::routes(operator), workers, checks };
    Ok(Built { app, dead_letters })
}

/// The built role.
#[expect(missing_debug_implementations, reason = "dead letters have none")]
pub struct Built {
    /// What is served and done.
    pub app: App,
    /// Events that can never be published.
    pub dead_letters: Arc<dyn DeadLetters>,
}

/// What operators can do to the orders of a store.
fn operator(config: &Config, parts: &Parts, store: &dyn Store, sagas: Sagas) -> Result<Operator, Error> {
    // A channel of its own: what an operator asks must not wait behind, or trip the breaker of, the sagas.
    let payments = Payments::new(connect(parts, "payment", &config.payment_target, &config.steps)?);
    let shape = plan(config.parallel_checks).shape();
    Ok(Operator::new(store.operator(), sagas, payments, shape, Clock::system(), &parts.telemetry))
}

/// The orders over any store, with the workers that belong to them: what [`build`] makes of the one that it opens.
pub fn orders(
    config: &Config,
    parts: &Parts,
    store: Arc<dyn Store>,
    clock: Clock,
) -> Result<Assembled, Error> {
    let telemetry = &parts.telemetry;
    let inventory = Inventory::new(connect(parts, "inventory", &config.inventory_target, &config.steps)?);
    let payments = Payments::new(connect(parts, "payment", &config.payment_target, &config.steps)?);
    let saga = PlaceOrder { inventory: inventory.clone(), payments, hold_time: config.hold_time.get() };
    let runner = Runner::new(saga, plan(config.parallel_checks), policy(&config.steps))?;
    let options = Options {
        lease: config.lease.get(),
        stuck_retry: Backoff { first: config.stuck_retry.get(), max: config.max_stuck_retry.get() },
        max_running: config.max_running,
    };
    let name = runner_name(&parts.node, Uuid::now_v7());
    let kept = OrderSagas::new(Arc::clone(&store), clock.clone(), telemetry);
    let sagas = Host::new(kept, runner, name, options, parts.tasks.clone(), telemetry);

    let catalogue = Catalogue::new(inventory, config.price_time_to_live.get(), config.price_capacity);
    let waiting = logic::Waiting {
        max: config.max_wait.get(),
        margin: config.answer_margin.get(),
        spacing: config.answer_spacing.get(),
    };
    let logic = logic::Orders::new(Arc::clone(&store), sagas.clone(), catalogue, clock, waiting);

    let sweeping = sagas.clone();
    let sweeper = Worker::every("order-resume", config.sweep_interval.get(), telemetry, move || {
        let sagas = sweeping.clone();
        async move { sagas.sweep().await.map(drop) }
    });
    let retention = retention(config, Arc::clone(&store), telemetry);
    let purge =
        Worker::in_portions("order-key-purge", config.key_purge_interval.get(), telemetry, move || {
            let store = Arc::clone(&store);
            async move { store.purge_keys().await }
        });
    Ok(Assembled { logic, sagas, workers: vec![sweeper, retention, purge] })
}

/// The parts of a built order service.
#[derive(Debug)]
pub struct Assembled {
    /// What the interface calls.
    pub logic: logic::Orders,
    /// The sagas of this process.
    pub sagas: Sagas,
    /// The work in the background, without the relay, which belongs to the store.
    pub workers: Vec<Worker>,
}

/// The worker that deletes what is left of orders that ended long ago.
fn retention(config: &Config, store: Arc<dyn Store>, telemetry: &Telemetry) -> Worker {
    let kept = Kept { journals: config.journal_retention.get(), orders: config.order_retention.get() };
    Worker::in_portions("order-retention", config.retention_interval.get(), telemetry, move || {
        let store = Arc::clone(&store);
        async move { store.delete_ended(kept).await }
    })
}

fn connect(parts: &Parts, service: &'static str, target: &str, steps: &Steps) -> Result<Channel, Error> {
    // A price is looked up in the client's time, which may be short; a try of a step has its own.
    let counts_timeouts_from = steps.attempt_timeout.get() / 2;
    let tls = parts.identity.as_ref().map(|identity| identity.outgoing(service));
    let options = ChannelOptions { counts_timeouts_from, tls, ..ChannelOptions::default() };
    Channel::discover_lazy(&parts.discovery, &parts.telemetry, target, options)
        .map_err(|source| Error::Channel { service, source })
}

fn policy(steps: &Steps) -> Policy {
    Policy {
        attempts: steps.attempts.max(1),
        budget: steps.budget.get(),
        attempt_timeout: steps.attempt_timeout.get(),
        pause: Backoff { first: steps.first_pause.get(), max: steps.max_pause.get() },
        undo_attempts: steps.undo_attempts.max(1),
        round_pause: Backoff { first: steps.max_pause.get(), max: steps.max_pause.get() * 8 },
    }
}
