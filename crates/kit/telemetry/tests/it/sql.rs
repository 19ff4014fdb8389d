//! Database operations: one span and one measurement each, for any driver.

use std::borrow::Cow;
use std::time::Duration;

use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::sql::Database;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{ErrorType, with_context};

use crate::http_server::net::{attribute, attributes, metric, outcome, series, span, spans};

const PLACE: &str = "INSERT INTO orders (id, status) VALUES (?1, 'pending')";
const ANNOUNCE: &str = "INSERT INTO outbox (id, payload) VALUES (?1, ?2)";
const TAKE: &str = "UPDATE stock SET available = available - ?1 WHERE product_id = ?2 RETURNING available";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("disk full")]
    DiskFull,
    #[error("out of stock")]
    OutOfStock,
}

impl ErrorType for Failure {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::DiskFull => "disk_full".into(),
            Self::OutOfStock => "out_of_stock".into(),
        }
    }

    fn is_failure(&self) -> bool {
        matches!(self, Self::DiskFull)
    }
}

fn database() -> (TestTelemetry, Database) {
    let telemetry = TestTelemetry::new("order");
    let database = telemetry.sql("sqlite", "order");
    (telemetry, database)
}

#[tokio::test]
async fn an_operation_is_named_by_the_summary_of_its_statements() {
    let (telemetry, database) = database();
    let mut operation = database.start("place-order");
    operation.statement(PLACE);
    operation.statement(ANNOUNCE);
    operation.statement(ANNOUNCE);
    operation.waited(Duration::from_millis(2));
    operation.batch_units(3);
    operation.rows(1);
    operation.succeed();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "INSERT orders; INSERT outbox");
    assert_eq!(span.kind(), SpanKind::Client);
    assert_eq!(outcome(&span), "ok");
    assert_eq!(
        attributes(&span),
        [
            "db.namespace=order",
            "db.query.summary=INSERT orders; INSERT outbox",
            &format!("db.query.text={PLACE};\n{ANNOUNCE}"),
            "db.response.returned_rows=1",
            "db.system.name=sqlite",
            "waypost.db.commit.units=3",
            "waypost.db.operation=place-order",
            "waypost.db.wait_duration=0.002",
        ]
    );
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert_eq!(counts.len(), 1);
    for label in [
        "db_system_name=\"sqlite\"",
        "db_namespace=\"order\"",
        "db_query_summary=\"INSERT orders; INSERT outbox\"",
    ] {
        assert!(counts[0].contains(label), "{counts:?}");
    }
    assert_eq!(series(&telemetry, "db_client_operation_duration_seconds_bucket").len(), 10);
}

#[tokio::test]
async fn rows_that_were_returned_are_measured_by_statement() {
    let telemetry = TestTelemetry::new("order");
    let database = telemetry.sql("postgresql", "order").server("db.internal", 6432);
    for rows in [0, 3, 700] {
        let mut operation = database.start("list-orders");
        operation.statement("SELECT * FROM orders");
        operation.rows(rows);
        operation.succeed();
    }
    // One that says nothing of rows has no part in it.
    let mut operation = database.start("place-order");
    operation.statement(PLACE);
    operation.succeed();
    let family = "db_client_response_returned_rows";
    let count = format!("{family}_count");
    assert_eq!(series(&telemetry, &count).len(), 1);
    let labels =
        ["server_address=\"db.internal\"", "db_namespace=\"order\"", "db_query_summary=\"SELECT orders\""];
    assert_eq!(metric(&telemetry, &count, &labels), 3);
    assert_eq!(metric(&telemetry, &format!("{family}_sum"), &labels), 703);
    assert_eq!(metric(&telemetry, &format!("{family}_bucket"), &["le=\"5\""]), 2);
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn an_operation_without_statements_has_its_own_name() {
    let (telemetry, database) = database();
    database.start("checkpoint").succeed();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "checkpoint");
    assert_eq!(attribute(&span, "db.query.summary"), None);
    assert_eq!(attribute(&span, "db.query.text"), None);
}

#[tokio::test]
async fn a_failure_has_a_type_and_a_refusal_is_none() {
    let (telemetry, database) = database();
    let mut failed = database.start("place-order");
    failed.statement(PLACE);
    failed.status_code("13");
    failed.fail(&Failure::DiskFull);
    let mut refused = database.start("reserve");
    refused.statement(TAKE);
    refused.fail(&Failure::OutOfStock);

    let spans = spans(&telemetry, 2).await;
    assert_eq!(outcome(&spans[0]), "disk_full");
    assert_eq!(attribute(&spans[0], "db.response.status_code").as_deref(), Some("13"));
    assert_eq!(outcome(&spans[1]), "ok");
    let failed =
        ["error_type=\"disk_full\"", "db_response_status_code=\"13\"", "db_query_summary=\"INSERT orders\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &failed), 1);
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &["error_type"]), 1);
}

#[tokio::test]
async fn an_operation_that_is_dropped_was_cancelled_and_still_says_what_it_ran() {
    let (telemetry, database) = database();
    let mut operation = database.start("reserve");
    operation.statement(TAKE);
    drop(operation);
    let span = span(&telemetry).await;
    assert_eq!((span.name(), outcome(&span).as_str()), ("UPDATE stock", "cancelled"));
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 1);
}

#[tokio::test]
async fn an_operation_ends_on_another_thread_under_the_parent_it_started_with() {
    let (telemetry, database) = database();
    let work = async {
        let operation = database.start("place-order");
        std::thread::spawn(move || operation.succeed()).join().unwrap();
    };
    with_context(telemetry.context(), telemetry.span("save-order").observe(work)).await;
    let [done, saved] = &spans(&telemetry, 2).await[..] else { unreachable!() };
    assert_eq!(done.parent_id(), Some(saved.span_id()));
    assert_eq!(done.trace_id(), saved.trace_id());
}

#[tokio::test]
async fn an_operation_that_panics_says_so() {
    let (telemetry, database) = database();
    let operation = database.start("place-order");
    let thread = std::thread::spawn(move || {
        let _operation = operation;
        panic!("as the test wants it");
    });
    thread.join().unwrap_err();
    assert_eq!(outcome(&span(&telemetry).await), "panic");
    let failed = ["error_type=\"panic\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &failed), 1);
}

#[tokio::test]
async fn statements_without_an_end_are_cut() {
    let (telemetry, database) = database();
    let long: &'static str =
        Box::leak(format!("SELECT '{}' FROM orders", "ä".repeat(10_000)).into_boxed_str());
    let mut operation = database.start("read");
    operation.statement(long);
    operation.succeed();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "SELECT orders");
    assert!(attribute(&span, "db.query.text").unwrap().len() <= 4096);
}

#[tokio::test]
async fn operations_of_different_statements_are_different_series_and_the_same_ones_are_one() {
    let (telemetry, database) = database();
    for _ in 0..10 {
        for statement in [PLACE, ANNOUNCE, TAKE] {
            let mut operation = database.start("unit");
            operation.statement(statement);
            operation.succeed();
        }
    }
    assert_eq!(series(&telemetry, "db_client_operation_duration_seconds_count").len(), 3);
}

#[tokio::test]
async fn a_statement_may_be_put_together_while_the_program_runs() {
    let (telemetry, database) = database();
    let mut operation = database.start("find");
    let columns = ["id", "status"].join(", ");
    operation.statement(format!("SELECT {columns} FROM orders WHERE id = ?1"));
    operation.dynamic_statement("SELECT * FROM holds WHERE owner = 'alice' AND n > 7 -- for alice");
    operation.dynamic_statement("SELECT * FROM holds WHERE owner = 'bob' AND n > 8");
    operation.succeed();
    let span = span(&telemetry).await;
    assert_eq!(span.name(), "SELECT orders; SELECT holds");
    assert_eq!(
        attribute(&span, "db.query.text").as_deref(),
        Some(
            "SELECT id, status FROM orders WHERE id = ?1;\n\
             SELECT * FROM holds WHERE owner = ? AND n > ? ;\n\
             SELECT * FROM holds WHERE owner = ? AND n > ?"
        )
    );
}

#[tokio::test]
async fn an_operation_says_where_the_database_is() {
    let telemetry = TestTelemetry::new("order");
    let database = telemetry.sql("postgresql", "shop").server("db.internal", 5432);
    database.start("ping").succeed();
    let mut operation = database.start("read");
    operation.server("replica.internal", 6432);
    operation.peer("10.0.0.7:6432".parse().unwrap());
    operation.succeed();

    let spans = spans(&telemetry, 2).await;
    assert_eq!(attribute(&spans[0], "server.address").as_deref(), Some("db.internal"));
    assert_eq!(attribute(&spans[0], "server.port"), None, "the default port goes without saying");
    for (key, value) in [
        ("server.address", "replica.internal"),
        ("server.port", "6432"),
        ("network.peer.address", "10.0.0.7"),
        ("network.peer.port", "6432"),
    ] {
        assert_eq!(attribute(&spans[1], key).as_deref(), Some(value));
    }
    let labels = ["server_address=\"replica.internal\"", "server_port=\"6432\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
}
