//! A cache in front of a lookup.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};

use crate::Cache;

/// How a lookup ended, for everybody who waited for it.
type Outcome<V, E> = Result<Arc<V>, Arc<E>>;

type Lookup<V, E> = BoxFuture<'static, Outcome<V, E>>;

/// Looks into a cache, and where there is no copy, at the truth. Cheap to clone.
///
/// Callers of this process that miss the same key at the same time share one lookup, also its failure; those of other
/// processes do not. A lookup goes on as long as one of its callers waits.
pub struct ReadThrough<V, E> {
    cache: Arc<dyn Cache<V>>,
    running: Arc<Running<V, E>>,
}

impl<V, E> ReadThrough<V, E>
where
    V: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// In front of lookups that each call brings along.
    pub fn new(cache: Arc<dyn Cache<V>>) -> Self {
        Self { cache, running: Arc::default() }
    }

    /// The copy under a key, if the cache has one.
    pub async fn cached(&self, key: &str) -> Option<Arc<V>> {
        self.cache.get(key).await
    }

    /// What a lookup finds, which is kept; or what another caller's lookup finds that is running already. A failure is
    /// not kept.
    ///
    /// # Errors
    /// The failure of the lookup.
    ///
    /// Cancel safety: dropped, it leaves the lookup to the callers that still wait; without any, the lookup is dropped.
    pub async fn look_up<F>(&self, key: &str, lookup: F) -> Outcome<V, E>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        self.running.join(key, || self.keep(key, lookup)).await
    }

    /// Gives up the copy under a key, as what it is a copy of has changed. A lookup that is under way keeps nothing, and who
    /// comes from now on does not join it.
    ///
    /// Cancel safety: dropped, the copy may or may not have been given up.
    pub async fn forget(&self, key: &str) {
        self.running.changed(Some(key));
        self.cache.forget(key).await;
    }

    /// Gives up every copy that is in this process, as any of them may have changed.
    ///
    /// Cancel safety: dropped, some copies may have been given up.
    pub async fn forget_all(&self) {
        self.running.changed(None);
        self.cache.forget_all().await;
    }

    fn keep<F>(&self, key: &str, lookup: F) -> Lookup<V, E>
    where
        F: Future<Output = Result<V, E>> + Send + 'static,
    {
        let (cache, running, key) = (Arc::clone(&self.cache), Arc::clone(&self.running), key.to_owned());
        async move {
            let before = running.changes();
            // Another lookup may have ended since the caller looked into the cache.
            if let Some(value) = cache.get(&key).await {
                return Ok(value);
            }
            let value = Arc::new(lookup.await.map_err(Arc::new)?);
            if running.changes() == before {
                cache.put(&key, Arc::clone(&value)).await;
                if running.changes() != before {
                    // It may be of before the change, and have been put after it was given up.
                    cache.forget(&key).await;
                }
            }
            Ok(value)
        }
        .boxed()
    }
}

impl<V, E> Clone for ReadThrough<V, E> {
    fn clone(&self) -> Self {
        Self { cache: Arc::clone(&self.cache), running: Arc::clone(&self.running) }
    }
}

impl<V, E> fmt::Debug for ReadThrough<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThrough").finish_non_exhaustive()
    }
}

/// The lookups that somebody waits for. An entry goes with its lookup, however that ends.
struct Running<V, E> {
    lookups: Mutex<Lookups<V, E>>,
}

struct Lookups<V, E> {
    by_key: HashMap<Box<str>, Entry<V, E>>,
    started: u64,
    /// How often copies were given up.
    changes: u64,
}

struct Entry<V, E> {
    number: u64,
    lookup: WeakShared<Lookup<V, E>>,
}

impl<V, E> Default for Running<V, E> {
    fn default() -> Self {
        Self { lookups: Mutex::new(Lookups { by_key: HashMap::new(), started: 0, changes: 0 }) }
    }
}

impl<V, E> Running<V, E>
where
    V: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// The running lookup of a key, or the one that is to be started.
    fn join(self: &Arc<Self>, key: &str, start: impl FnOnce() -> Lookup<V, E>) -> Shared<Lookup<V, E>> {
        let mut lookups = self.lock();
        if let Some(running) = lookups.by_key.get(key).and_then(|entry| entry.lookup.upgrade()) {
            return running;
        }
        lookups.started += 1;
        let number = lookups.started;
        let ended = Ended { running: Arc::clone(self), key: key.into(), number };
        let lookup = start();
        let lookup = async move {
            let _ended = ended;
            lookup.await
        };
        let lookup = lookup.boxed().shared();
        if let Some(weak) = lookup.downgrade() {
            lookups.by_key.insert(key.into(), Entry { number, lookup: weak });
        }
        lookup
    }
}

impl<V, E> Running<V, E> {
    /// Of one key, or of any. What is under way belongs to those that wait for it already.
    fn changed(&self, key: Option<&str>) {
        let mut lookups = self.lock();
        lookups.changes += 1;
        match key {
            Some(key) => drop(lookups.by_key.remove(key)),
            None => lookups.by_key.clear(),
        }
    }

    fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, Lookups<V, E>> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a lookup off the list when it is dropped, at its end or before.
struct Ended<V, E> {
    running: Arc<Running<V, E>>,
    key: Box<str>,
    number: u64,
}

impl<V, E> Drop for Ended<V, E> {
    fn drop(&mut self) {
        let mut lookups = self.running.lock();
        // After the last caller has gone and before this, another one may have started a new lookup.
        if lookups.by_key.get(&self.key).is_some_and(|entry| entry.number == self.number) {
            lookups.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
