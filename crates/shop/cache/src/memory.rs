//! Copies in the memory of this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::Cache;

/// A cache for one process. When it is full, what is used least makes room.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use std::{sync::Arc, time::Duration};
/// use waypost_cache::{Cache as _, Memory};
///
/// let prices = Memory::new(1_000, Duration::from_secs(30));
/// prices.put("prod456", Arc::new(49.995)).await;
/// assert_eq!(prices.get("prod456").await.as_deref(), Some(&49.995));
/// assert_eq!(prices.get("prod457").await, None);
/// # });
/// ```
pub struct Memory<V> {
    copies: moka::future::Cache<Box<str>, Arc<V>>,
}

impl<V: Send + Sync + 'static> Memory<V> {
    /// An empty cache for so many copies, each kept for so long.
    pub fn new(capacity: u64, time_to_live: Duration) -> Self {
        let copies = moka::future::Cache::builder().max_capacity(capacity).time_to_live(time_to_live).build();
        Self { copies }
    }
}

impl<V> fmt::Debug for Memory<V> {
    /// Shows no copy: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl<V: Send + Sync + 'static> Cache<V> for Memory<V> {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Arc<V>>> {
        Box::pin(self.copies.get(key))
    }

    fn put<'a>(&'a self, key: &'a str, value: Arc<V>) -> BoxFuture<'a, ()> {
        Box::pin(self.copies.insert(key.into(), value))
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(self.copies.invalidate(key))
    }

    fn forget_all(&self) -> BoxFuture<'_, ()> {
        self.copies.invalidate_all();
        Box::pin(std::future::ready(()))
    }
}
