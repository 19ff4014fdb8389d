//! rusqlite: connections, statements and transactions that are used as before; each run is one span and one measurement.

mod secrets;
mod texts;
mod transactions;

#[path = "../../../examples/rusqlite.rs"]
#[allow(dead_code, reason = "its main is for those who run it")]
mod example;

use rusqlite::{Connection, Error};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::rusqlite::{Rusqlite, Traced};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{in_context, metrics, span, spawn, spawn_blocking, with_context};

use crate::http_server::net::{attribute, attributes, metric, outcome, series, spans};

/// What is in every value of these tests that nobody may see.
const SECRET: &str = "hunter2";

/// A traced connection to a file that has a table of two orders, and the folder that it is in.
fn orders(
    settings: impl FnOnce(Rusqlite) -> Rusqlite,
) -> (TestTelemetry, Traced<Connection>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("orders.db")).unwrap();
    let tables = "CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL); \
                  INSERT INTO orders VALUES (1, 'ann'), (2, 'bob')";
    connection.execute_batch(tables).unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let traced = settings(telemetry.rusqlite()).wrap(connection);
    (telemetry, traced, folder)
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

/// It is as the conventions have it, but for the server that there is none of.
fn assert_conventional(telemetry: &TestTelemetry) {
    let conventions = Conventions::current().exception("*/server.address", "the database is in the process");
    conventions.check(&[telemetry]).assert_clean();
}

fn owner_of(connection: &Traced<Connection>, id: i64) -> rusqlite::Result<String> {
    connection.query_row("SELECT owner FROM orders WHERE id = ?1", [id], |row| row.get(0))
}

#[tokio::test]
async fn a_statement_on_a_blocking_thread_is_a_child_of_the_span_around_it() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    let work = async { spawn_blocking(move || owner_of(&connection, 2).unwrap()).await.unwrap() };
    assert_eq!(with_context(telemetry.context(), span("unit").observe(work)).await, "bob");
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  \"SELECT orders\" CLIENT order-service");
    let select = telemetry.only_span("SELECT orders");
    assert_eq!((select.kind(), outcome(&select).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(
        attributes(&select),
        [
            "db.namespace=orders.db",
            "db.query.summary=SELECT orders",
            "db.query.text=SELECT owner FROM orders WHERE id = ?1",
            "db.response.returned_rows=1",
            "db.system.name=sqlite",
        ]
    );
    let labels = ["db_namespace=\"orders.db\"", "db_query_summary=\"SELECT orders\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    assert_conventional(&telemetry);
}

#[test]
fn every_way_to_ask_is_seen_once() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    let mut all = connection.prepare("SELECT id FROM orders WHERE id > ?1").unwrap();
    let ids: Vec<i64> = all.query_map([0], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(ids, [1, 2]);
    assert!(!all.exists([9]).unwrap());
    let mut rows = all.query([0]).unwrap();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    drop(all);
    for owner in ["carol", "dan"] {
        let mut insert = connection.prepare_cached("INSERT INTO orders (owner) VALUES (?1)").unwrap();
        assert!(insert.insert([owner]).unwrap() > 2);
    }
    assert_eq!(connection.execute("UPDATE orders SET owner = ?1", ["eve"]).unwrap(), 4);
    let count: i64 = connection.query_one("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!((count, connection.changes(), connection.last_insert_rowid()), (4, 4, 4));
    connection.execute_batch("DELETE FROM orders; DROP TABLE orders").unwrap();

    let seen: Vec<(String, Option<String>)> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name().to_owned(), attribute(span, "db.response.returned_rows")))
        .collect();
    let expected = [
        ("SELECT orders", Some("2")),
        ("SELECT orders", Some("0")),
        ("SELECT orders", Some("2")),
        ("INSERT orders", None),
        ("INSERT orders", None),
        ("UPDATE orders", None),
        ("SELECT orders", Some("1")),
        ("DELETE orders; DROP TABLE orders", None),
    ];
    assert_eq!(seen, expected.map(|(name, rows)| (name.to_owned(), rows.map(ToOwned::to_owned))));
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 8);
    assert_eq!(metric(&telemetry, "db_client_response_returned_rows_sum", &[]), 5);
    assert_conventional(&telemetry);
}

#[test]
fn who_has_read_enough_ends_the_span() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    let mut all = connection.prepare("SELECT id FROM orders").unwrap();
    let mut rows = all.query([]).unwrap();
    assert!(rows.next().unwrap().is_some());
    assert_eq!(telemetry.finished_spans().len(), 0, "it is not over yet");
    drop(rows);
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(outcome(&select), "ok");
    assert_eq!(attribute(&select, "db.response.returned_rows").as_deref(), Some("1"));
}

#[test]
fn a_row_that_is_not_there_is_an_answer() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    assert_eq!(owner_of(&connection, 9), Err(Error::QueryReturnedNoRows));
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(outcome(&select), "ok");
    assert_eq!(attribute(&select, "db.response.returned_rows").as_deref(), Some("0"));
    telemetry.forget();
    let several = connection.query_one("SELECT id FROM orders", [], |row| row.get::<_, i64>(0));
    assert_eq!(several, Err(Error::QueryReturnedMoreThanOneRow));
    assert_eq!(outcome(&telemetry.only_span("SELECT orders")), "ok");
}

#[test]
fn a_failure_has_its_result_code() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    connection.execute("INSERT INTO orders VALUES (?1, ?2)", (1, SECRET)).unwrap_err();
    let insert = telemetry.only_span("INSERT orders");
    assert_eq!(outcome(&insert), "constraint_violation");
    let primary_key = rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY.to_string();
    assert_eq!(attribute(&insert, "db.response.status_code"), Some(primary_key));
    let labels = ["error_type=\"constraint_violation\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    // What cannot be prepared failed as well.
    telemetry.forget();
    connection.prepare("SELECT FROM WHERE").unwrap_err();
    assert_eq!(telemetry.finished_spans().len(), 1);
    telemetry.forget();
    connection.execute("DELETE FROM orders WHERE id = ?1", (1, 2)).unwrap_err();
    assert_eq!(outcome(&telemetry.only_span("DELETE orders")), "invalid_parameter_count");
    assert_conventional(&telemetry);
}

#[test]
fn a_panic_while_rows_are_read_ends_the_span_as_that() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    let panics =
        || connection.query_row("SELECT id FROM orders", [], |_| -> rusqlite::Result<()> { panic!("no") });
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(attribute(&select, "error.type").as_deref(), Some("panic"), "{select:?}");
}

#[tokio::test]
async fn a_caller_that_is_gone_leaves_the_span_to_the_thread() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let caller = spawn(with_context(telemetry.context(), async move {
        let work = move || {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            owner_of(&connection, 1).unwrap();
        };
        spawn_blocking(work).await.unwrap();
    }));
    begins.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    let select = spans(&telemetry, 1).await.remove(0);
    assert_eq!(outcome(&select), "ok", "it was done");
}

#[test]
fn a_flood_of_unknown_statements_keeps_metrics_bounded() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite);
    for number in 0..2_500 {
        connection.execute(&format!("DELETE FROM unknown_{number}"), []).unwrap_err();
    }
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert!(counts.len() <= 2_001, "{}", counts.len());
    assert!(counts.iter().any(|series| series.contains("otel_metric_overflow=\"true\"")));
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 2_500);
}

#[test]
fn the_example_places_one_order_and_is_refused_the_other() {
    let told = example::story().unwrap();
    assert!(told.contains("order 1 is placed") && told.contains("order 2 is refused"), "{told}");
    assert!(told.contains("COMMIT") && told.contains("error.type=constraint_violation"), "{told}");
}
