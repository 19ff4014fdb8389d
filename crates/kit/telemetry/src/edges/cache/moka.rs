//! Around `moka::future::Cache`, whose callers share a load.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::sync::Arc;

use moka::future::{Cache as Moka, CacheBuilder};
use moka::notification::RemovalCause;

use super::{Cache, Eviction};
use crate::base::error::AsErrorType;

impl Cache {
    /// A builder of moka that tells this cache of what is removed and why. It is the builder's eviction listener; one of the
    /// program takes its place and may call [`Cache::evicted`] itself.
    pub fn listening<K, V, C>(&self, builder: CacheBuilder<K, V, C>) -> CacheBuilder<K, V, C>
    where
        K: Eq + Hash + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        let cache = self.clone();
        builder.eviction_listener(move |_, _, cause| cache.evicted(reason_of(cause)))
    }

    /// A cache of moka whose look-ups are counted.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("price-service");
    /// let cache = telemetry.cache("prices").load_spans(true);
    /// let prices = cache.moka(cache.listening(moka::future::Cache::builder().max_capacity(1_000)).build());
    /// let price = prices.try_get_with("prod456", async { Ok::<_, std::io::Error>(4_995) }).await?;
    /// assert_eq!((price, prices.get(&"prod456").await), (4_995, Some(4_995)));
    /// telemetry.tree().assert_matches("\"load prices\" INTERNAL price-service cache.name=prices");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn moka<K, V, S>(&self, cache: Moka<K, V, S>) -> TracedMoka<K, V, S>
    where
        K: Eq + Hash + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
        S: BuildHasher + Clone + Send + Sync + 'static,
    {
        TracedMoka::new(self.clone(), cache)
    }
}

fn reason_of(cause: RemovalCause) -> Eviction {
    match cause {
        RemovalCause::Expired => Eviction::Expired,
        RemovalCause::Explicit => Eviction::Explicit,
        RemovalCause::Replaced => Eviction::Replaced,
        RemovalCause::Size => Eviction::Size,
    }
}

/// A cache of moka whose look-ups are counted. Clones share it; everything that is not here is called on the cache itself,
/// uncounted.
pub struct TracedMoka<K, V, S = std::hash::RandomState> {
    cache: Cache,
    moka: Moka<K, V, S>,
    /// As long as it is there the entries are shown.
    shown: Arc<()>,
}

impl<K, V, S> TracedMoka<K, V, S>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn new(cache: Cache, moka: Moka<K, V, S>) -> Self {
        let shown = Arc::new(());
        let (observed, isshown) = (moka.clone(), Arc::downgrade(&shown));
        cache.observe(move || isshown.upgrade().map(|_| observed.entry_count()));
        Self { cache, moka, shown }
    }

    /// The value, if it is there.
    pub async fn get(&self, key: &K) -> Option<V> {
        let found = self.moka.get(key).await;
        self.cache.looked_up(found.is_some());
        found
    }

    /// The value, or what is loaded. Callers that miss at the same time share one load; those that did not load count as hits.
    pub async fn get_with(&self, key: K, load: impl Future<Output = V>) -> V {
        let loaded = async { self.cache.load(async { Ok::<_, std::convert::Infallible>(load.await) }).await };
        let entry = self.moka.entry(key).or_insert_with(async {
            let Ok(value) = loaded.await;
            value
        });
        let entry = entry.await;
        self.cache.looked_up(!entry.is_fresh());
        entry.into_value()
    }

    /// As [`get_with`](Self::get_with), for a load that can fail; nothing is kept then, and all who waited for it get the error.
    ///
    /// # Errors
    /// That of the load.
    pub async fn try_get_with<E>(&self, key: K, load: impl Future<Output = Result<V, E>>) -> Result<V, Arc<E>>
    where
        E: AsErrorType + Send + Sync + 'static,
    {
        let entry = self.moka.entry(key).or_try_insert_with(self.cache.load(load)).await;
        self.cache.looked_up(entry.as_ref().is_ok_and(|entry| !entry.is_fresh()));
        entry.map(moka::Entry::into_value)
    }
}

/// What is done to the cache itself is not counted.
impl<K, V, S> Deref for TracedMoka<K, V, S> {
    type Target = Moka<K, V, S>;

    fn deref(&self) -> &Self::Target {
        &self.moka
    }
}

impl<K, V, S> Clone for TracedMoka<K, V, S> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), moka: self.moka.clone(), shown: Arc::clone(&self.shown) }
    }
}

impl<K, V, S> fmt::Debug for TracedMoka<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedMoka").field("cache", &self.cache).finish_non_exhaustive()
    }
}
