//! The contract of a store of rates, on the embedded store and on Redis.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use waypost_resilience::rate_limit::{Buckets, RateStore, Rule, Taken};
use waypost_test_servers::redis::Keys;

use crate::{settings, shared, until};

fn rule(limit: u32, seconds: u64) -> Rule {
    Rule { name: "default", limit: NonZeroU32::new(limit).unwrap(), window: Duration::from_secs(seconds) }
}

async fn embedded(rule: Rule) -> Arc<dyn RateStore> {
    Arc::new(Buckets::new(rule))
}

async fn redis(rule: Rule) -> Arc<dyn RateStore> {
    Arc::new(shared().await.rates(rule))
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
    a_key_may_use_its_limit_at_once_and_no_more,
    a_refusal_takes_nothing,
    one_key_does_not_use_up_the_limit_of_another,
    takings_side_by_side_are_never_more_than_the_rule,
    a_bucket_refills,
    a_large_limit_in_a_short_window_is_counted,
);

async fn a_key_may_use_its_limit_at_once_and_no_more(open: impl AsyncFn(Rule) -> Arc<dyn RateStore>) {
    let store = open(rule(4, 4_000)).await;
    assert_eq!(store.rule().limit.get(), 4);
    for remaining in [3, 2, 1, 0] {
        assert_eq!(store.take("p:user123").await, Ok(Taken::Room { remaining }));
    }
    let Ok(Taken::Full { retry_after }) = store.take("p:user123").await else { panic!("there is room") };
    assert!(retry_after <= Duration::from_secs(1_000), "{retry_after:?}");
    assert!(retry_after > Duration::from_mins(15), "{retry_after:?}");
}

async fn a_refusal_takes_nothing(open: impl AsyncFn(Rule) -> Arc<dyn RateStore>) {
    let store = open(rule(1, 1_000)).await;
    store.take("a").await.unwrap();
    for _ in 0..50 {
        let Ok(Taken::Full { retry_after }) = store.take("a").await else { panic!("there is room") };
        assert!(retry_after <= Duration::from_secs(1_000), "{retry_after:?}");
    }
}

async fn one_key_does_not_use_up_the_limit_of_another(open: impl AsyncFn(Rule) -> Arc<dyn RateStore>) {
    let store = open(rule(1, 1_000)).await;
    for key in ["p:user123", "p:user456", "a:user123", "p:{user123}", "p:user 123\n"] {
        assert_eq!(store.take(key).await, Ok(Taken::Room { remaining: 0 }), "{key}");
    }
    assert!(matches!(store.take("p:user123").await, Ok(Taken::Full { .. })));
}

async fn takings_side_by_side_are_never_more_than_the_rule(open: impl AsyncFn(Rule) -> Arc<dyn RateStore>) {
    let store = open(rule(10, 10_000)).await;
    let takings = (0..100).map(|_| {
        let store = Arc::clone(&store);
        async move { store.take("a").await.unwrap() }
    });
    let taken = futures_util::future::join_all(takings).await;
    assert_eq!(taken.iter().filter(|taken| matches!(taken, Taken::Room { .. })).count(), 10);
}

async fn a_bucket_refills(open: impl AsyncFn(Rule) -> Arc<dyn RateStore>) {
    let store = open(rule(1, 1)).await;
    assert_eq!(store.take("a").await, Ok(Taken::Room { remaining: 0 }));
    until("the bucket refills", async || store.take("a").await == Ok(Taken::Room { remaining: 0 })).await;
}

async fn a_large_limit_in_a_short_window_is_counted(open: impl AsyncFn(Rule) -> Arc<dyn RateStore>) {
    // Seven do not divide the window; what is left must be exact all the same.
    let store = open(rule(7, 7_000_003)).await;
    for remaining in [6, 5, 4, 3, 2, 1, 0] {
        assert_eq!(store.take("a").await, Ok(Taken::Room { remaining }));
    }
    assert!(matches!(store.take("a").await, Ok(Taken::Full { .. })));
    let many = open(Rule { limit: NonZeroU32::MAX, ..rule(1, 1) }).await;
    assert!(matches!(many.take("a").await, Ok(Taken::Room { .. })));
}

#[tokio::test]
async fn several_processes_share_one_rate() {
    let keys = Keys::own();
    let settings = settings(keys.url(), keys.prefix());
    let telemetry = waypost_telemetry::Telemetry::disabled();
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(waypost_redis::Redis::open(&settings, &telemetry).await.unwrap().rates(rule(10, 10_000)));
    }
    let takings = (0..60).map(|number| stores[number % 3].take("a"));
    let taken = futures_util::future::join_all(takings).await;
    assert_eq!(taken.iter().filter(|taken| matches!(taken, Ok(Taken::Room { .. }))).count(), 10);
}

#[tokio::test]
async fn a_rule_of_another_name_has_buckets_of_its_own() {
    let redis = shared().await;
    let (requests, logins) =
        (redis.rates(rule(1, 1_000)), redis.rates(Rule { name: "login", ..rule(1, 1_000) }));
    assert_eq!(requests.take("a").await, Ok(Taken::Room { remaining: 0 }));
    assert_eq!(logins.take("a").await, Ok(Taken::Room { remaining: 0 }));
}

#[tokio::test]
async fn what_is_kept_ends_with_the_window_and_a_clock_set_back_does_not_lock_out() {
    let keys = Keys::own();
    let (settings, telemetry) =
        (settings(keys.url(), keys.prefix()), waypost_telemetry::Telemetry::disabled());
    let store = crate::Redis::open(&settings, &telemetry).await.unwrap().rates(rule(2, 100));
    store.take("a").await.unwrap();
    let client = redis::Client::open(keys.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}rate:default:a", keys.prefix());
    let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!((1..=50_000).contains(&left), "{left}");

    // As it is when the server's clock was an hour ahead before.
    let far: f64 = 4e15;
    let () = redis::cmd("SET")
        .arg(&key)
        .arg(format!("{far}"))
        .arg("PX")
        .arg(60_000)
        .query_async(&mut connection)
        .await
        .unwrap();
    let Ok(Taken::Full { retry_after }) = store.take("a").await else { panic!("there is room") };
    assert!(retry_after <= Duration::from_secs(50), "{retry_after:?}");

    // Something else than a number, of whoever may write to the server, is an empty key.
    let () = redis::cmd("SET")
        .arg(&key)
        .arg("nonsense")
        .arg("PX")
        .arg(60_000)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(store.take("a").await, Ok(Taken::Room { remaining: 1 }));
}
