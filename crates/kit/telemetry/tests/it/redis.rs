//! Redis: one span and one measurement for every command, pipeline and script over a real server.

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Script};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::redis::{QueryText, Redis, Traced};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{span, with_context};
use waypost_test_servers::redis::Keys;

use crate::http_server::net::{attribute, attributes, outcome, series};

/// A traced connection to the tests' Redis, and a prefix of the test's own.
async fn connected(
    settings: impl FnOnce(Redis) -> Redis,
) -> (TestTelemetry, Traced<MultiplexedConnection>, Keys) {
    let keys = Keys::own();
    let client = redis::Client::open(keys.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let traced = settings(telemetry.redis().server("cache.internal", 6380)).wrap(connection);
    (telemetry, traced, keys)
}

#[tokio::test]
async fn a_command_is_one_span_without_its_values() {
    let (telemetry, mut connection, keys) = connected(|redis| redis).await;
    let key = format!("{}price", keys.prefix());
    let work = async {
        let () = connection.pset_ex(&key, "secret value", 60_000).await.unwrap();
        connection.get::<_, String>(&key).await.unwrap()
    };
    let found = with_context(telemetry.context(), span("unit").observe(work)).await;
    assert_eq!(found, "secret value");
    telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           PSETEX CLIENT order-service
           GET CLIENT order-service",
    );
    let set = telemetry.only_span("PSETEX");
    assert_eq!((set.kind(), outcome(&set).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(
        attributes(&set),
        [
            "db.namespace=0",
            "db.operation.name=PSETEX",
            "db.query.text=PSETEX ? ? ?",
            "db.system.name=redis",
            "server.address=cache.internal",
        ]
    );
    assert_eq!(attribute(&set, "server.port").as_deref(), Some("6380"));
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert_eq!(counts.len(), 2, "{counts:?}");
    for label in
        ["db_system_name=\"redis\"", "db_operation_name=\"GET\"", "server_address=\"cache.internal\""]
    {
        assert!(counts.iter().any(|series| series.contains(label)), "{label} in {counts:?}");
    }
    assert!(!format!("{:?}", telemetry.finished_spans()).contains("secret"), "no value anywhere");
}

#[tokio::test]
async fn a_key_is_shown_to_those_who_ask_for_it() {
    let (telemetry, mut connection, keys) = connected(|redis| redis.query_text(QueryText::Keys)).await;
    let key = format!("{}price", keys.prefix());
    let _: Option<String> = connection.get(&key).await.unwrap();
    assert_eq!(attribute(&telemetry.only_span("GET"), "db.query.text"), Some(format!("GET {key}")));

    let (telemetry, mut connection, _) = connected(|redis| redis.query_text(QueryText::Off)).await;
    let _: Option<String> = connection.get(&key).await.unwrap();
    assert_eq!(attribute(&telemetry.only_span("GET"), "db.query.text"), None);
}

#[tokio::test]
async fn what_the_server_refuses_is_an_error_with_its_word() {
    let (telemetry, mut connection, keys) = connected(|redis| redis).await;
    let key = format!("{}list", keys.prefix());
    let () = connection.lpush(&key, "x").await.unwrap();
    let _: bool = connection.pexpire(&key, 60_000).await.unwrap();
    let refused: redis::RedisResult<String> = connection.get(&key).await;
    assert_eq!(refused.unwrap_err().code(), Some("WRONGTYPE"));
    let get = telemetry.only_span("GET");
    assert_eq!(outcome(&get), "WRONGTYPE");
    assert_eq!(attribute(&get, "db.response.status_code").as_deref(), Some("WRONGTYPE"));
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert!(counts.iter().any(|series| series.contains("error_type=\"WRONGTYPE\"")), "{counts:?}");
}

#[tokio::test]
async fn a_pipeline_is_one_span_with_its_size() {
    let (telemetry, mut connection, keys) = connected(|redis| redis).await;
    let key = |name: &str| format!("{}{name}", keys.prefix());
    let mut transaction = redis::pipe();
    transaction.atomic();
    transaction.pset_ex(key("a"), 1, 60_000).ignore();
    transaction.incr(key("a"), 1);
    let (counted,): (i64,) = transaction.query_async(&mut connection).await.unwrap();
    assert_eq!(counted, 2);
    let mut reads = redis::pipe();
    reads.get(key("a")).get(key("b"));
    let _: (Option<i64>, Option<i64>) = reads.query_async(&mut connection).await.unwrap();
    let names: Vec<_> = telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names, ["MULTI", "PIPELINE GET"]);
    assert_eq!(attribute(&telemetry.only_span("MULTI"), "db.operation.batch.size").as_deref(), Some("2"));
    assert_eq!(
        attribute(&telemetry.only_span("PIPELINE GET"), "db.query.text").as_deref(),
        Some("GET ?\nGET ?")
    );
}

#[tokio::test]
async fn one_failure_in_a_pipeline_is_that_of_its_span() {
    let (telemetry, mut connection, keys) = connected(|redis| redis).await;
    let key = format!("{}list", keys.prefix());
    let mut commands = redis::pipe();
    commands.lpush(&key, "x").pexpire(&key, 60_000).get(&key);
    let failed: redis::RedisResult<(i64, bool, String)> = commands.query_async(&mut connection).await;
    assert!(failed.is_err());
    assert_eq!(outcome(&telemetry.only_span("PIPELINE")), "WRONGTYPE");
}

#[tokio::test]
async fn a_script_is_known_by_its_digest_and_loaded_without_an_error() {
    let (telemetry, mut connection, keys) = connected(|redis| redis).await;
    // A text that no other run has loaded.
    let script = Script::new(&format!("return redis.call('INCR', KEYS[1]) -- {}", keys.prefix()));
    let key = format!("{}count", keys.prefix());
    let count: i64 = script.key(&key).invoke_async(&mut connection).await.unwrap();
    let _: bool = connection.pexpire(&key, 60_000).await.unwrap();
    assert_eq!(count, 1);
    let spans = telemetry.finished_spans();
    let names: Vec<_> = spans.iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names, ["EVALSHA", "SCRIPT LOAD", "EVALSHA", "PEXPIRE"]);
    assert_eq!(attribute(&spans[0], "db.stored_procedure.name").as_deref(), Some(script.get_hash()));
    // That the server does not know it yet is part of the protocol.
    assert_eq!(
        (outcome(&spans[0]).as_str(), attribute(&spans[0], "db.response.status_code").as_deref()),
        ("ok", Some("NOSCRIPT"))
    );
    assert!(!format!("{spans:?}").contains("INCR'"), "no text of a script anywhere");
}

#[tokio::test]
async fn a_password_is_not_seen() {
    let (telemetry, mut connection, _) = connected(|redis| redis.query_text(QueryText::Keys)).await;
    let refused: redis::RedisResult<()> =
        redis::cmd("AUTH").arg("waypost").arg("hunter2").query_async(&mut connection).await;
    assert!(refused.is_err());
    let auth = telemetry.only_span("AUTH");
    assert_eq!(attribute(&auth, "db.query.text").as_deref(), Some("AUTH"));
    assert!(!format!("{:?}", telemetry.finished_spans()).contains("hunter2"));
}

#[tokio::test]
async fn an_operation_without_a_parent_is_measured_alone_where_a_parent_is_required() {
    let (telemetry, mut connection, _) = connected(|redis| redis.require_parent(true)).await;
    let _: String = connection.ping().await.unwrap();
    assert_eq!(telemetry.finished_spans().len(), 0);
    assert_eq!(series(&telemetry, "db_client_operation_duration_seconds_count").len(), 1);
    let ping = async {
        let _: String = connection.ping().await.unwrap();
    };
    with_context(telemetry.context(), span("unit").observe(ping)).await;
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  PING CLIENT order-service");
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_is_cancelled() {
    let (telemetry, mut connection, keys) = connected(|redis| redis).await;
    let mut wait = redis::cmd("BLPOP");
    wait.arg(format!("{}never", keys.prefix())).arg(1);
    let given_up =
        tokio::time::timeout(std::time::Duration::ZERO, wait.query_async::<()>(&mut connection)).await;
    assert!(given_up.is_err());
    assert_eq!(outcome(&telemetry.only_span("BLPOP")), "cancelled");
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_of_the_connection() {
    let server = waypost_test_servers::redis::Server::start();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let mut connection = telemetry.redis().wrap(connection);
    let _: String = connection.ping().await.unwrap();
    drop(server);
    let failed: redis::RedisResult<String> = connection.ping().await;
    assert!(failed.is_err());
    let failed = telemetry.finished_spans().into_iter().next_back().unwrap();
    assert!(attribute(&failed, "error.type").is_some_and(|kind| kind != "_OTHER"), "{failed:?}");
    assert_eq!(attribute(&failed, "db.response.status_code"), None);
}
