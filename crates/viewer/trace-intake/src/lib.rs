//! The doors through which spans come in: OTLP over gRPC and HTTP, and Zipkin v2.
//!
//! For the viewer, which serves the three routers and keeps what comes in a [`TraceStore`]. Every door does the same:
//! read the body within its bounds, decompress it within the same bounds, decode it, append it, and answer in the words of
//! the protocol once the store says that it is durable.
//!
//! ```
//! use std::sync::Arc;
//! use waypost_trace_intake::{Intake, Settings, Unobserved};
//! use waypost_trace_store::MemoryStore;
//!
//! let store = Arc::new(MemoryStore::new(waypost_trace_store::Settings::default()));
//! let intake = Intake::new(store, &Settings::default(), Arc::new(Unobserved));
//! let on_4318 = intake.otlp_http();
//! let on_4317 = intake.otlp_grpc();
//! # let _ = (on_4318, on_4317);
//! ```
//!
//! Invariants:
//! - A success is answered only after [`TraceStore::append`] has resolved.
//! - A request that has arrived whole is kept or refused to its end, whether or not its sender still waits.
//! - What is refused is answered by the rules of its protocol and counted in the ledger once: by the store when it came
//!   that far, else from here.
//! - Bodies and what is decoded of them take no more memory than [`Settings::in_flight`]; over it requests are refused at
//!   once. Only while a large request is decoded is it not known yet what it will take; as many are decoded at once as
//!   there are processors, and each is bounded by [`RecordLimits`].
//!
//! Left out: who may send (the viewer's token guard is a layer around these routers), and metrics, which are answered and
//! not kept.

mod account;
mod body;
mod compression;
mod cors;
mod decode;
mod grpc;
mod http;
mod messages;
mod points;
mod receive;
mod refusals;
mod refused;
mod settings;

pub use refused::Refused;
pub use settings::{RecordLimits, Settings};

use account::{Account, Reservation};
use refusals::Refusals;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking};
use waypost_trace_model::{Batch, Limits};
use waypost_trace_store::{AppendError, Receipt, TraceStore};

/// Sees what was kept, for the live tail.
pub trait Observer: Send + Sync {
    /// Called after the append of the batch has resolved. Cheap: it is called for every request.
    fn kept(&self, batch: &Arc<Batch>);
}

/// An observer that looks at nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn kept(&self, _: &Arc<Batch>) {}
}

/// Batches that take up to this much memory are handed to the store where they were decoded; larger ones would hold up
/// other requests while the store packs them.
const INLINE: usize = 256 << 10;

/// Takes spans and log records. Cloning gives another handle to the same store, bounds and account.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn TraceStore>,
    observer: Arc<dyn Observer>,
    refusals: Refusals,
    limits: Limits,
    body_size: usize,
    body_timeout: Duration,
    retry_after: Duration,
    cors_origins: Vec<String>,
    memory: Account,
    calls: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
}

impl Intake {
    /// Into this store.
    pub fn new(store: Arc<dyn TraceStore>, settings: &Settings, observer: Arc<dyn Observer>) -> Intake {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shared = Shared {
            refusals: Refusals::new(Arc::clone(&store)),
            store,
            observer,
            limits: settings.limits.limits(),
            body_size: settings.body_size.as_usize(),
            body_timeout: settings.body_timeout.get(),
            retry_after: settings.retry_after.get(),
            cors_origins: settings.cors_origins.clone(),
            memory: Account::new(settings.in_flight.as_usize()),
            calls: Arc::new(Semaphore::new(settings.calls.min(Semaphore::MAX_PERMITS))),
            decoders: Arc::new(Semaphore::new(processors)),
        };
        Intake { shared: Arc::new(shared) }
    }

    /// Keeps a batch. Resolves when it is durable, or refused and counted.
    ///
    /// Dropping the future does not take the batch back. Must be called inside a tokio runtime.
    pub async fn take(&self, batch: Batch) -> Result<Receipt, Refused> {
        let intake = self.clone();
        let held = intake.shared.memory.part();
        let wire = batch.wire_len();
        finished(waypost_telemetry::spawn(async move { intake.admit(batch, held, wire).await })).await
    }

    /// `POST /v1/traces`, `/v1/logs` and `/v1/metrics`: OTLP over HTTP, protobuf and JSON.
    pub fn otlp_http(&self) -> axum::Router {
        cors::allow(http::otlp::router(self), &self.shared.cors_origins)
    }

    /// The collector services of traces, logs and metrics: OTLP over gRPC.
    pub fn otlp_grpc(&self) -> axum::Router {
        grpc::router(self)
    }

    /// `POST /api/v2/spans`: Zipkin v2, JSON and protobuf.
    pub fn zipkin(&self) -> axum::Router {
        cors::allow(http::zipkin::router(self), &self.shared.cors_origins)
    }

    /// Keeps a batch, within the account: `held` for the body that it was decoded from is left to the end, what the batch
    /// itself takes and `more` bytes are added.
    async fn admit(&self, batch: Batch, mut held: Reservation, more: usize) -> Result<Receipt, Refused> {
        let Shared { store, observer, refusals, .. } = &*self.shared;
        if !held.grow(batch.footprint().saturating_add(more)) {
            refusals.overloaded(&batch);
            return Err(Refused::Overloaded);
        }
        if batch.spans.is_empty() && batch.logs.is_empty() && batch.refused.is_empty() {
            return Ok(Receipt::default());
        }
        let batch = Arc::new(batch);
        let appended = if held.bytes() <= INLINE {
            store.append(Arc::clone(&batch))
        } else {
            let (store, batch) = (Arc::clone(store), Arc::clone(&batch));
            finished(spawn_blocking(move || Ok(store.append(batch)))).await?
        };
        let receipt = appended.await.map_err(Refused::Store)?;
        if receipt.spans > 0 || receipt.logs > 0 {
            observer.kept(&batch);
        }
        Ok(receipt)
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("store", &self.shared.store)
            .field("memory", &self.shared.memory)
            .finish_non_exhaustive()
    }
}

/// What a task came to; one that panicked has kept nothing.
async fn finished<T>(task: tokio::task::JoinHandle<Result<T, Refused>>) -> Result<T, Refused> {
    task.await.unwrap_or_else(|error| Err(Refused::Store(AppendError::Failed(error.to_string()))))
}
