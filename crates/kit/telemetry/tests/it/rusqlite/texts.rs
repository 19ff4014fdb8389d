//! What is shown of a text, and when.

use std::time::Duration;

use waypost_telemetry::rusqlite::QueryText;

use super::*;

/// The text on the span of a statement with a literal, and of one whose value is bound.
fn texts(text: QueryText) -> [Option<String>; 2] {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite.query_text(text));
    let id = |sql: &str, owner: &[&str]| {
        let params = rusqlite::params_from_iter(owner);
        connection.query_row(sql, params, |row| row.get::<_, i64>(0)).unwrap()
    };
    id("SELECT id FROM orders WHERE owner = 'ann' -- hers", &[]);
    id("SELECT id FROM orders WHERE owner = ?1 AND id < 9", &["ann"]);
    let spans = telemetry.finished_spans();
    assert!(spans.iter().all(|span| span.name() == "SELECT orders"));
    [0, 1].map(|place| attribute(&spans[place], "db.query.text"))
}

#[test]
fn a_text_is_shown_as_the_program_wants_it() {
    let (literal, bound) = (
        "SELECT id FROM orders WHERE owner = 'ann' -- hers",
        "SELECT id FROM orders WHERE owner = ?1 AND id < 9",
    );
    let (no_literal, no_number) =
        ("SELECT id FROM orders WHERE owner = ? ", "SELECT id FROM orders WHERE owner = ?1 AND id < ?");
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
fn a_slow_statement_says_so() {
    for (threshold, events) in [(Duration::ZERO, 1), (Duration::from_mins(10), 0)] {
        let (telemetry, connection, _folder) = orders(|sqlite| sqlite.slow_query(threshold));
        owner_of(&connection, 1).unwrap();
        assert_eq!(telemetry.only_span("SELECT orders").events().len(), events);
    }
}

#[test]
fn an_operation_without_a_parent_is_measured_alone_where_a_parent_is_required() {
    let (telemetry, connection, _folder) = orders(|sqlite| sqlite.require_parent(true));
    owner_of(&connection, 1).unwrap();
    assert_eq!(telemetry.finished_spans().len(), 0);
    assert_eq!(metric(&telemetry, "db_client_operation_duration_seconds_count", &[]), 1);
    in_context(telemetry.context(), || span("unit").in_scope(|| owner_of(&connection, 1).unwrap()))();
    telemetry.tree().assert_matches("unit INTERNAL order-service\n  \"SELECT orders\" CLIENT order-service");
}
