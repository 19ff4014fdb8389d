//! Copies in this process in front of those that several processes share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;

use crate::{Cache, Memory};

/// A near cache in front of a far one.
///
/// A copy is never older than both times to live together: it may come from the far cache at the end of its time there.
/// While the far one is away, the near one serves alone.
pub struct Layered<V> {
    near: Memory<V>,
    far: Arc<dyn Cache<V>>,
    /// How often something was forgotten, so that a copy that was on its way from the far cache meanwhile is not kept near.
    forgotten: AtomicU64,
}

impl<V: Send + Sync + 'static> Layered<V> {
    /// A cache of two levels.
    pub fn new(near: Memory<V>, far: Arc<dyn Cache<V>>) -> Self {
        Self { near, far, forgotten: AtomicU64::new(0) }
    }
}

impl<V> fmt::Debug for Layered<V> {
    /// Shows no copy: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("near", &self.near).field("far", &self.far).finish_non_exhaustive()
    }
}

impl<V: Send + Sync + 'static> Cache<V> for Layered<V> {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Arc<V>>> {
        Box::pin(async move {
            if let Some(value) = self.near.get(key).await {
                return Some(value);
            }
            let before = self.forgotten.load(Ordering::SeqCst);
            let value = self.far.get(key).await?;
            self.near.put(key, Arc::clone(&value)).await;
            if self.forgotten.load(Ordering::SeqCst) != before {
                self.near.forget(key).await;
                return None;
            }
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
            self.forgotten.fetch_add(1, Ordering::SeqCst);
            // The far one first: otherwise the near one could take the old copy from it in between.
            self.far.forget(key).await;
            self.near.forget(key).await;
        })
    }

    fn forget_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.forgotten.fetch_add(1, Ordering::SeqCst);
            self.far.forget_all().await;
            self.near.forget_all().await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;

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

    /// A far cache whose answers are under way for a while.
    #[derive(Debug)]
    struct Slow {
        copies: Memory<u32>,
        asked: Semaphore,
        answers: Semaphore,
    }

    impl Cache<u32> for Slow {
        fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Arc<u32>>> {
            Box::pin(async move {
                let found = self.copies.get(key).await;
                self.asked.add_permits(1);
                self.answers.acquire().await.unwrap().forget();
                found
            })
        }

        fn put<'a>(&'a self, key: &'a str, value: Arc<u32>) -> BoxFuture<'a, ()> {
            self.copies.put(key, value)
        }

        fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, ()> {
            self.copies.forget(key)
        }

        fn forget_all(&self) -> BoxFuture<'_, ()> {
            self.copies.forget_all()
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_forgotten_on_its_way_is_not_kept_near() {
        for forgets_all in [false, true] {
            let far =
                Arc::new(Slow { copies: memory(), asked: Semaphore::new(0), answers: Semaphore::new(0) });
            let layered = Layered::new(memory(), Arc::clone(&far) as Arc<dyn Cache<u32>>);
            far.put("a", Arc::new(1)).await;
            let changing = async {
                far.asked.acquire().await.unwrap().forget();
                if forgets_all {
                    layered.forget_all().await;
                } else {
                    layered.forget("a").await;
                }
                far.answers.add_permits(1);
            };
            let (found, ()) = tokio::join!(layered.get("a"), changing);
            assert_eq!(found, None);
            far.answers.add_permits(1);
            assert_eq!(layered.get("a").await, None);
        }
    }
}
