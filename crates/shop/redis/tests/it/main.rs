//! The contracts of the ports, on their embedded form and on a real Redis alike; and a Redis in trouble.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
mod deployments;
mod failures;
mod rates;
mod trouble;

use std::time::{Duration, Instant};

use waypost_redis::{Redis, Settings};
use waypost_telemetry::Telemetry;
use waypost_telemetry::metrics::render_prometheus;
use waypost_telemetry::testing::TestTelemetry;
use waypost_test_servers::redis::Keys;

/// Settings for a server, under a prefix.
fn settings(url: &str, prefix: &str) -> Settings {
    // A machine that builds and tests at once is slow; what a time-out does has tests of its own.
    let patient = waypost_settings::Duration::from_secs(10);
    Settings {
        urls: vec![url.to_owned()],
        prefix: prefix.to_owned(),
        connect_timeout: patient,
        command_timeout: patient,
        ..Settings::default()
    }
}

/// The tests' Redis, under a prefix of the test's own.
async fn shared() -> Redis {
    let keys = Keys::own();
    Redis::open(&settings(keys.url(), keys.prefix()), &Telemetry::disabled()).await.unwrap()
}

/// Keeps the connection of a Redis for as long as the runtime of the test.
fn keep(redis: &Redis) {
    let (trigger, drain) = waypost_service::Drain::new();
    let worker = redis.worker();
    waypost_telemetry::spawn(async move {
        (worker.run)(drain).await;
        drop(trigger);
    });
}

/// What readiness shows: `ok`, or the reason.
async fn shown(redis: &Redis) -> String {
    (redis.check().probe)().await.map_or_else(|reason| reason, |()| "ok".to_owned())
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The sum of a counter.
fn counted(telemetry: &TestTelemetry, family: &str) -> u64 {
    let page = render_prometheus(&[telemetry.handle().clone()]);
    let lines = page.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}
