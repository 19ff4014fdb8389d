//! Copies in this process in front of those that several processes share.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{Cache, Memory};

/// A near cache in front of a far one.
///
/// A copy is never older than both times to live together: it may come from the far cache at the end of its time there.
/// While the far one is away, the near one serves alone.
pub struct Layered<V> {
    near: Memory<V>,
    far: Arc<dyn Cache<V>>,
}

impl<V: Send + Sync + 'static> Layered<V> {
    /// A cache of two levels.
    pub fn new(near: Memory<V>, far: Arc<dyn Cache<V>>) -> Self {
        Self { near, far }
    }
}

impl<V> fmt::Debug for Layered<V> {
    /// Shows no copy: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("near", &self.near).field("far", &self.far).finish()
    }
}

impl<V: Send + Sync + 'static> Cache<V> for Layered<V> {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Arc<V>>> {
        Box::pin(async move {
            if let Some(value) = self.near.get(key).await {
                return Some(value);
            }
            let value = self.far.get(key).await?;
            self.near.put(key, Arc::clone(&value)).await;
            Some(value)
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Arc<V>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.near.put(key, Arc::clone(&value)).await;
            self.far.put(key, value).await;
        })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // The far one first: otherwise the near one could take the old copy from it in between.
            self.far.forget(key).await;
            self.near.forget(key).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn memory() -> Memory<u32> {
        Memory::new(10, Duration::from_mins(1))
    }

    #[tokio::test]
    async fn a_copy_of_the_far_cache_is_kept_near() {
        let far = Arc::new(memory());
        let layered = Layered::new(memory(), Arc::clone(&far) as Arc<dyn Cache<u32>>);
        far.put("a", Arc::new(1)).await;
        assert_eq!(layered.get("a").await.as_deref(), Some(&1));
        far.forget("a").await;
        assert_eq!(layered.get("a").await.as_deref(), Some(&1), "from near");
        layered.put("b", Arc::new(2)).await;
        assert_eq!(far.get("b").await.as_deref(), Some(&2));
        layered.forget("b").await;
        assert_eq!((layered.get("b").await, far.get("b").await), (None, None));
    }
}
