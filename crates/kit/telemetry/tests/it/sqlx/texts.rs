//! What is shown of a text, and what is added to it.

use std::time::Duration;

use waypost_telemetry::sqlx::QueryText;

use super::*;

/// The text on the span of a statement with a literal, and of one whose value is bound.
async fn texts(text: QueryText) -> [Option<String>; 2] {
    let (telemetry, pool) = orders(|sqlx| sqlx.query_text(text)).await;
    sqlx::query("SELECT id FROM orders WHERE owner = 'ann' -- hers").fetch_all(&pool).await.unwrap();
    sqlx::query("SELECT id FROM orders WHERE owner = ? AND id < 9")
        .bind("ann")
        .fetch_all(&pool)
        .await
        .unwrap();
    let spans = spans(&telemetry, 2).await;
    for span in &spans {
        assert_eq!(span.name(), "SELECT orders");
        assert_eq!(attribute(span, "db.query.summary").as_deref(), Some("SELECT orders"));
    }
    [0, 1].map(|place| attribute(&spans[place], "db.query.text"))
}

#[tokio::test]
async fn a_text_is_shown_as_the_program_wants_it() {
    let (literal, bound) = (
        "SELECT id FROM orders WHERE owner = 'ann' -- hers",
        "SELECT id FROM orders WHERE owner = ? AND id < 9",
    );
    let (no_literal, no_number) =
        ("SELECT id FROM orders WHERE owner = ? ", "SELECT id FROM orders WHERE owner = ? AND id < ?");
    for (text, first, second) in [
        (QueryText::Auto, Some(no_literal), Some(bound)),
        (QueryText::Full, Some(literal), Some(bound)),
        (QueryText::Obfuscated, Some(no_literal), Some(no_number)),
        (QueryText::Off, None, None),
    ] {
        assert_eq!(texts(text).await, [first, second].map(|text| text.map(ToOwned::to_owned)), "{text:?}");
    }
}

#[tokio::test]
async fn several_statements_in_one_text_are_one_span() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    let sql = "UPDATE orders SET owner = 'eve'; DELETE FROM orders WHERE id = 1";
    sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    let both = telemetry.only_span("UPDATE orders; DELETE orders");
    let text = "UPDATE orders SET owner = ?; DELETE FROM orders WHERE id = ?";
    assert_eq!(attribute(&both, "db.query.text").as_deref(), Some(text));
}

#[tokio::test]
async fn a_text_without_a_summary_is_named_by_the_system() {
    let (telemetry, pool) = orders(|sqlx| sqlx).await;
    sqlx::raw_sql("-- nothing").execute(&pool).await.unwrap();
    assert_eq!(names(&telemetry), ["sqlite"]);
}

#[tokio::test]
async fn a_slow_statement_says_so() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let subscriber = tracing_subscriber::registry().with(waypost_telemetry::logs::Records::new());
    // With only one subscriber in the process, what other tests say first, on threads without it, is off for good.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _default = tracing::subscriber::set_default(subscriber);
    let (telemetry, pool) = orders(|sqlx| sqlx.slow_query(Duration::ZERO)).await;
    let _attached = telemetry.context().attach();
    sqlx::query("SELECT id FROM orders WHERE owner = 'ann'").fetch_all(&pool).await.unwrap();
    let select = telemetry.only_span("SELECT orders");
    let [event] = select.events() else { panic!("{select:?}") };
    assert_eq!(event.name(), "waypost.db.slow_query");
    assert_eq!(event.attribute("waypost.db.slow_query.threshold"), Some(&0.0.into()));
    let logs = telemetry.finished_logs();
    let told = logs.iter().find(|log| log.body() == "a statement took longer than it should").unwrap();
    assert_eq!(told.span_context().span_id(), select.span_id());
    assert_eq!(told.attribute("statement").unwrap().as_str(), "SELECT orders");
    assert!(!format!("{logs:?}").contains("'ann'"), "{logs:?}");

    let (telemetry, pool) = orders(|sqlx| sqlx.slow_query(Duration::from_mins(10))).await;
    sqlx::query("SELECT id FROM orders").fetch_all(&pool).await.unwrap();
    assert!(telemetry.only_span("SELECT orders").events().is_empty());
}

#[tokio::test]
async fn an_operation_without_a_parent_is_measured_alone_where_a_parent_is_required() {
    let (telemetry, pool) = orders(|sqlx| sqlx.require_parent(true)).await;
    assert_eq!(count(&pool).await, 2);
    assert_eq!(telemetry.finished_spans().len(), 0);
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 1);
    let work = async { count(&pool).await };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  \"SELECT orders\" CLIENT order-service");
}
