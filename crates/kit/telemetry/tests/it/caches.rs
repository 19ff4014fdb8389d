//! Caches in memory: look-ups, loads and evictions, around moka and around a cache of the program.

use std::collections::HashMap;
use std::future::Ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::future::Cache as Moka;
use tokio::sync::oneshot;
use waypost_telemetry::cache::{Cache, Store, TracedMoka};
use waypost_telemetry::metrics::{render_prometheus, sample};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{span, with_context};

const SECRET: &str = "s3cret-key-of-a-person";

fn count(telemetry: &TestTelemetry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let page = render_prometheus(&[telemetry.handle().clone()]);
    assert!(!page.contains(SECRET));
    sample(&page, name, labels)
}

fn lookups(telemetry: &TestTelemetry) -> (f64, f64) {
    let of = |hit| count(telemetry, "waypost_cache_lookups_total", &[("cache_hit", hit)]).unwrap_or_default();
    (of("true"), of("false"))
}

fn moka(cache: &Cache, capacity: u64) -> TracedMoka<String, String> {
    cache.moka(cache.listening(Moka::builder().max_capacity(capacity)).build())
}

fn loaded() -> Ready<Result<String, std::io::Error>> {
    std::future::ready(Ok(SECRET.to_owned()))
}

#[tokio::test]
async fn look_ups_are_counted_and_a_load_is_a_span_where_it_is_wanted() {
    let telemetry = TestTelemetry::new("price-service");
    let cache = telemetry.cache("prices");
    let plain = moka(&cache, 100);
    let shown = moka(&cache.load_spans(true), 100);
    let work = async {
        for cache in [&plain, &shown] {
            assert_eq!(cache.get(&SECRET.to_owned()).await, None);
            for _ in 0..3 {
                assert_eq!(cache.try_get_with(SECRET.to_owned(), loaded()).await.unwrap(), SECRET);
            }
            assert_eq!(cache.get_with(SECRET.to_owned(), async { unreachable!() }).await, SECRET);
        }
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches(
        "unit INTERNAL price-service
           \"load prices\" INTERNAL price-service cache.name=prices",
    );
    assert_eq!(lookups(&telemetry), (6.0, 4.0));
    assert_eq!(count(&telemetry, "waypost_cache_load_duration_seconds_count", &[]), Some(2.0));
    assert!(!format!("{:?}", telemetry.finished_spans()).contains(SECRET));
}

#[tokio::test]
async fn callers_that_miss_at_once_share_a_load_and_one_of_them_missed() {
    let telemetry = TestTelemetry::new("price-service");
    let cache = moka(&telemetry.cache("prices"), 100);
    let loads = Arc::new(AtomicUsize::new(0));
    let (go, wait) = oneshot::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let callers = (0..8).map(|_| {
        cache.try_get_with("a".to_owned(), async {
            loads.fetch_add(1, Ordering::Relaxed);
            let wait = wait.lock().unwrap().take().unwrap();
            wait.await.map_err(|_| std::io::Error::other("gone"))?;
            loaded().await
        })
    });
    let all = futures_util::future::join_all(callers);
    let (found, _) = tokio::join!(all, async { go.send(()) });
    assert!(found.iter().all(|found| found.as_ref().unwrap() == SECRET));
    assert_eq!((loads.load(Ordering::Relaxed), lookups(&telemetry)), (1, (7.0, 1.0)));
}

#[tokio::test]
async fn a_load_that_fails_or_is_dropped_is_measured_as_that_and_keeps_nothing() {
    let telemetry = TestTelemetry::new("price-service");
    let cache = moka(&telemetry.cache("prices").load_spans(true), 100);
    let failing = async { Err::<String, _>(std::io::Error::from(std::io::ErrorKind::TimedOut)) };
    let load = cache.try_get_with("a".to_owned(), failing);
    with_context(telemetry.context(), load).await.unwrap_err();
    {
        let never = async {
            std::future::pending::<()>().await;
            loaded().await
        };
        let load = with_context(telemetry.context(), cache.try_get_with("b".to_owned(), never));
        let mut load = std::pin::pin!(load);
        tokio::select! {
            biased;
            _ = &mut load => panic!("nobody loads"),
            () = std::future::ready(()) => {}
        }
    }
    let failed =
        |class| count(&telemetry, "waypost_cache_load_duration_seconds_count", &[("error_type", class)]);
    assert_eq!((failed("timed_out"), failed("cancelled")), (Some(1.0), Some(1.0)));
    let spans = telemetry.finished_spans();
    assert_eq!(spans[0].attribute("error.type"), Some(&"timed_out".into()));
    assert_eq!(spans[1].attribute("waypost.outcome"), Some(&"cancelled".into()));
    assert_eq!((cache.get(&"a".to_owned()).await, cache.get(&"b".to_owned()).await), (None, None));
}

#[tokio::test]
async fn what_is_given_up_is_counted_by_its_reason() {
    let telemetry = TestTelemetry::new("price-service");
    let cache = moka(&telemetry.cache("prices"), 10);
    cache.insert("a".to_owned(), "1".to_owned()).await;
    cache.insert("a".to_owned(), "2".to_owned()).await;
    cache.invalidate("a").await;
    for number in 0..1_000 {
        cache.insert(format!("{SECRET}-{number}"), String::new()).await;
    }
    cache.run_pending_tasks().await;
    let evicted = |reason| {
        let labels = [("waypost_cache_eviction_reason", reason)];
        count(&telemetry, "waypost_cache_evictions_total", &labels)
    };
    let left = count(&telemetry, "waypost_cache_entries", &[("cache_name", "prices")]).unwrap();
    assert!(left <= 10.0, "{left}");
    let evictions = (evicted("replaced"), evicted("explicit"), evicted("size"));
    assert_eq!(evictions, (Some(1.0), Some(1.0), Some(1_000.0 - left)));
    drop(cache);
    let page = render_prometheus(&[telemetry.handle().clone()]);
    assert_eq!(sample(&page, "waypost_cache_entries", &[]), None, "it is gone");
}

/// A cache of the program.
#[derive(Default)]
struct Map(Mutex<HashMap<String, String>>);

impl Store for Map {
    type Key = String;
    type Value = String;

    fn look_up(&self, key: &String) -> Option<String> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn keep(&self, key: String, value: String) {
        self.0.lock().unwrap().insert(key, value);
    }

    fn forget(&self, key: &String) {
        self.0.lock().unwrap().remove(key);
    }

    fn entries(&self) -> Option<u64> {
        Some(self.0.lock().unwrap().len() as u64)
    }
}

#[tokio::test]
async fn any_cache_is_counted_by_the_small_trait() {
    let telemetry = TestTelemetry::new("price-service");
    let cache = telemetry.cache("prices").wrap(Map::default());
    for _ in 0..3 {
        assert_eq!(cache.get_with(SECRET.to_owned(), loaded()).await.unwrap(), SECRET);
    }
    cache.forget(&SECRET.to_owned());
    let failing = async { Err::<String, _>(std::io::Error::from(std::io::ErrorKind::TimedOut)) };
    cache.get_with(SECRET.to_owned(), failing).await.unwrap_err();
    assert_eq!(lookups(&telemetry), (2.0, 2.0));
    assert_eq!(count(&telemetry, "waypost_cache_entries", &[]), Some(0.0));
    tokio::time::timeout(Duration::from_secs(10), cache.get_with("b".to_owned(), loaded()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(count(&telemetry, "waypost_cache_entries", &[]), Some(1.0));
}
