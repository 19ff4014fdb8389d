//! Copies of values that are true elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use waypost_cache::Cache;

use crate::link::Link;

/// How a value becomes bytes and back. Processes of two versions may share copies: what one cannot read, or reads as another
/// version's, is `None` and counts as no copy.
#[derive(Debug)]
pub struct Codec<V> {
    /// To bytes; `None` leaves the value uncopied.
    pub encode: fn(&V) -> Option<Vec<u8>>,
    /// From the bytes under a key, that some process wrote, or anybody who may write to the server.
    pub decode: fn(&str, &[u8]) -> Option<V>,
}

impl<V> Clone for Codec<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Codec<V> {}

/// A cache in Redis, shared by everybody who has the same prefix and name.
pub struct Copies<V> {
    link: Arc<Link>,
    prefix: String,
    time_to_live: Duration,
    codec: Codec<V>,
}

impl<V> Copies<V> {
    pub(crate) fn new(
        link: Arc<Link>,
        prefix: &str,
        name: &'static str,
        time_to_live: Duration,
        codec: Codec<V>,
    ) -> Self {
        Self { link, prefix: format!("{prefix}copy:{name}:"), time_to_live, codec }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// An eighth less at most.
    fn milliseconds(&self) -> u64 {
        let time = self.time_to_live.mul_f64(1.0 - fastrand::f64() / 8.0);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

impl<V: Send + Sync + 'static> Cache<V> for Copies<V> {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Arc<V>>> {
        Box::pin(async move {
            let mut get = redis::cmd("GET");
            get.arg(self.key(key));
            let asked =
                self.link.ask("get", async |connection| get.query_async::<Option<Vec<u8>>>(connection).await);
            let bytes = asked.await.ok()??;
            (self.codec.decode)(key, &bytes).map(Arc::new)
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Arc<V>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some(bytes) = (self.codec.encode)(&value) else { return };
            let mut set = redis::cmd("SET");
            set.arg(self.key(key)).arg(bytes).arg("PX").arg(self.milliseconds());
            // Counted by the link; a copy that is not kept is looked up again.
            let _ = self.link.ask("put", async |connection| set.query_async::<()>(connection).await).await;
        })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(self.key(key));
            // While it is away nobody finds the copy; it is gone with its time to live at the latest.
            let _ =
                self.link.ask("forget", async |connection| unlink.query_async::<()>(connection).await).await;
        })
    }

    /// None is in this process.
    fn forget_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl<V> fmt::Debug for Copies<V> {
    /// Shows no copy: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
