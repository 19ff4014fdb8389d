use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::Memory;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing;

/// Lookups that wait until they are let go, and are counted.
#[derive(Clone)]
struct Source {
    begun: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
    found: Result<u32, Missing>,
}

impl Source {
    fn of(found: Result<u32, Missing>) -> Self {
        Self { begun: Arc::default(), gate: Arc::new(Semaphore::new(0)), found }
    }

    fn look_up(&self) -> impl Future<Output = Result<u32, Missing>> + Send + use<> {
        let source = self.clone();
        async move {
            source.begun.fetch_add(1, Ordering::Relaxed);
            drop(source.gate.acquire().await);
            source.found
        }
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }
}

fn in_memory() -> ReadThrough<u32, Missing> {
    ReadThrough::new(Arc::new(Memory::new(100, Duration::from_mins(1))))
}

/// A cache that cannot be reached.
#[derive(Debug)]
struct Away;

impl Cache<u32> for Away {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Arc<u32>>> {
        Box::pin(async { None })
    }

    fn put<'a>(&'a self, _: &'a str, _: Arc<u32>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn forget<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn forget_all(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Polls a future once, so that it waits.
async fn begin<T>(future: &mut (impl Future<Output = T> + Unpin)) {
    std::future::poll_fn(|context| {
        assert!(future.poll_unpin(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn what_was_looked_up_comes_from_the_cache() {
    let (values, source) = (in_memory(), Source::of(Ok(7)));
    source.gate.add_permits(9);
    assert_eq!(values.cached("a").await, None);
    assert_eq!(values.look_up("a", source.look_up()).await, Ok(Arc::new(7)));
    assert_eq!(values.cached("a").await, Some(Arc::new(7)));
    assert_eq!(values.look_up("a", source.look_up()).await, Ok(Arc::new(7)));
    assert_eq!(source.begun(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_one_key_share_a_lookup_and_its_failure() {
    for found in [Ok(7), Err(Missing)] {
        let (values, source) = (in_memory(), Source::of(found));
        let mut callers = JoinSet::new();
        let arrived = Arc::new(Semaphore::new(0));
        for _ in 0..50 {
            let (values, lookup, arrived) = (values.clone(), source.look_up(), Arc::clone(&arrived));
            callers.spawn(async move {
                let mut answer = std::pin::pin!(values.look_up("a", lookup));
                begin(&mut answer).await;
                arrived.add_permits(1);
                answer.await
            });
        }
        arrived.acquire_many(50).await.unwrap().forget();
        source.gate.add_permits(1000);
        let expected = found.map(Arc::new).map_err(Arc::new);
        assert!(callers.join_all().await.iter().all(|answer| *answer == expected));
        assert_eq!(source.begun(), 1);
    }
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let values = in_memory();
    let failing = Source::of(Err(Missing));
    failing.gate.add_permits(9);
    assert_eq!(values.look_up("a", failing.look_up()).await, Err(Arc::new(Missing)));
    let found = Source::of(Ok(8));
    found.gate.add_permits(9);
    assert_eq!(values.look_up("a", found.look_up()).await, Ok(Arc::new(8)));
}

#[tokio::test]
async fn a_caller_that_goes_leaves_the_lookup_to_the_others() {
    let (values, source) = (in_memory(), Source::of(Ok(7)));
    let mut first = Box::pin(values.look_up("a", source.look_up()));
    begin(&mut first).await;
    let mut second = Box::pin(values.look_up("a", source.look_up()));
    begin(&mut second).await;
    drop(first);
    source.gate.add_permits(9);
    assert_eq!(second.await, Ok(Arc::new(7)));
    assert_eq!(source.begun(), 1);
}

#[tokio::test]
async fn nothing_is_left_of_lookups_that_nobody_waits_for() {
    let (values, source) = (in_memory(), Source::of(Ok(7)));
    for key in ["a", "b", "a"] {
        let mut alone = Box::pin(values.look_up(key, source.look_up()));
        begin(&mut alone).await;
    }
    assert_eq!(source.begun(), 3);
    assert!(values.running.lock().by_key.is_empty());
}

#[tokio::test]
async fn a_cache_that_is_away_costs_lookups_and_no_answer() {
    let values = ReadThrough::new(Arc::new(Away));
    let source = Source::of(Ok(7));
    source.gate.add_permits(9);
    for _ in 0..2 {
        assert_eq!(values.look_up("a", source.look_up()).await, Ok(Arc::new(7)));
    }
    assert_eq!(source.begun(), 2);
}

#[tokio::test]
async fn a_lookup_of_before_a_change_is_not_kept_and_nobody_joins_it() {
    for forgets_all in [false, true] {
        let (users, before, after) = (in_memory(), Source::of(Ok(1)), Source::of(Ok(2)));
        let mut old = JoinSet::new();
        let (asked, lookup) = (users.clone(), before.look_up());
        old.spawn(async move { asked.look_up("a", lookup).await });
        while before.begun() == 0 {
            tokio::task::yield_now().await;
        }
        if forgets_all {
            users.forget_all().await;
        } else {
            users.forget("a").await;
        }
        after.gate.add_permits(1);
        assert_eq!(users.look_up("a", after.look_up()).await, Ok(Arc::new(2)));
        before.gate.add_permits(1);
        assert_eq!(old.join_all().await, [Ok(Arc::new(1))], "it was asked for before");
        assert_eq!(users.cached("a").await, Some(Arc::new(2)));
    }
}
