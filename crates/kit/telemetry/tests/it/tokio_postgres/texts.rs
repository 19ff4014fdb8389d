//! What is shown of a text, and when.

use waypost_telemetry::tokio_postgres::QueryText;

use super::*;

/// The text on the span of a statement with a literal, and of one whose value is bound.
async fn texts(text: QueryText) -> [Option<String>; 2] {
    let (telemetry, client, _own) = orders(|postgres| postgres.query_text(text)).await;
    client.query("SELECT id FROM orders WHERE owner = 'ann' -- hers", &[]).await.unwrap();
    client.query("SELECT id FROM orders WHERE owner = $1 AND id < 9", &[&"ann"]).await.unwrap();
    let spans = telemetry.finished_spans();
    assert!(spans.iter().all(|span| span.name() == "SELECT orders"));
    [0, 1].map(|place| attribute(&spans[place], "db.query.text"))
}

#[tokio::test]
async fn a_text_is_shown_as_the_program_wants_it() {
    let (literal, bound) = (
        "SELECT id FROM orders WHERE owner = 'ann' -- hers",
        "SELECT id FROM orders WHERE owner = $1 AND id < 9",
    );
    let (no_literal, no_number) =
        ("SELECT id FROM orders WHERE owner = ? ", "SELECT id FROM orders WHERE owner = $1 AND id < ?");
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
async fn a_slow_statement_says_so() {
    let (telemetry, client, _own) = orders(|postgres| postgres.slow_query(Duration::ZERO)).await;
    client.query("SELECT id FROM orders", &[]).await.unwrap();
    let select = telemetry.only_span("SELECT orders");
    let [event] = select.events() else { panic!("{select:?}") };
    assert_eq!(event.name(), "waypost.db.slow_query");

    let (telemetry, client, _own) = orders(|postgres| postgres.slow_query(Duration::from_mins(10))).await;
    client.query("SELECT id FROM orders", &[]).await.unwrap();
    assert!(telemetry.only_span("SELECT orders").events().is_empty());
}

#[tokio::test]
async fn an_operation_without_a_parent_is_measured_alone_where_a_parent_is_required() {
    let (telemetry, client, _own) = orders(|postgres| postgres.require_parent(true)).await;
    client.query("SELECT id FROM orders", &[]).await.unwrap();
    assert_eq!(telemetry.finished_spans().len(), 0);
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 1);
    let work = async { client.query("SELECT id FROM orders", &[]).await.unwrap() };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  \"SELECT orders\" CLIENT order-service");
}

#[tokio::test]
async fn what_is_said_of_the_database_can_be_said_otherwise() {
    let (telemetry, client, _own) =
        orders(|postgres| postgres.server("db.internal", 5432).namespace("shop|public")).await;
    client.query("SELECT id FROM orders", &[]).await.unwrap();
    let select = telemetry.only_span("SELECT orders");
    assert_eq!(attribute(&select, "server.address").as_deref(), Some("db.internal"));
    assert_eq!(attribute(&select, "server.port"), None, "every client tries 5432");
    assert_eq!(attribute(&select, "db.namespace").as_deref(), Some("shop|public"));
}
