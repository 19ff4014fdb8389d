//! The contract of a cache: in memory, in Redis, and one in front of the other.

use std::sync::Arc;
use std::time::Duration;

use waypost_cache::{Cache, Layered, Memory};
use waypost_redis::Codec;
use waypost_telemetry::Telemetry;
use waypost_test_servers::redis::Keys;

use crate::{Redis, settings, shared, until};

const CODEC: Codec<String> = Codec {
    encode: |value| Some(value.clone().into_bytes()),
    decode: |_, bytes| String::from_utf8(bytes.to_vec()).ok(),
};

const LONG: Duration = Duration::from_mins(10);

async fn embedded(time: Duration) -> Arc<dyn Cache<String>> {
    Arc::new(Memory::new(100, time))
}

async fn redis(time: Duration) -> Arc<dyn Cache<String>> {
    Arc::new(shared().await.copies("names", time, CODEC))
}

async fn layered(time: Duration) -> Arc<dyn Cache<String>> {
    let near = Memory::new(100, time / 4);
    Arc::new(Layered::new(near, redis(time * 3 / 4).await))
}

macro_rules! on_each_cache {
    ($($name:ident),* $(,)?) => {
        mod on_embedded {
            $(#[tokio::test] async fn $name() { super::$name(super::embedded).await; })*
        }
        mod on_redis {
            $(#[tokio::test] async fn $name() { super::$name(super::redis).await; })*
        }
        mod on_layered {
            $(#[tokio::test] async fn $name() { super::$name(super::layered).await; })*
        }
    };
}

on_each_cache!(
    a_copy_is_found_until_it_is_forgotten,
    the_last_copy_counts,
    keys_do_not_meet,
    a_copy_runs_out,
);

async fn a_copy_is_found_until_it_is_forgotten(open: impl AsyncFn(Duration) -> Arc<dyn Cache<String>>) {
    let cache = open(LONG).await;
    assert_eq!(cache.get("user123").await, None);
    cache.put("user123", Arc::new("Ada".to_owned())).await;
    assert_eq!(cache.get("user123").await.as_deref().map(String::as_str), Some("Ada"));
    cache.forget("user123").await;
    assert_eq!(cache.get("user123").await, None);
    cache.forget("user123").await;
}

async fn the_last_copy_counts(open: impl AsyncFn(Duration) -> Arc<dyn Cache<String>>) {
    let cache = open(LONG).await;
    for name in ["Ada", "Grace", ""] {
        cache.put("user123", Arc::new(name.to_owned())).await;
    }
    assert_eq!(cache.get("user123").await.as_deref().map(String::as_str), Some(""));
}

async fn keys_do_not_meet(open: impl AsyncFn(Duration) -> Arc<dyn Cache<String>>) {
    let cache = open(LONG).await;
    let keys = ["user123", "user1234", "USER123", "user 123", "user:123", "ü", "*", ""];
    for key in keys {
        cache.put(key, Arc::new(format!("of {key}"))).await;
    }
    for key in keys {
        assert_eq!(cache.get(key).await.as_deref(), Some(&format!("of {key}")));
    }
}

async fn a_copy_runs_out(open: impl AsyncFn(Duration) -> Arc<dyn Cache<String>>) {
    let cache = open(Duration::from_millis(200)).await;
    cache.put("user123", Arc::new("Ada".to_owned())).await;
    until("the copy runs out", async || cache.get("user123").await.is_none()).await;
}

#[tokio::test]
async fn several_processes_share_copies_and_names_do_not_meet() {
    let keys = Keys::own();
    let settings = settings(keys.url(), keys.prefix());
    let one = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    let other = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    one.copies("names", LONG, CODEC).put("a", Arc::new("Ada".to_owned())).await;
    assert!(other.copies("names", LONG, CODEC).get("a").await.is_some());
    assert_eq!(other.copies("mails", LONG, CODEC).get("a").await, None);
}

#[tokio::test]
async fn copies_that_were_put_together_do_not_run_out_together() {
    let keys = Keys::own();
    let redis = Redis::open(&settings(keys.url(), keys.prefix()), &Telemetry::disabled()).await.unwrap();
    let copies = redis.copies("names", LONG, CODEC);
    let client = redis::Client::open(keys.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut left = std::collections::BTreeSet::new();
    for number in 0..50 {
        copies.put(&number.to_string(), Arc::new(String::new())).await;
        let key = format!("{}copy:names:{number}", keys.prefix());
        let milliseconds: i64 = redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap();
        // An eighth less, and as long as this test may take.
        assert!((500_000..=600_000).contains(&milliseconds), "{milliseconds}");
        left.insert(milliseconds / 1_000);
    }
    assert!(left.len() > 10, "{left:?}");
}

#[tokio::test]
async fn bytes_that_are_no_value_are_no_copy() {
    let keys = Keys::own();
    let redis = Redis::open(&settings(keys.url(), keys.prefix()), &Telemetry::disabled()).await.unwrap();
    let copies = redis.copies("names", LONG, CODEC);
    let client = redis::Client::open(keys.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}copy:names:a", keys.prefix());
    let () = redis::cmd("SET")
        .arg(&key)
        .arg(b"\xff\xfe")
        .arg("EX")
        .arg(60)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(copies.get("a").await, None);
    // A list where a text should be is a refusal of the server.
    let () = redis::cmd("DEL").arg(&key).query_async(&mut connection).await.unwrap();
    let () = redis::cmd("LPUSH").arg(&key).arg("x").query_async(&mut connection).await.unwrap();
    assert_eq!(copies.get("a").await, None);
    copies.put("a", Arc::new("Ada".to_owned())).await;
    assert!(copies.get("a").await.is_some(), "a copy takes its place");
}

#[tokio::test]
async fn a_question_is_a_span_of_the_callers_trace_and_no_trace_of_its_own() {
    let keys = Keys::own();
    let telemetry = waypost_telemetry::testing::TestTelemetry::new("user-service");
    let redis = Redis::open(&settings(keys.url(), keys.prefix()), &telemetry).await.unwrap();
    let copies = redis.copies("names", LONG, CODEC);
    copies.put("a", Arc::new("Ada".to_owned())).await;
    assert_eq!(telemetry.finished_spans().len(), 0, "outside of a trace");
    let asked = waypost_telemetry::span("cache get").observe(copies.get("a"));
    waypost_telemetry::with_context(telemetry.context(), asked).await;
    telemetry.tree().assert_matches(
        "\"cache get\" INTERNAL user-service
           GET CLIENT user-service db.system.name=redis db.query.text=\"GET ?\" server.address=127.0.0.1",
    );
}
