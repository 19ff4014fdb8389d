//! Copies of what is true elsewhere, kept for a while so that it need not be asked for each time.
//!
//! For services that read the same rows over and over. [`Cache`] is the port: [`Memory`] keeps the copies in the process,
//! another implementation may keep them where several processes find them, and [`Layered`] puts the first in front of the
//! second. [`ReadThrough`] puts a cache in front of a lookup and lets callers that miss the same key at the same time share
//! it.
//!
//! Invariants:
//! - A copy is never the truth: whatever may only be decided by the truth asks the store. So a cache may forget at any
//!   time, and one that cannot be reached is an empty one.
//! - What is kept is bounded, in number or in time, and an entry is gone when its time to live is over.
//!
//! Left out: hearing of changes. Whoever does tells each process's own cache ([`Cache::forget`]), which forgets at once; where
//! nobody does, a change is seen when the copy has run out.

mod layered;
mod memory;
mod read_through;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use layered::Layered;
pub use memory::Memory;
pub use read_through::ReadThrough;

/// Copies by key, each for the cache's time to live.
///
/// A copy is handed out behind an `Arc`, so that a cache in memory copies nothing; one that keeps bytes makes a value of
/// them each time.
///
/// What an implementation owes: it keeps a copy no longer than its time to live, counted from when it was put; it bounds
/// what it keeps; and it answers within a time-out of its own that is short beside the lookup it saves. It has no error
/// to give back, as nothing is lost when it fails: it counts and logs its failures itself.
pub trait Cache<V>: fmt::Debug + Send + Sync + 'static {
    /// The copy under a key. `None` also when the cache cannot be asked.
    ///
    /// Cancel safe.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Arc<V>>>;

    /// Keeps a copy under a key, in the place of one that is there. May have no effect.
    ///
    /// Cancel safety: dropped, it may or may not have kept the copy.
    fn put<'a>(&'a self, key: &'a str, value: Arc<V>) -> BoxFuture<'a, ()>;

    /// Gives up the copy under a key, as what it is a copy of has changed. Whoever puts the old value back afterwards has to
    /// see to that ([`ReadThrough::forget`] does).
    ///
    /// Cancel safety: dropped, it may or may not have given it up.
    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()>;

    /// Gives up every copy that is in this process, as any of them may have changed. Those that several processes share may
    /// stay until they run out.
    ///
    /// Cancel safety: dropped, it may have given up some.
    fn forget_all(&self) -> BoxFuture<'_, ()>;
}
