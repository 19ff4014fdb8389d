//! The viewer: takes spans, keeps them, answers questions about them, and shows them.
//!
//! For whoever wants to see what a system did, without a second program: it runs inside `waypost up`, and alone as
//! `waypost viewer`. [`build`] puts the parts together; each is a crate of its own:
//!
//! ```text
//! OTLP, Zipkin -> trace-intake -> trace-store -> trace-query (Jaeger, Zipkin) -> other tools
//!                      |              |--------> api (/api/v1) <--- page
//!                      +-> tail ------------------^
//!                  statistics -> trace-alerts -> receivers
//! ```
//!
//! This crate itself is the viewer's own JSON API (`docs/viewer-api.md`), the live tail, the embedded page, and the rules
//! of who may ask ([`Viewer::token`]).
//!
//! Invariants:
//! - Every answer is bounded: reads at once and in time, rows a page, listeners of the tail, bytes of an import and of
//!   answers that are not read yet.
//! - Beyond loopback nothing is shown without the token; on loopback nothing is shown to pages of other origins.
//! - Looking at traces makes no traces: no router here has a telemetry layer.
//! - Text of spans is only ever JSON text; the page's policy lets nothing run but its own files.
//!
//! Left out: TLS; users and roles.

mod access;
mod alerts;
mod analysed;
mod api;
mod config;
mod error;
mod layers;
mod page;
mod problem;
mod reads;
mod rest;
mod room;
mod sample;
mod tail;
mod throughput;

pub use crate::{
    alerts::{AlertSettings, MailTls, ReceiverKind, ReceiverSettings},
    config::{AnswerLimits, Config, Durability, StoreSettings},
    error::Error,
};

use crate::{
    access::Access,
    alerts::{Alerts, PinBounds, PinnedStore, Pins},
    api::{Api, Shared},
    reads::Reads,
    room::Room,
    tail::Tail,
    throughput::{SAMPLE_EVERY, Throughput},
};
use axum::Router;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use waypost_service::{Check, DataDir, Worker};
use waypost_telemetry::{Telemetry, with_context};
use waypost_trace_intake::Intake;
use waypost_trace_store::{self as store, BlockStore, MemoryStore, TraceStore, now};

/// The most bytes of spans that are kept when there is no folder for them.
const MEMORY_BUDGET: u64 = 256 << 20;

/// What the process lends to the viewer.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The viewer's own telemetry handle: for the log lines of its workers. The viewer makes no spans.
    pub telemetry: Telemetry,
    /// Where the spans are kept: in the folder `viewer` below it.
    pub data: DataDir,
    /// Where the listeners are bound: decides who is asked for the token.
    pub bound: Bound,
    /// How memory that is kept for later goes back to the system.
    pub memory: Memory,
}

/// Returns memory that the allocator keeps for later to the system. The default does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Returns what the calling thread and no thread keeps, and asks the others to. Called when no spans came for some seconds after there
    /// were some, and now and then while they come.
    pub give_back: fn(),
    /// Returns what the calling thread keeps if that was asked for. Called by threads that have nothing to do.
    pub on_idle: fn(),
}

impl Default for Memory {
    fn default() -> Self {
        Self { give_back: || {}, on_idle: || {} }
    }
}

/// The addresses of the viewer's listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The page and the query APIs.
    pub ui: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// Zipkin.
    pub zipkin: SocketAddr,
}

/// A built viewer.
pub struct Viewer {
    /// For the listener of the page and the query APIs.
    pub ui: Router,
    /// For the listener of OTLP over gRPC.
    pub otlp_grpc: Router,
    /// For the listener of OTLP over HTTP.
    pub otlp_http: Router,
    /// For the listener of Zipkin.
    pub zipkin: Router,
    /// Background work. Live tails are requests without an end; a worker ends them when its drain starts, so start
    /// the workers as a role of their own before those with the listeners, and they are drained first.
    pub workers: Vec<Worker>,
    /// The store must take spans for the viewer to be ready.
    pub checks: Vec<Check>,
    /// The token, when a listener asks for one: `http://address/?token=...` opens the page.
    pub token: Option<String>,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_token = self.token.is_some();
        f.debug_struct("Viewer")
            .field("workers", &self.workers)
            .field("has_token", &has_token)
            .finish_non_exhaustive()
    }
}

/// Opens the store and puts the viewer together. Blocks on the disk; must be called inside a tokio runtime.
pub fn build(config: &Config, parts: Parts) -> Result<Viewer, Error> {
    let Parts { telemetry, data, bound, memory } = parts;
    let access = Access::new(config, bound)?;
    let kept = open(config, &data, memory)?;
    let folder = data.folder().map(|folder| folder.join("viewer"));
    let bounds = PinBounds { traces: config.alerts.pins, bytes: config.alerts.pin_size.get() };
    let pins = Pins::open(bounds, folder.as_deref()).map_err(|source| Error::Pins { source })?;
    let alerts = Alerts::open(&config.alerts, folder.as_deref(), pins.clone(), Arc::clone(&kept), bound);
    let store: Arc<dyn TraceStore> = Arc::new(PinnedStore::new(kept, pins));
    let limits = &config.limits;
    let tail = Tail::new(limits.tails);
    let intake = Intake::new(Arc::clone(&store), &config.intake, Arc::new(tail.clone()));
    let throughput = Throughput::default();
    let (wait, time) = (limits.read_wait.get(), limits.read_time.get());
    let reads = waypost_trace_query::Reads::new(Arc::clone(&store), limits.reads, wait, time);
    let api = Api(Arc::new(Shared {
        reads: Reads::new(reads.clone()),
        intake: intake.clone(),
        tail: tail.clone(),
        throughput: throughput.clone(),
        alerts: alerts.clone(),
        bound,
        started: now(),
        transfers: Arc::new(Semaphore::new(limits.transfers)),
        import_size: limits.import_size.as_usize(),
        import_time: limits.import_time.get(),
        record_limits: config.intake.limits.limits(),
    }));

    let mut workers = workers(&telemetry, &store, tail, throughput);
    workers.push(rest::worker(&telemetry, &store, memory));
    workers.extend(alerts.workers(&telemetry));

    // As long as the process: a viewer is built once.
    let page: &'static page::Page = Box::leak(Box::new(page::Page::below(&config.base_path)));
    let ui = Router::new()
        .nest("/api/v1", api::routes(api))
        .nest("/zipkin", waypost_trace_query::zipkin(reads.clone()))
        .merge(waypost_trace_query::jaeger(reads.clone()))
        .merge(waypost_trace_query::prometheus(reads.clone(), move || alerts.samples()))
        // Last: what no API answers is for the page.
        .fallback(move |request: axum::extract::Request| async move { page.serve(&request) });
    let zipkin = intake.zipkin().merge(waypost_trace_query::zipkin(reads));
    Ok(Viewer {
        ui: layers::around_answers(access.page(ui), Room::new(limits.unread.get())),
        otlp_grpc: access.otlp_grpc(intake.otlp_grpc()),
        otlp_http: layers::around(access.otlp_http(intake.otlp_http())),
        zipkin: layers::around(access.zipkin(zipkin)),
        workers,
        checks: vec![check(store)],
        token: access.token(),
    })
}

fn open(config: &Config, data: &DataDir, memory: Memory) -> Result<Arc<dyn TraceStore>, Error> {
    let settings = config.store.settings();
    let Some(folder) = data.folder() else {
        // The budget is meant for a disk.
        let budget_bytes = settings.budget_bytes.min(MEMORY_BUDGET);
        return Ok(Arc::new(MemoryStore::new(store::Settings { budget_bytes, ..settings })));
    };
    let folder = folder.join("viewer");
    let opened = BlockStore::open_with(&folder, settings, memory.on_idle);
    let store = opened.map_err(|source| Error::Store { folder, source })?;
    Ok(Arc::new(store))
}

fn workers(
    telemetry: &Telemetry,
    store: &Arc<dyn TraceStore>,
    tail: Tail,
    throughput: Throughput,
) -> Vec<Worker> {
    let tails = Worker::new("viewer-tails", move |drain| async move {
        drain.started().await;
        tail.close();
    });
    let (sampled, context) = (Arc::clone(store), telemetry.context());
    let samples = Worker::new("viewer-throughput", move |drain| {
        with_context(context, async move {
            tokio::select! { () = drain.started() => {}, () = sample(sampled, throughput) => {} }
        })
    });
    let (closed, context) = (Arc::clone(store), telemetry.context());
    let close = Worker::new("viewer-store", move |drain| {
        with_context(context, async move {
            drain.closing().await;
            closed.close().await;
        })
    });
    vec![tails, samples, close]
}

/// Never ends.
async fn sample(store: Arc<dyn TraceStore>, throughput: Throughput) {
    let mut ticks = interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let store = Arc::clone(&store);
        // The store may hold its account while it writes.
        let ledger = spawn_blocking(move || store.ledger()).await;
        if let Ok(ledger) = ledger {
            throughput.sample(&ledger, now());
        }
    }
}

fn check(store: Arc<dyn TraceStore>) -> Check {
    Check::new("viewer-store", move || {
        let store = Arc::clone(&store);
        async move {
            // Usage is read from the disk, and under locks that a writer may hold.
            let usage = spawn_blocking(move || store.usage()).await;
            usage.map_err(|_| "the store cannot be asked".to_owned())?.trouble.map_or(Ok(()), Err)
        }
    })
}
