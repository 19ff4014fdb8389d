//! A Redis that is away, slow, full, or does not let one in: nobody waits for it, and what is wrong is told.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use waypost_cache::Cache as _;
use waypost_redis::{Codec, Settings};
use waypost_resilience::rate_limit::{RateStore as _, Rule};
use waypost_telemetry::Telemetry;
use waypost_telemetry::testing::TestTelemetry;
use waypost_test_servers::redis::Server;

use crate::{Redis, counted, keep, settings, shown, until};

const CODEC: Codec<String> = Codec {
    encode: |value| Some(value.clone().into_bytes()),
    decode: |_, bytes| String::from_utf8(bytes.to_vec()).ok(),
};

fn rule() -> Rule {
    Rule { name: "default", limit: NonZeroU32::MAX, window: Duration::from_secs(1) }
}

fn quick(url: &str) -> Settings {
    Settings {
        connect_timeout: waypost_settings::Duration::from_millis(500),
        command_timeout: waypost_settings::Duration::from_millis(100),
        retry_pause: waypost_settings::Duration::from_millis(100),
        ..settings(url, "waypost:")
    }
}

/// For what is told of a server that answers, however slow the machine is.
fn patient(url: &str) -> Settings {
    Settings { retry_pause: waypost_settings::Duration::from_millis(100), ..settings(url, "waypost:") }
}

/// A file for a test, with this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_redis_that_is_away_is_not_asked_and_is_found_when_it_comes() {
    let mut server = Server::start();
    let url = server.url();
    server.kill();
    let telemetry = TestTelemetry::new("api-gateway");
    let redis = Redis::open(&quick(&url), &telemetry).await.unwrap();
    let (rates, copies) = (redis.rates(rule()), redis.copies("names", Duration::from_mins(1), CODEC));
    let away = rates.take("a").await.unwrap_err();
    assert!(away.reason.starts_with(&url) && away.reason.contains("refused"), "{away}");
    copies.put("a", Arc::new("Ada".to_owned())).await;
    assert_eq!(copies.get("a").await, None);
    assert_eq!(counted(&telemetry, "waypost_redis_skipped_total"), 3);
    assert_eq!(counted(&telemetry, "waypost_redis_failures_total"), 0, "it was not asked");
    assert_eq!(counted(&telemetry, "waypost_redis_connected"), 0);
    assert!(shown(&redis).await.contains("refused"));

    keep(&redis);
    server.restart();
    until("Redis is found", async || rates.take("a").await.is_ok()).await;
    assert_eq!(shown(&redis).await, "ok");
    assert_eq!(counted(&telemetry, "waypost_redis_connected"), 1);
}

#[tokio::test]
async fn a_redis_that_is_killed_under_load_comes_back_empty() {
    let mut server = Server::start();
    let telemetry = TestTelemetry::new("user-service");
    let redis = Redis::open(&patient(&server.url()), &telemetry).await.unwrap();
    keep(&redis);
    let copies = redis.copies("names", Duration::from_mins(10), CODEC);
    copies.put("a", Arc::new("Ada".to_owned())).await;
    assert!(copies.get("a").await.is_some());
    server.kill();
    until("its end is noticed", async || {
        assert_eq!(copies.get("a").await, None);
        counted(&telemetry, "waypost_redis_skipped_total") > 0
    })
    .await;
    server.restart();
    until("it is asked again", async || {
        copies.put("b", Arc::new("Grace".to_owned())).await;
        copies.get("b").await.is_some()
    })
    .await;
    assert_eq!(copies.get("a").await, None, "what it kept is gone");
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_few_timeouts_and_then_none() {
    let server = Server::start();
    let telemetry = TestTelemetry::new("api-gateway");
    let redis = Redis::open(&quick(&server.url()), &telemetry).await.unwrap();
    keep(&redis);
    let rates = redis.rates(rule());
    until("it answers", async || rates.take("a").await.is_ok()).await;
    let counts =
        || ["failures", "skipped"].map(|name| counted(&telemetry, &format!("waypost_redis_{name}_total")));
    let before = counts();
    server.pause();
    for _ in 0..100 {
        rates.take("a").await.unwrap_err();
    }
    let after = counts();
    assert_eq!(after[0] - before[0], 3, "as many as the settings say");
    assert_eq!(after[1] - before[1], 97);
    assert!(rates.take("a").await.unwrap_err().reason.contains("does not answer in time"));
    server.go_on();
    until("it is asked again", async || rates.take("a").await.is_ok()).await;
}

#[tokio::test]
async fn one_slow_answer_is_no_reason_to_give_the_connection_up() {
    let server = Server::start_with(&["--enable-debug-command", "yes"]);
    let telemetry = TestTelemetry::new("api-gateway");
    let settings = Settings { failures: 1_000, ..quick(&server.url()) };
    let redis = Redis::open(&settings, &telemetry).await.unwrap();
    let rates = redis.rates(rule());
    // Sent before anything else, over another connection.
    let sleeping = std::thread::spawn(move || {
        server.command(&["DEBUG", "SLEEP", "0.3"]);
        server
    });
    until("it is slow", async || rates.take("a").await.is_err()).await;
    let server = sleeping.join().unwrap();
    // Nobody keeps the connection, so it is still the first one.
    until("it answers again", async || rates.take("a").await.is_ok()).await;
    assert_eq!(counted(&telemetry, "waypost_redis_skipped_total"), 0);
    drop(server);
}

#[tokio::test]
async fn a_full_redis_that_evicts_forgets_and_one_that_does_not_says_so() {
    let server = Server::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]);
    let redis = Redis::open(&settings(&server.url(), "waypost:"), &Telemetry::disabled()).await.unwrap();
    let copies = redis.copies("names", Duration::from_mins(10), CODEC);
    let value = Arc::new("x".repeat(10_000));
    for number in 0..500 {
        copies.put(&number.to_string(), Arc::clone(&value)).await;
    }
    // Which ones go is Redis's guess, by a sample.
    let mut kept = 0;
    for number in 0..500 {
        kept += usize::from(copies.get(&number.to_string()).await.is_some());
    }
    assert!((1..500).contains(&kept), "{kept} of 500 copies are there");
    redis.rates(rule()).take("a").await.unwrap();

    let server = Server::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let telemetry = TestTelemetry::new("api-gateway");
    let redis = Redis::open(&settings(&server.url(), "waypost:"), &telemetry).await.unwrap();
    let copies = redis.copies("names", Duration::from_mins(10), CODEC);
    for number in 0..500 {
        copies.put(&number.to_string(), Arc::clone(&value)).await;
    }
    assert!(counted(&telemetry, "waypost_redis_failures_total") > 0);
    let away = redis.rates(rule()).take("a").await.unwrap_err();
    assert!(
        away.reason.contains("it is full and evicts nothing: set `maxmemory-policy allkeys-lru`"),
        "{away}"
    );
    assert!(copies.get("0").await.is_some(), "what is there is read all the same");
}

#[tokio::test]
async fn a_password_that_is_wrong_or_missing_is_told_with_the_setting() {
    // The rights of docs/operations.md, and no more.
    let rights = "on >right resetchannels ~waypost:* +get +set +unlink +evalsha +eval +time +ping";
    let user: Vec<&str> =
        ["--requirepass", "right", "--user", "waypost"].into_iter().chain(rights.split(' ')).collect();
    let server = Server::start_with(&user);
    let reason = async |settings: Settings| {
        shown(&Redis::open(&settings, &Telemetry::disabled()).await.unwrap()).await
    };
    let url = server.url();
    let none = reason(patient(&url)).await;
    assert!(none.contains("it asks for a password: set `password_file`"), "{none}");

    let wrong = file("hunter2\n");
    let password_file = Some(wrong.path().to_owned());
    let refused = reason(Settings { password_file: password_file.clone(), ..patient(&url) }).await;
    assert!(refused.contains("it refuses the password of the default user"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    let named = Settings { username: "waypost".to_owned(), password_file, ..patient(&url) };
    let refused = reason(named.clone()).await;
    assert!(refused.contains("it refuses the password of waypost; the password is the one in"), "{refused}");

    let right = file("right\n");
    let named = Settings { password_file: Some(right.path().to_owned()), ..named };
    assert_eq!(reason(named.clone()).await, "ok");
    let redis = Redis::open(&named, &Telemetry::disabled()).await.unwrap();
    redis.rates(rule()).take("a").await.unwrap();
    let elsewhere = Settings { prefix: "elsewhere:".to_owned(), ..named.clone() };
    let redis = Redis::open(&elsewhere, &Telemetry::disabled()).await.unwrap();
    let refused = redis.rates(rule()).take("a").await.unwrap_err();
    assert!(refused.reason.contains("waypost may not do what is needed"), "{refused}");

    let gone = Settings { password_file: Some("/there/is/no/such/file".into()), ..named };
    let refused = reason(gone).await;
    assert!(refused.contains("reading password_file /there/is/no/such/file"), "{refused}");
}

#[tokio::test]
async fn a_new_password_is_found_in_the_file_without_a_restart() {
    let mut server = Server::start_with(&["--requirepass", "new"]);
    let password = file("old");
    let settings = Settings { password_file: Some(password.path().to_owned()), ..patient(&server.url()) };
    let redis = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    keep(&redis);
    assert!(shown(&redis).await.contains("refuses the password"));
    std::fs::write(password.path(), "new").unwrap();
    until("the new password is used", async || shown(&redis).await == "ok").await;
    server.kill();
}

#[tokio::test]
async fn an_address_that_leads_nowhere_is_told() {
    let settings = quick("redis://no-such-host.invalid:6379");
    let redis = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    let reason = shown(&redis).await;
    assert!(reason.starts_with("redis://no-such-host.invalid:6379: "), "{reason}");
}

#[tokio::test]
async fn of_several_servers_the_first_that_answers_is_taken() {
    let (mut first, second) = (Server::start(), Server::start());
    let settings = Settings { urls: vec![first.url(), second.url()], ..patient("") };
    let redis = Redis::open(&settings, &Telemetry::disabled()).await.unwrap();
    keep(&redis);
    let rates = redis.rates(rule());
    rates.take("a").await.unwrap();
    assert_eq!((first.command(&["DBSIZE"]).as_str(), second.command(&["DBSIZE"]).as_str()), (":1", ":0"));
    first.kill();
    until("the second is asked", async || rates.take("a").await.is_ok()).await;
}
