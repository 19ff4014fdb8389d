//! Memcached: one span and one measurement for every operation over a real server, hits and misses as those of a cache.

#[path = "../../examples/memcached.rs"]
#[allow(dead_code, reason = "its main is for those who run it")]
mod example;

use std::time::Duration;

use async_memcached::{Client, Error, Status};
use waypost_telemetry::memcached::{Memcached, QueryText, Traced};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType as _, metrics, span, with_context};
use waypost_test_servers::memcached::{Keys, Server};

use crate::http_server::net::{attribute, attributes, metric, outcome, series};

/// In every value and key of these tests; nobody may see it.
const SECRET: &str = "hunter2";

/// How long what a test keeps is kept, in seconds.
const TTL: Option<i64> = Some(600);

/// A traced client of the tests' Memcached, and a prefix of the test's own.
async fn connected(settings: impl FnOnce(Memcached) -> Memcached) -> (TestTelemetry, Traced<Client>, Keys) {
    let keys = Keys::own();
    let client = Client::new(keys.url()).await.unwrap();
    let telemetry = TestTelemetry::new("price-service");
    let traced = settings(telemetry.memcached().server("cache.internal", 11212)).wrap(client);
    (telemetry, traced, keys)
}

/// All that leaves the process: spans, log records and metrics.
fn exported(telemetry: &TestTelemetry) -> String {
    let page = metrics::render_prometheus(&[telemetry.handle().clone()]);
    format!("{:?}{:?}{page}", telemetry.finished_spans(), telemetry.finished_logs())
}

/// Hits and misses so far.
fn lookups(telemetry: &TestTelemetry, cache: &str) -> (i64, i64) {
    let name = format!("cache_name=\"{cache}\"");
    let of = |hit: &str| metric(telemetry, "waypost_cache_lookups_total", &[&name, hit]);
    (of("cache_hit=\"true\""), of("cache_hit=\"false\""))
}

#[tokio::test]
async fn an_operation_is_one_span_without_its_key_and_value() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached).await;
    let key = format!("{}{SECRET}", keys.prefix());
    let work = async {
        client.set(&key, SECRET, TTL, None).await.unwrap();
        let found = client.get(&key).await.unwrap().unwrap();
        assert_eq!(found.data.as_deref(), Some(SECRET.as_bytes()));
        assert!(client.get(format!("{}none", keys.prefix())).await.unwrap().is_none());
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches(
        "unit INTERNAL price-service
           set CLIENT price-service
           get CLIENT price-service cache.hit=true
           get CLIENT price-service cache.hit=false",
    );
    let set = telemetry.only_span("set");
    assert_eq!((set.kind(), outcome(&set).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(
        attributes(&set),
        [
            "db.operation.name=set",
            "db.query.text=set ?",
            "db.system.name=memcached",
            "server.address=cache.internal",
        ]
    );
    assert_eq!(attribute(&set, "server.port").as_deref(), Some("11212"));
    assert_eq!(lookups(&telemetry, "memcached"), (1, 1));
    let labels = ["db_system_name=\"memcached\"", "db_operation_name=\"get\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 2);
    assert!(!exported(&telemetry).contains(SECRET));
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn several_keys_at_once_are_one_span_and_each_a_hit_or_a_miss() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached.cache_name("prices")).await;
    let key = |name: &str| format!("{}{name}", keys.prefix());
    let pairs = [(key("a"), 1_u64), (key("b"), 2)];
    let stored = client.set_multi(&pairs, TTL, None).await.unwrap();
    assert!(stored.len() == 2 && stored.values().all(Result::is_ok));
    let found = client.get_multi([key("a"), key("b"), key("c")]).await.unwrap();
    assert_eq!(found.len(), 2);
    client.delete_multi_no_reply(&[key("a"), key("b")]).await.unwrap();
    let none = client.get_multi([key("a")]).await;
    assert_eq!(none, Err(Error::Protocol(Status::NotFound)), "the client's word for none");
    let seen: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .map(|span| {
            let text = attribute(span, "db.query.text").unwrap();
            (text, attribute(span, "db.operation.batch.size"), attribute(span, "db.response.returned_rows"))
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        ("set ? ?".to_owned(), some("2"), None),
        ("get ? ? ?".to_owned(), some("3"), some("2")),
        ("delete ? ?".to_owned(), some("2"), None),
        ("get ?".to_owned(), None, some("0")),
    ];
    assert_eq!(seen, expected);
    assert_eq!(lookups(&telemetry, "prices"), (2, 2));
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn what_is_not_there_is_an_answer() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached).await;
    let key = format!("{}count", keys.prefix());
    let missing = client.increment(&key, 1).await;
    assert_eq!(missing, Err(Error::Protocol(Status::NotFound)));
    client.add(&key, 40_u64, TTL, None).await.unwrap();
    assert_eq!(client.add(&key, 1_u64, TTL, None).await, Err(Error::Protocol(Status::NotStored)));
    assert_eq!(client.increment(&key, 3).await.unwrap(), 43);
    assert_eq!(client.decrement(&key, 1).await.unwrap(), 42);
    client.increment_no_reply(&key, 1).await.unwrap();
    client.decrement_no_reply(&key, 1).await.unwrap();
    client.delete(&key).await.unwrap();
    client.delete(&key).await.unwrap_err();
    client.delete_no_reply(&key).await.unwrap();
    let seen: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name().to_owned(), outcome(span), attribute(span, "db.response.status_code")))
        .collect();
    let expected = [
        ("incr", Some("NOT_FOUND")),
        ("add", None),
        ("add", Some("NOT_STORED")),
        ("incr", None),
        ("decr", None),
        ("incr", None),
        ("decr", None),
        ("delete", None),
        ("delete", Some("NOT_FOUND")),
        ("delete", None),
    ];
    let expected =
        expected.map(|(name, code)| (name.to_owned(), "ok".to_owned(), code.map(ToOwned::to_owned)));
    assert_eq!(seen, expected);
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn what_the_server_refuses_is_an_error_with_its_word() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached.query_text(QueryText::Masked)).await;
    let key = format!("{}text", keys.prefix());
    client.set(&key, SECRET, TTL, None).await.unwrap();
    let refused = client.increment(&key, 1).await.unwrap_err();
    assert_eq!(refused.error_type(), "CLIENT_ERROR");
    let incr = telemetry.only_span("incr");
    assert_eq!(outcome(&incr), "CLIENT_ERROR");
    assert_eq!(attribute(&incr, "db.response.status_code").as_deref(), Some("CLIENT_ERROR"));
    let labels = ["error_type=\"CLIENT_ERROR\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    // A key that is too long is not sent.
    let too_long = format!("{key}{}", SECRET.repeat(50));
    assert_eq!(client.get(&too_long).await.unwrap_err().error_type(), "key_too_long");
    assert_eq!(lookups(&telemetry, "memcached"), (0, 0), "nobody knows whether it is there");
    // One failure in a pipeline is that of its span.
    telemetry.forget();
    let pairs = [(key.as_str(), "x"), (too_long.as_str(), SECRET)];
    let stored = client.set_multi(&pairs, TTL, None).await.unwrap();
    assert_eq!(stored.values().filter(|stored| stored.is_err()).count(), 1);
    assert_eq!(outcome(&telemetry.only_span("set")), "key_too_long");
    assert!(!exported(&telemetry).contains(SECRET));
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn a_key_is_shown_to_those_who_ask_for_it() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached.query_text(QueryText::Keys)).await;
    let key = format!("{}price", keys.prefix());
    client.get(&key).await.unwrap();
    assert_eq!(attribute(&telemetry.only_span("get"), "db.query.text"), Some(format!("get {key}")));
    assert!(!format!("{client:?}").contains(&key));

    let (telemetry, mut client, _) = connected(|memcached| memcached.query_text(QueryText::Off)).await;
    client.get(&key).await.unwrap();
    assert_eq!(attribute(&telemetry.only_span("get"), "db.query.text"), None);
}

#[tokio::test]
async fn an_operation_without_a_parent_is_measured_alone_where_a_parent_is_required() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached.require_parent(true)).await;
    let key = format!("{}none", keys.prefix());
    client.get(&key).await.unwrap();
    assert_eq!(telemetry.finished_spans().len(), 0);
    assert_eq!(series(&telemetry, "db_client_operation_duration_seconds_count").len(), 1);
    let get = async {
        client.get(&key).await.unwrap();
    };
    with_context(telemetry.context(), span("unit").observe(get)).await;
    telemetry.tree().assert_matches("unit INTERNAL price-service\n  get CLIENT price-service");
}

#[tokio::test]
async fn an_operation_that_nobody_waits_for_is_cancelled_and_closes_the_client() {
    let server = Server::start();
    let telemetry = TestTelemetry::new("price-service");
    let mut client = Client::new(server.url()).await.unwrap();
    let mut client = telemetry.memcached().wrap(&mut client);
    assert!(client.get(SECRET).await.unwrap().is_none());
    server.pause();
    let given_up = tokio::time::timeout(Duration::ZERO, client.get(SECRET)).await;
    assert!(given_up.is_err() && client.is_closed());
    assert_eq!(client.get(SECRET).await, Err(Error::ConnectionClosed));
    let seen: Vec<_> = telemetry.finished_spans().iter().map(outcome).collect();
    assert_eq!(seen, ["ok", "cancelled", "connection_closed"]);
    assert_eq!(lookups(&telemetry, "memcached"), (0, 1), "only what was answered");
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_of_the_connection() {
    let mut server = Server::start();
    let telemetry = TestTelemetry::new("price-service");
    let mut client = telemetry.memcached().wrap(Client::new(server.url()).await.unwrap());
    assert_eq!(client.version().await.unwrap().split('.').count(), 3);
    assert!(client.stats().await.unwrap().contains_key("pid"));
    client.flush_all().await.unwrap();
    server.kill();
    client.get("a").await.unwrap_err();
    let failed = telemetry.only_span("get");
    assert!(
        ["unexpected_eof", "connection_reset", "broken_pipe"].contains(&outcome(&failed).as_str()),
        "{failed:?}"
    );
    assert_eq!(attribute(&failed, "db.response.status_code"), None);
    let refused = Client::new(server.url()).await.map(drop).unwrap_err();
    assert_eq!(refused.error_type(), "connection_refused");
    assert_eq!(
        telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect::<Vec<_>>(),
        ["version", "stats", "flush_all", "get"]
    );
}

#[tokio::test]
async fn a_flood_of_keys_makes_no_further_series() {
    let (telemetry, mut client, keys) = connected(|memcached| memcached.query_text(QueryText::Keys)).await;
    for number in 0..3_000 {
        client.get(format!("{}{number}", keys.prefix())).await.unwrap();
    }
    assert_eq!(series(&telemetry, "db_client_operation_duration_seconds_count").len(), 1);
    assert_eq!(lookups(&telemetry, "memcached"), (0, 3_000));
}

#[tokio::test]
async fn the_example_misses_once_and_hits_then() {
    let told = example::story(Keys::own().url()).await.unwrap();
    assert!(told.contains("cache.hit=false") && told.contains("cache.hit=true"), "{told}");
    assert!(told.contains("ask-the-catalogue"), "{told}");
}
