//! Over a real PostgreSQL.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres};
use waypost_test_servers::postgres::Database as OwnDatabase;

use super::*;

/// A traced pool to a database of the test's own, with the options that it has.
async fn connected(settings: impl FnOnce(Sqlx) -> Sqlx) -> (TestTelemetry, Traced<PgPool>, OwnDatabase) {
    let own = OwnDatabase::create();
    let pool = PgPoolOptions::new().max_connections(4).connect(&own.url()).await.unwrap();
    let create = "CREATE TABLE orders (id bigint PRIMARY KEY, owner text NOT NULL); INSERT INTO orders VALUES (1, 'ann')";
    sqlx::raw_sql(create).execute(&pool).await.unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let traced = settings(telemetry.sqlx()).wrap(pool);
    (telemetry, traced, own)
}

fn address(pool: &Traced<PgPool>) -> (String, u16) {
    let options: &PgConnectOptions = &pool.inner().connect_options();
    (options.get_host().to_owned(), options.get_port())
}

#[tokio::test]
async fn a_query_says_where_the_database_is() {
    let (telemetry, pool, own) = connected(|sqlx| sqlx).await;
    let (host, port) = address(&pool);
    let work = async {
        sqlx::query("SELECT owner FROM orders WHERE id = $1").bind(1_i64).fetch_all(&pool).await.unwrap()
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  \"SELECT orders\" CLIENT order-service");
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(
        settled(&select),
        [
            format!("db.namespace={}", own.name()),
            "db.query.summary=SELECT orders".to_owned(),
            "db.query.text=SELECT owner FROM orders WHERE id = $1".to_owned(),
            "db.response.returned_rows=1".to_owned(),
            "db.system.name=postgresql".to_owned(),
            format!("server.address={host}"),
        ]
    );
    assert_eq!(attribute(&select, "server.port"), Some(port.to_string()));
    let pool_name = format!("db_client_connection_pool_name=\"{host}:{port}/{}\"", own.name());
    assert_eq!(metric(&telemetry, "db_client_connection_max", &[&pool_name]), 4);
    let labels = [format!("server_port=\"{port}\""), "db_system_name=\"postgresql\"".to_owned()];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &labels), 1);
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn a_failure_has_its_sqlstate_and_none_of_its_values() {
    let (telemetry, pool, _own) = connected(|sqlx| sqlx).await;
    let mut transaction = pool.begin().await.unwrap();
    let twice = sqlx::query("INSERT INTO orders VALUES ($1, $2)").bind(1_i64).bind("secret");
    twice.execute(&mut *transaction).await.unwrap_err();
    // PostgreSQL refuses what comes after it, until the transaction ends.
    sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap_err();
    transaction.rollback().await.unwrap();
    let seen: Vec<(String, String, Option<String>)> = telemetry
        .finished_spans()
        .iter()
        .map(|span| (span.name().to_owned(), outcome(span), attribute(span, "db.response.status_code")))
        .collect();
    let expected = [
        ("BEGIN", "ok", None),
        ("INSERT orders", "23505", Some("23505")),
        ("SELECT", "25P02", Some("25P02")),
        ("ROLLBACK", "ok", None),
    ];
    let expected = expected
        .map(|(name, outcome, code)| (name.to_owned(), outcome.to_owned(), code.map(ToOwned::to_owned)));
    assert_eq!(seen, expected);
    assert!(!format!("{:?}", telemetry.finished_spans()).contains("secret"));
}

#[tokio::test]
async fn the_server_sees_the_trace_where_it_is_asked_for() {
    let own_query = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND $1";
    let (telemetry, pool, _own) = connected(|sqlx| sqlx.sql_commenter(true)).await;
    let seen: String = sqlx::query_scalar(own_query).bind(true).fetch_one(&pool).await.unwrap();
    let select = telemetry.only_span("SELECT pg_stat_activity");
    let comment = format!("{own_query} /*traceparent='00-{}-{}-0", select.trace_id(), select.span_id());
    assert!(seen.starts_with(&comment) && seen.ends_with("'*/"), "{seen}");
    assert_eq!(attribute(&select, "db.query.text").as_deref(), Some(own_query), "the text is the program's");
    // Without preparing it for ever.
    let prepared = "SELECT count(*) FROM pg_prepared_statements";
    let mut connection = pool.acquire().await.unwrap();
    for _ in 0..3 {
        sqlx::query(own_query).bind(true).fetch_one(&mut *connection).await.unwrap();
    }
    let left: i64 = sqlx::query_scalar(prepared).fetch_one(&mut **connection.inner_mut()).await.unwrap();
    assert_eq!(left, 1, "the question itself");

    let (_telemetry, pool, _own) = connected(|sqlx| sqlx).await;
    let seen: String = sqlx::query_scalar(own_query).bind(true).fetch_one(&pool).await.unwrap();
    assert_eq!(seen, own_query);
}

#[tokio::test]
async fn what_is_said_of_the_database_can_be_said_otherwise() {
    let (telemetry, pool, _own) =
        connected(|sqlx| sqlx.server("db.internal", 5432).namespace("shop|public")).await;
    assert_eq!(count(&pool).await, 1);
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(attribute(&select, "server.address").as_deref(), Some("db.internal"));
    assert_eq!(attribute(&select, "server.port"), None, "every client tries 5432");
    assert_eq!(attribute(&select, "db.namespace").as_deref(), Some("shop|public"));
    let pool_name = "db_client_connection_pool_name=\"db.internal:5432/shop|public\"";
    assert_eq!(metric(&telemetry, "db_client_connection_max", &[pool_name]), 4);
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_of_the_connection() {
    let telemetry = TestTelemetry::new("order-service");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let options = PgConnectOptions::new().host("127.0.0.1").port(port).username("ann").database("shop");
    let pool = PgPoolOptions::new()
        .acquire_timeout(std::time::Duration::from_millis(200))
        .connect_lazy_with(options);
    let pool: Traced<Pool<Postgres>> = telemetry.sqlx().wrap(pool);
    sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
    let select = telemetry.only_span("SELECT");
    assert_eq!(outcome(&select), "pool_timed_out");
    assert_eq!(attribute(&select, "db.response.status_code"), None);
}

#[tokio::test]
async fn a_host_that_makes_no_url_is_left_out_and_harms_nobody() {
    let telemetry = TestTelemetry::new("order-service");
    let options = PgConnectOptions::new().host("::1").port(1).username("ann");
    let pool = telemetry.sqlx().wrap(PgPoolOptions::new().connect_lazy_with(options));
    assert!(format!("{pool:?}").contains("postgresql"));
}
