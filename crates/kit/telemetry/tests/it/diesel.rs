//! diesel: a connection that is given the kit's instrumentation, over SQLite; each query is one span and one measurement.

#[path = "../../examples/diesel.rs"]
#[allow(dead_code, reason = "its main is for those who run it")]
mod example;

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use waypost_telemetry::diesel::{Diesel, QueryText};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::testing::conventions::Conventions;
use waypost_telemetry::{ErrorType as _, in_context, metrics, span, spawn_blocking, with_context};

use crate::http_server::net::{attribute, attributes, metric, outcome, series};

diesel::table! {
    orders (id) {
        id -> BigInt,
        owner -> Text,
    }
}

/// In every value of these tests; nobody may see it.
const SECRET: &str = "hunter2";

/// A connection with a table of two orders, of which nothing is seen yet.
fn connected(settings: impl FnOnce(Diesel) -> Diesel) -> (TestTelemetry, SqliteConnection) {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    let tables = "CREATE TABLE orders (id BIGINT PRIMARY KEY NOT NULL, owner TEXT NOT NULL); \
                  INSERT INTO orders VALUES (1, 'ann'), (2, 'bob')";
    connection.batch_execute(tables).unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let diesel = settings(telemetry.diesel("sqlite").url("data/orders.db"));
    connection.set_instrumentation(diesel.instrumentation());
    (telemetry, connection)
}

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

fn rename(connection: &mut SqliteConnection, new_owner: &str) -> QueryResult<usize> {
    diesel::update(orders::table.find(1_i64)).set(orders::owner.eq(new_owner)).execute(connection)
}

fn owner_of(connection: &mut SqliteConnection, id: i64) -> QueryResult<String> {
    orders::table.find(id).select(orders::owner).first(connection)
}

#[tokio::test]
async fn a_query_on_a_blocking_thread_is_a_child_of_the_span_around_it() {
    let (telemetry, mut connection) = connected(|diesel| diesel);
    let work = async { spawn_blocking(move || owner_of(&mut connection, 2).unwrap()).await.unwrap() };
    assert_eq!(with_context(telemetry.context(), span("unit").observe(work)).await, "bob");
    let select = telemetry.finished_spans().remove(0);
    assert_eq!((select.kind(), outcome(&select).as_str()), (SpanKind::Client, "ok"));
    assert_eq!(select.parent_id(), Some(telemetry.only_span("unit").span_id()));
    assert!(select.name().starts_with("SELECT"), "{select:?}");
    let text = "SELECT `orders`.`owner` FROM `orders` WHERE (`orders`.`id` = ?) LIMIT ?";
    assert_eq!(
        attributes(&select),
        [
            "db.namespace=orders.db".to_owned(),
            format!("db.query.summary={}", select.name()),
            format!("db.query.text={text}"),
            "db.system.name=sqlite".to_owned(),
        ]
    );
    let labels = ["db_namespace=\"orders.db\"", "db_system_name=\"sqlite\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    assert_conventional(&telemetry);
}

#[test]
fn a_transaction_is_seen_by_its_statements() {
    let (telemetry, mut connection) = connected(|diesel| diesel);
    let unit = || {
        span("unit").in_scope(|| {
            connection.transaction(|connection| rename(connection, "eve")).unwrap();
            let failed = connection.transaction(|connection| {
                rename(connection, "eva")?;
                connection.transaction(|connection| rename(connection, "eva"))?;
                Err::<(), _>(diesel::result::Error::RollbackTransaction)
            });
            failed.unwrap_err();
            owner_of(&mut connection, 1).unwrap()
        })
    };
    assert_eq!(in_context(telemetry.context(), unit)(), "eve");
    let names = names(&telemetry);
    let (update, select) = (&names[1], &names[10]);
    let expected = ["BEGIN", update, "COMMIT", "BEGIN", update, "SAVEPOINT", update, "RELEASE", "ROLLBACK"];
    assert!(update.starts_with("UPDATE") && names[9].starts_with("SELECT") && select == "unit", "{names:?}");
    assert_eq!(names[..9], expected, "{names:?}");
    assert_conventional(&telemetry);
}

#[test]
fn a_failure_has_its_kind() {
    let (telemetry, mut connection) = connected(|diesel| diesel);
    let twice = diesel::insert_into(orders::table).values((orders::id.eq(1_i64), orders::owner.eq(SECRET)));
    let failed = twice.execute(&mut connection).unwrap_err();
    assert_eq!(failed.error_type(), "unique_violation");
    let insert = telemetry.finished_spans().remove(0);
    assert!(insert.name().starts_with("INSERT"), "{insert:?}");
    assert_eq!(outcome(&insert), "unique_violation");
    let labels = ["error_type=\"unique_violation\""];
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    telemetry.forget();
    // What is not there is an answer.
    assert_eq!(owner_of(&mut connection, 9), Err(diesel::NotFound));
    assert_eq!(outcome(&telemetry.finished_spans()[0]), "ok");
    assert!(!exported(&telemetry).contains(SECRET));
    assert_conventional(&telemetry);
}

#[test]
fn a_text_is_shown_as_the_program_wants_it() {
    let texts = |text: QueryText| {
        let (telemetry, mut connection) = connected(|diesel| diesel.query_text(text));
        connection.batch_execute("DELETE FROM orders WHERE owner = 'eve'").unwrap();
        let bound = diesel::sql_query("DELETE FROM orders WHERE owner = ? AND id < 9").bind::<Text, _>("eve");
        bound.execute(&mut connection).unwrap();
        let spans = telemetry.finished_spans();
        assert!(spans.iter().all(|span| span.name() == "DELETE orders"), "{spans:?}");
        [0, 1].map(|place| attribute(&spans[place], "db.query.text"))
    };
    let (literal, bound) =
        ("DELETE FROM orders WHERE owner = 'eve'", "DELETE FROM orders WHERE owner = ? AND id < 9");
    let (no_literal, no_number) =
        ("DELETE FROM orders WHERE owner = ?", "DELETE FROM orders WHERE owner = ? AND id < ?");
    for (text, first, second) in [
        (QueryText::Auto, Some(no_literal), Some(bound)),
        (QueryText::Full, Some(literal), Some(bound)),
        (QueryText::Obfuscated, Some(no_literal), Some(no_number)),
        (QueryText::Off, None, None),
    ] {
        assert_eq!(texts(text), [first, second].map(|text| text.map(ToOwned::to_owned)), "{text:?}");
    }
}

#[test]
fn a_slow_query_says_so_and_one_without_a_parent_is_measured_alone() {
    let (telemetry, mut connection) = connected(|diesel| diesel.slow_query(Duration::ZERO));
    owner_of(&mut connection, 1).unwrap();
    assert_eq!(telemetry.finished_spans()[0].events()[0].name(), "waypost.db.slow_query");

    let (telemetry, mut connection) = connected(|diesel| diesel.require_parent(true));
    owner_of(&mut connection, 1).unwrap();
    assert_eq!(telemetry.finished_spans().len(), 0);
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 1);
    in_context(telemetry.context(), || span("unit").in_scope(|| owner_of(&mut connection, 1).unwrap()))();
    assert_eq!(telemetry.finished_spans().len(), 2);
}

#[test]
fn rows_that_are_not_read_to_their_end_end_the_query() {
    let (telemetry, mut connection) = connected(|diesel| diesel);
    let mut rows = orders::table.load_iter::<(i64, String), _>(&mut connection).unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert_eq!(telemetry.finished_spans().len(), 0, "it is not over yet");
    drop(rows);
    assert_eq!(outcome(&telemetry.finished_spans()[0]), "ok");
}

#[test]
fn an_instrumentation_that_is_dropped_leaves_no_open_span() {
    let (telemetry, mut connection) = connected(|diesel| diesel);
    drop(orders::table.load_iter::<(i64, String), _>(&mut connection).unwrap());
    connection.set_instrumentation(telemetry.diesel("sqlite").instrumentation());
    drop(connection);
    assert_eq!(telemetry.finished_spans().len(), 1);
}

#[test]
fn a_flood_of_unknown_statements_keeps_metrics_bounded() {
    let (telemetry, mut connection) = connected(|diesel| diesel);
    for number in 0..2_500 {
        connection.batch_execute(&format!("DELETE FROM unknown_{number}")).unwrap_err();
    }
    let counts = series(&telemetry, "db_client_operation_duration_seconds_count");
    assert!(counts.len() <= 2_001, "{}", counts.len());
    assert!(counts.iter().any(|series| series.contains("otel_metric_overflow=\"true\"")));
}

#[test]
fn a_secret_in_any_input_leaves_in_no_export() {
    for text in [QueryText::Auto, QueryText::Obfuscated, QueryText::Off] {
        let (telemetry, mut connection) =
            connected(|diesel| diesel.query_text(text).slow_query(Duration::ZERO));
        let _attached = telemetry.context().attach();
        rename(&mut connection, SECRET).unwrap();
        for literal in [
            "SELECT id FROM orders WHERE owner = 'hunter2'",
            "SELECT 'hunter2 -- binds: [1]'",
            "SELECT 'a -- binds: [1] hunter2' /* hunter2 */",
        ] {
            connection.batch_execute(literal).unwrap();
            diesel::sql_query(literal).execute(&mut connection).unwrap();
        }
        for value in [SECRET, "x -- binds: [hunter2]", "'hunter2"] {
            let bound = diesel::sql_query("UPDATE orders SET owner = ? WHERE id = ?");
            bound.bind::<Text, _>(value).bind::<BigInt, _>(1).execute(&mut connection).unwrap();
        }
        connection.batch_execute("INSERT INTO orders VALUES (1, 'hunter2')").unwrap_err();
        let exported = exported(&telemetry);
        assert!(exported.contains("UPDATE") && !exported.contains(SECRET), "{text:?}: {exported}");
    }
    let telemetry = TestTelemetry::new("order-service");
    let url = "postgres://ann:hunter2@db.internal/shop?password=hunter2";
    let diesel = telemetry.diesel("postgresql").url(url);
    assert!(!format!("{diesel:?}{:?}", diesel.instrumentation()).contains(SECRET));
}

#[test]
fn the_example_shows_how_it_connects_and_what_it_asks() {
    let told = example::story().unwrap();
    for part in ["CONNECT CLIENT", "BEGIN CLIENT", "COMMIT CLIENT", "error.type=check_violation"] {
        assert!(told.contains(part), "{part} in {told}");
    }
}
