//! The contract of a store of failures, on the embedded store and on Redis.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use waypost_redis::SharedFailures;
use waypost_resilience::throttle::{Attempt, FailureStore, Failures, Leave, Outcome, Rule};
use waypost_telemetry::Telemetry;
use waypost_test_servers::redis::Keys;

use crate::{Redis, settings, shared, until};

/// Waits that no test outlasts.
fn rule(free: u32) -> Rule {
    Rule {
        name: "login",
        free: NonZeroU32::new(free).unwrap(),
        first_wait: Duration::from_hours(1),
        window: Duration::from_hours(10),
    }
}

async fn embedded(rule: Rule) -> Arc<dyn FailureStore> {
    Arc::new(Failures::new(rule))
}

async fn redis(rule: Rule) -> Arc<dyn FailureStore> {
    Arc::new(shared().await.failures(rule))
}

macro_rules! on_each_store {
    ($($name:ident),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test] async fn $name() { super::$name(super::embedded).await; })*
        }
        mod on_redis {
            $(#[tokio::test] async fn $name() { super::$name(super::redis).await; })*
        }
    };
}

on_each_store!(
    failures_beyond_the_free_ones_wait,
    each_further_failure_waits_twice_as_long,
    a_success_forgets_the_failures_before_it,
    failures_are_forgotten_after_the_window,
    one_key_does_not_slow_down_another,
    failures_side_by_side_are_as_many_as_are_free,
    successes_side_by_side_are_all_let_through,
    an_attempt_that_is_given_up_counts_as_nothing,
);

async fn begin(store: &dyn FailureStore, key: &str) -> Result<Attempt, Duration> {
    match store.begin(key).await.unwrap() {
        Leave::Given(attempt) => Ok(attempt),
        Leave::Wait(time) => Err(time),
    }
}

/// One attempt; whether it was let through.
async fn attempt(store: &dyn FailureStore, key: &str, outcome: Outcome) -> bool {
    match begin(store, key).await {
        Ok(attempt) => {
            attempt.end(outcome).await.unwrap();
            true
        }
        Err(_) => false,
    }
}

async fn failures_beyond_the_free_ones_wait(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(rule(3)).await;
    assert_eq!(store.rule(), &rule(3));
    for _ in 0..3 {
        assert!(attempt(&*store, "ada 192.0.2.1", Outcome::Failure).await);
    }
    for _ in 0..5 {
        let wait = begin(&*store, "ada 192.0.2.1").await.unwrap_err();
        assert!((Duration::from_mins(50)..=Duration::from_hours(1)).contains(&wait), "{wait:?}");
    }
}

async fn each_further_failure_waits_twice_as_long(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(Rule { first_wait: Duration::from_millis(1), ..rule(1) }).await;
    let mut longest = Duration::ZERO;
    // 2^20 milliseconds are 17 minutes.
    for _ in 0..5 {
        until("it may fail again", async || attempt(&*store, "a", Outcome::Failure).await).await;
        if let Err(wait) = begin(&*store, "a").await {
            longest = longest.max(wait);
        }
    }
    assert!(longest <= Duration::from_millis(16), "{longest:?}");
    let store = open(Rule { first_wait: Duration::from_hours(9), ..rule(1) }).await;
    assert!(attempt(&*store, "a", Outcome::Failure).await);
    let wait = begin(&*store, "a").await.unwrap_err();
    assert!((Duration::from_hours(8)..=Duration::from_hours(9)).contains(&wait), "{wait:?}");
}

async fn a_success_forgets_the_failures_before_it(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(rule(2)).await;
    for _ in 0..3 {
        assert!(attempt(&*store, "a", Outcome::Failure).await);
        assert!(attempt(&*store, "a", Outcome::Success).await);
    }
    for _ in 0..2 {
        assert!(attempt(&*store, "a", Outcome::Failure).await);
    }
    assert!(!attempt(&*store, "a", Outcome::Success).await);
}

async fn failures_are_forgotten_after_the_window(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let window = Duration::from_millis(50);
    let store = open(Rule { first_wait: window, window, ..rule(1) }).await;
    for _ in 0..5 {
        until("it may fail again", async || attempt(&*store, "a", Outcome::Failure).await).await;
        let wait = begin(&*store, "a").await.err().unwrap_or_default();
        assert!(wait <= window, "never longer than the window: {wait:?}");
    }
}

async fn one_key_does_not_slow_down_another(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(rule(1)).await;
    for key in ["ada 192.0.2.1", "ada 192.0.2.2", "grace 192.0.2.1", "ada ", "{ada}", "ü\n"] {
        assert!(attempt(&*store, key, Outcome::Failure).await, "{key}");
        assert!(!attempt(&*store, key, Outcome::Failure).await, "{key}");
    }
}

async fn failures_side_by_side_are_as_many_as_are_free(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(rule(3)).await;
    let attempts = (0..20).map(|_| attempt(&*store, "a", Outcome::Failure));
    let let_through = join_all(attempts).await.into_iter().filter(|is_let_through| *is_let_through).count();
    assert_eq!(let_through, 3);
}

async fn successes_side_by_side_are_all_let_through(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(rule(2)).await;
    let attempts = (0..20).map(|_| attempt(&*store, "a", Outcome::Success));
    assert!(join_all(attempts).await.into_iter().all(|is_let_through| is_let_through));
}

async fn an_attempt_that_is_given_up_counts_as_nothing(open: impl AsyncFn(Rule) -> Arc<dyn FailureStore>) {
    let store = open(rule(1)).await;
    for _ in 0..5 {
        // The one before is under way until the store has heard that it is not.
        drop(begin(&*store, "a").await.unwrap());
    }
    assert!(attempt(&*store, "a", Outcome::Failure).await);
}

/// Stores of several processes.
async fn processes<const COUNT: usize>(keys: &Keys, rule: &Rule) -> [SharedFailures; COUNT] {
    let settings = settings(keys.url(), keys.prefix());
    let mut stores = Vec::new();
    for _ in 0..COUNT {
        stores.push(Redis::open(&settings, &Telemetry::disabled()).await.unwrap().failures(rule.clone()));
    }
    stores.try_into().unwrap()
}

#[tokio::test]
async fn several_processes_count_failures_together() {
    let stores = processes::<3>(&Keys::own(), &rule(4)).await;
    let attempts = (0..30).map(|number| attempt(&stores[number % 3], "a", Outcome::Failure));
    let let_through = join_all(attempts).await.into_iter().filter(|is_let_through| *is_let_through).count();
    assert_eq!(let_through, 4);
    for store in &stores {
        assert!(!attempt(store, "a", Outcome::Success).await);
    }
}

#[tokio::test]
async fn an_attempt_that_depends_on_another_processs_waits_for_its_end() {
    let [one, other] = processes::<2>(&Keys::own(), &rule(1)).await;
    for outcome in [Outcome::Success, Outcome::Neither, Outcome::Failure] {
        let under_way = begin(&one, "a").await.unwrap();
        // Whichever comes first: the question or the end of what it depends on.
        let (waited, ended) = tokio::join!(begin(&other, "a"), under_way.end(outcome));
        ended.unwrap();
        match waited {
            Ok(attempt) => attempt.end(Outcome::Success).await.unwrap(),
            Err(_) => assert_eq!(outcome, Outcome::Failure),
        }
    }
    begin(&other, "a").await.unwrap_err();
}

#[tokio::test]
async fn what_is_kept_ends_by_itself_and_nonsense_is_an_empty_key() {
    let keys = Keys::own();
    let [store] = processes(&keys, &rule(1)).await;
    let client = redis::Client::open(keys.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}failures:login:a", keys.prefix());
    let left: i64 = {
        drop(store.begin("a").await.unwrap());
        let leave = store.begin("a").await.unwrap();
        let left = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        let Leave::Given(attempt) = leave else { panic!("it has to wait") };
        attempt.end(Outcome::Success).await.unwrap();
        left
    };
    assert!((1..=15_000).contains(&left), "the place of a process that dies: {left}");
    let is_there: bool = redis::cmd("EXISTS").arg(&key).query_async(&mut connection).await.unwrap();
    assert!(!is_there, "nothing has failed");
    assert!(attempt(&store, "a", Outcome::Failure).await);
    let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!((35_000_000..=36_000_000).contains(&left), "{left}");

    // Of a process that died long ago, of a clock that was ahead, and of whoever may write to the server.
    for text in ["0 0 ab:1", "0 0 ab:99999999999999", "nonsense", "x y z", " ", "0 0 *:5 -1:-1"] {
        let () = redis::cmd("SET").arg(&key).arg(text).query_async(&mut connection).await.unwrap();
        assert!(attempt(&store, "a", Outcome::Success).await, "{text:?}");
    }
    let milliseconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let () = redis::cmd("SET")
        .arg(&key)
        .arg(format!("3 {milliseconds}"))
        .query_async(&mut connection)
        .await
        .unwrap();
    let wait = begin(&store, "a").await.unwrap_err();
    assert!((Duration::from_hours(3)..=Duration::from_hours(4)).contains(&wait), "of the third: {wait:?}");
    // A clock that was set back makes nobody wait for longer.
    let () = redis::cmd("SET").arg(&key).arg("1 99999999999999").query_async(&mut connection).await.unwrap();
    assert!(begin(&store, "a").await.unwrap_err() <= Duration::from_hours(1));
}
