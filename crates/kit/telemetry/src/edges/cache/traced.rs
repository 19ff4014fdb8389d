//! Around any cache that can be looked into.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use super::Cache;
use crate::base::error::AsErrorType;

/// A cache in memory that can be looked into without waiting. [The module](super) has an example.
pub trait Store: Send + Sync + 'static {
    /// What is asked for.
    type Key;
    /// What is kept; cheap to clone.
    type Value: Clone;

    /// The value, if it is there.
    fn look_up(&self, key: &Self::Key) -> Option<Self::Value>;

    /// Keeps a value, in place of one that is there.
    fn keep(&self, key: Self::Key, value: Self::Value);

    /// Gives a value up.
    fn forget(&self, key: &Self::Key);

    /// How many there are, if that can be said.
    fn entries(&self) -> Option<u64> {
        None
    }
}

/// A [`Store`] whose look-ups are counted. Clones share it.
pub struct Traced<S> {
    cache: Cache,
    store: Arc<S>,
}

impl<S: Store> Traced<S> {
    pub(super) fn new(cache: Cache, store: S) -> Self {
        let store = Arc::new(store);
        let observed = Arc::downgrade(&store);
        cache.observe(move || observed.upgrade()?.entries());
        Self { cache, store }
    }

    /// The value, if it is there.
    pub fn get(&self, key: &S::Key) -> Option<S::Value> {
        let found = self.store.look_up(key);
        self.cache.looked_up(found.is_some());
        found
    }

    /// The value, or what is loaded, which is kept then. Callers that miss at the same time load each for itself.
    ///
    /// # Errors
    /// That of the load; nothing is kept then.
    pub async fn get_with<E: AsErrorType>(
        &self,
        key: S::Key,
        load: impl Future<Output = Result<S::Value, E>>,
    ) -> Result<S::Value, E> {
        if let Some(found) = self.get(&key) {
            return Ok(found);
        }
        let loaded = self.cache.load(load).await?;
        self.store.keep(key, loaded.clone());
        Ok(loaded)
    }
}

/// What is done to the cache itself is not counted.
impl<S> Deref for Traced<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.store
    }
}

impl<S> Clone for Traced<S> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), store: Arc::clone(&self.store) }
    }
}

impl<S> fmt::Debug for Traced<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("cache", &self.cache).finish_non_exhaustive()
    }
}
