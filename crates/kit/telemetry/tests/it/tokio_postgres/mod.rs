//! tokio-postgres: clients and transactions that are used as before, over a real PostgreSQL; each statement is one span and
//! one measurement.

mod copies;
mod secrets;
mod texts;
mod transactions;

#[path = "../../../examples/tokio_postgres.rs"]
#[allow(dead_code, reason = "its main is for those who run it")]
mod example;

use std::time::Duration;

use futures_util::TryStreamExt as _;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::tokio_postgres::{TokioPostgres, Traced};
use waypost_telemetry::{metrics, span, spawn, with_context};
use waypost_test_servers::postgres::Database;

use crate::http_server::net::{attribute, attributes, metric, outcome, series};

/// What is in every value, key and address of these tests that nobody may see.
const SECRET: &str = "hunter2";

/// A client of a database of the test's own, and its configuration.
async fn plain(own: &Database) -> (Client, Config) {
    let mut config: Config = own.url().parse().unwrap();
    config.password(SECRET);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    // Ends with the client.
    spawn(connection);
    (client, config)
}

/// A traced client of a database that has a table of two orders.
async fn orders(
    settings: impl FnOnce(TokioPostgres) -> TokioPostgres,
) -> (TestTelemetry, Traced<Client>, Database) {
    let own = Database::create();
    let (client, config) = plain(&own).await;
    let tables = "CREATE TABLE orders (id bigint PRIMARY KEY, owner text NOT NULL); \
                  INSERT INTO orders VALUES (1, 'ann'), (2, 'bob')";
    client.batch_execute(tables).await.unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let traced = settings(telemetry.tokio_postgres().config(&config)).wrap(client);
    (telemetry, traced, own)
}

/// The names of the spans so far, in the order of their ends.
fn names(telemetry: &TestTelemetry) -> Vec<String> {
    telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect()
}

/// All that leaves the process: spans, log records and metrics.
fn exported(telemetry: &TestTelemetry) -> String {
    let page = metrics::render_prometheus(&[telemetry.handle().clone()]);
    format!("{:?}{:?}{page}", telemetry.finished_spans(), telemetry.finished_logs())
}

#[tokio::test]
async fn a_statement_is_one_span_that_says_where_it_ran() {
    let (telemetry, client, own) = orders(|postgres| postgres).await;
    let work = async {
        let row = client.query_one("SELECT owner FROM orders WHERE id = $1", &[&2_i64]).await.unwrap();
        row.get::<_, String>(0)
    };
    assert_eq!(with_context(telemetry.context(), span("unit").observe(work)).await, "bob");
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  \"SELECT orders\" CLIENT order-service");
    let select = telemetry.only_span("SELECT orders");
    assert_eq!((select.kind(), outcome(&select).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(
        attributes(&select),
        [
            format!("db.namespace={}", own.name()),
            "db.query.summary=SELECT orders".to_owned(),
            "db.query.text=SELECT owner FROM orders WHERE id = $1".to_owned(),
            "db.response.returned_rows=1".to_owned(),
            "db.system.name=postgresql".to_owned(),
            "server.address=127.0.0.1".to_owned(),
        ]
    );
    let port = own.url().parse::<Config>().unwrap().get_ports()[0];
    assert_eq!(attribute(&select, "server.port"), Some(port.to_string()));
    let labels = [format!("server_port=\"{port}\""), format!("db_namespace=\"{}\"", own.name())];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn every_way_to_ask_is_seen_once() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    let above = "SELECT id FROM orders WHERE id > $1";
    assert_eq!(client.query(above, &[&0_i64]).await.unwrap().len(), 2);
    assert!(client.query_opt(above, &[&9_i64]).await.unwrap().is_none());
    let streamed: Vec<_> = client
        .query_raw(above, [&0_i64])
        .await
        .unwrap()
        .map_ok(|row| row.get::<_, i64>(0))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(streamed, [1, 2]);
    assert_eq!(client.query_typed(above, &[(&0_i64, Type::INT8)]).await.unwrap().len(), 2);
    assert_eq!(client.query_scalar::<i64, _>(above, &[&1_i64]).await.unwrap(), [2]);
    assert_eq!(client.simple_query("SELECT id FROM orders").await.unwrap().len(), 4);
    let rename = client.prepare("UPDATE orders SET owner = $1 WHERE id = $2").await.unwrap();
    assert_eq!(client.execute(&rename, &[&SECRET, &1_i64]).await.unwrap(), 1);
    assert_eq!(rename.params().len(), 2);
    client.batch_execute("DELETE FROM orders; DROP TABLE orders").await.unwrap();

    let seen: Vec<(String, Option<String>)> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name().to_owned(), attribute(span, "db.response.returned_rows")))
        .collect();
    let expected = [
        ("SELECT orders", Some("2")),
        ("SELECT orders", Some("0")),
        ("SELECT orders", Some("2")),
        ("SELECT orders", Some("2")),
        ("SELECT orders", Some("1")),
        ("SELECT orders", Some("2")),
        ("PREPARE", None),
        ("UPDATE orders", None),
        ("DELETE orders; DROP TABLE orders", None),
    ];
    assert_eq!(seen, expected.map(|(name, rows)| (name.to_owned(), rows.map(ToOwned::to_owned))));
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 9);
    let summary = "db_query_summary=\"SELECT orders\"";
    assert_eq!(metric(&telemetry, "db_client_response_returned_rows_sum", &[summary]), 9);
    assert!(!exported(&telemetry).contains(SECRET), "no value anywhere");
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn a_statement_that_was_prepared_elsewhere_is_named_by_the_system() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    let unseen = client.inner().prepare("SELECT 1 WHERE $1").await.unwrap();
    client.query(&unseen, &[&true]).await.unwrap();
    let span = telemetry.only_span("postgresql");
    assert_eq!(attribute(&span, "db.response.returned_rows").as_deref(), Some("1"));
    assert_eq!(attribute(&span, "db.query.text"), None);
}

#[tokio::test]
async fn a_row_that_is_not_there_is_an_answer() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    let missing = client.query_one("SELECT owner FROM orders WHERE id = $1", &[&9_i64]).await;
    assert_eq!(waypost_telemetry::ErrorType::error_type(&missing.unwrap_err()), "row_count");
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(outcome(&select), "ok");
    assert_eq!(attribute(&select, "db.response.status_code"), None);
}

#[tokio::test]
async fn a_failure_has_its_sqlstate() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    let twice = client.execute("INSERT INTO orders VALUES ($1, $2)", &[&1_i64, &SECRET]).await;
    assert_eq!(twice.unwrap_err().code().unwrap().code(), "23505");
    let insert = telemetry.only_span("INSERT orders");
    assert_eq!(outcome(&insert), "23505");
    assert_eq!(attribute(&insert, "db.response.status_code").as_deref(), Some("23505"));
    let labels = ["error_type=\"23505\"", "db_response_status_code=\"23505\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    // What never reaches the server has no code.
    telemetry.forget();
    client.execute("INSERT INTO orders VALUES ($1, $2)", &[&1_i64, &2_i64]).await.unwrap_err();
    let insert = telemetry.only_span("INSERT orders");
    assert_eq!((outcome(&insert).as_str(), attribute(&insert, "db.response.status_code")), ("to_sql", None));
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn a_server_that_ends_the_connection_is_an_error_of_the_connection() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    client.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[]).await.unwrap_err();
    client.query("SELECT 1", &[]).await.unwrap_err();
    assert!(client.is_closed());
    let spans = telemetry.finished_spans();
    assert_eq!([outcome(&spans[0]), outcome(&spans[1])], ["57P01", "connection_closed"]);
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_cancelled() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    // A stream that nobody reads to its end.
    let mut rows = Box::pin(client.query_raw("SELECT id FROM orders WHERE id > $1", [&0_i64]).await.unwrap());
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    assert_eq!(outcome(&telemetry.only_span("SELECT orders")), "cancelled");
    // And a future. It is prepared, so that its first poll sends it.
    let sleep = client.prepare("SELECT pg_sleep(60)").await.unwrap();
    telemetry.forget();
    let given_up = tokio::time::timeout(Duration::ZERO, client.query(&sleep, &[])).await;
    assert!(given_up.is_err());
    assert_eq!(outcome(&telemetry.only_span("SELECT")), "cancelled");
    // The server goes on with it until it is told. What comes next on this connection may be hit by that.
    client.cancel_token().cancel_query(NoTls).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_unknown_statements_keeps_metrics_bounded() {
    let (telemetry, client, _own) = orders(|postgres| postgres).await;
    for number in 0..2_500 {
        client.batch_execute(&format!("SELECT 1 FROM unknown_{number}")).await.unwrap_err();
    }
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert!(counts.len() <= 2_001, "{}", counts.len());
    assert!(counts.iter().any(|series| series.contains("otel_metric_overflow=\"true\"")));
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 2_500);
}

#[tokio::test]
async fn the_example_places_one_order_and_is_refused_the_other() {
    let own = Database::create();
    let told = example::story(&own.url()).await.unwrap();
    assert!(told.contains("order 1 is placed") && told.contains("order 2 is refused"), "{told}");
    assert!(told.contains("COMMIT") && told.contains("db.response.status_code=23514"), "{told}");
}
