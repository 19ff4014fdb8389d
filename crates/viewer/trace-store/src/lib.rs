//! Where spans are kept: a small trait, and two stores behind it.
//!
//! [`BlockStore`] keeps blocks of columns in SQLite files and answers an append only after it is durable.
//! [`MemoryStore`] serves tests and `--ephemeral`. Both pass the same contract tests.
//!
//! Invariants:
//! - What an append acknowledged is found at once, and after `kill -9`, once.
//! - The ledger is exact: for each service, received = stored + refused + evicted.
//! - Every bound of a query is applied while reading; nothing reads everything and cuts afterwards.

mod assemble;
mod block;
mod book;
mod clock;
mod evaluate;
mod ledger;
mod logs;
mod losses;
mod memory;
mod place;
mod query;
mod recent;
mod settings;
mod store;
mod survey;

pub use clock::now;
pub use ledger::{EvictionReason, Ledger, ServiceLedger, Usage};
pub use logs::{FoundLogs, LogQuery};
pub use memory::MemoryStore;
pub use query::{AttributeFilter, Cursor, Found, Match, NanoRange, Order, Query, SpanFilter, Test};
pub use settings::{Durability, Settings};
pub use store::{BlockStore, OpenError};
pub use survey::{Column, Columns, Field, Fields, Survey, Surveyed};

use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc};
use waypost_trace_model::{Batch, LogRecord, Skeleton, Span, SpanId, Trace, TraceId, TraceSummary};
use waypost_trace_statistics::Statistics;

/// A place for spans. Reading blocks on the disk: call it inside `spawn_blocking`.
pub trait TraceStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps a batch, and counts what it says was refused. Resolves when both are durable.
    ///
    /// The store may refuse spans itself (a trace that is full, a request that it already has); the receipt says so.
    /// Dropping the future does not take the batch back, unless it still waits for room in memory, which is a moment at
    /// most: a store that has none by then refuses the batch. Poll it in a tokio runtime with a timer.
    ///
    /// Everything that takes long on the processor (encoding, digests, packing: tenths of a second for a batch of tens
    /// of megabytes) is done in this call, on the caller's thread, before the future is returned; the future only waits
    /// for the answer. Call it inside `spawn_blocking` when the batch is large.
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<Receipt, AppendError>>;

    /// Traces in which every filter of the query is met, a page at a time.
    fn find(&self, query: &Query) -> Result<Found, ReadError>;

    /// One line for each of these traces, in the same order; those that are not kept are left out.
    fn summaries(&self, traces: &[TraceId]) -> Result<Vec<TraceSummary>, ReadError>;

    /// The spans of a trace without their attributes.
    fn skeleton(&self, trace: TraceId) -> Result<Option<Skeleton>, ReadError>;

    /// Ids of the spans of a trace that meet a filter, by start, at most `limit`.
    fn matching(&self, trace: TraceId, filter: &SpanFilter, limit: usize) -> Result<Vec<SpanId>, ReadError>;

    /// Some spans of a trace, whole, with the log records written during them. More than one span has the same id when a
    /// client erred.
    fn spans(&self, trace: TraceId, spans: &[SpanId]) -> Result<(Vec<Span>, Vec<LogRecord>), ReadError>;

    /// Log records that meet a query, by time, a page at a time; those without a trace too.
    fn logs(&self, query: &LogQuery) -> Result<FoundLogs, ReadError>;

    /// Whole traces, in the same order; those that are not kept are left out.
    fn traces(&self, traces: &[TraceId]) -> Result<Vec<Trace>, ReadError>;

    /// Visits the spans that meet a query, many at once and column by column, those in blocks the newest block first.
    fn survey(&self, survey: &Survey, visit: &mut dyn FnMut(&Columns)) -> Result<Surveyed, ReadError>;

    /// Figures and names of everything that was received.
    fn statistics(&self) -> &Statistics;

    /// What was received, and what became of it.
    fn ledger(&self) -> Ledger;

    /// What is kept now, and what there is room for.
    fn usage(&self) -> Usage;

    /// Writes what is still to be written and closes the files. Later calls fail with an error.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Spans kept.
    pub spans: u64,
    /// Log records kept.
    pub logs: u64,
    /// Spans that the store itself refused because their traces are full.
    pub trace_limit: u64,
    /// True when the store already had this very request; nothing was kept again.
    pub is_repeat: bool,
}

/// Why a batch was not kept. Nothing of it is kept then, and the ledger says so.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Too much is on its way to the disk; try again after a moment.
    #[error("the store is behind; try again")]
    Overloaded,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The disk failed.
    #[error("cannot write to the store: {0}")]
    Failed(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk failed.
    #[error("cannot read from the store: {0}")]
    Failed(String),
    /// A block is damaged. It was set aside: the same question is answered without it.
    #[error("{what}; it was set aside: ask again")]
    Damaged {
        /// The number of its file.
        file: u64,
        /// Its number in the file.
        block: u32,
        /// Where it is and what is wrong.
        what: String,
    },
    /// The cursor is not one that this store gave out.
    #[error("the cursor is not valid; begin again without one")]
    InvalidCursor,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}
