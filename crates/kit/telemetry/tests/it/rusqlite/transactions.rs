//! Transactions and savepoints.

use rusqlite::{DropBehavior, TransactionBehavior};
use waypost_telemetry::rusqlite::Holder;

use super::*;

/// A function of a program that takes connections, transactions and savepoints.
fn rename(database: &Traced<impl Holder>, owner: &str) {
    database.execute("UPDATE orders SET owner = ?1 WHERE id = 1", [owner]).unwrap();
}

#[test]
fn a_transaction_is_seen_from_begin_to_commit() {
    let (telemetry, mut connection, _folder) = orders(|sqlite| sqlite);
    let unit = || {
        span("unit").in_scope(|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
            rename(&transaction, "eve");
            transaction.commit().unwrap();
        });
    };
    in_context(telemetry.context(), unit)();
    telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           BEGIN CLIENT order-service db.query.text=\"BEGIN IMMEDIATE\"
           \"UPDATE orders\" CLIENT order-service
           COMMIT CLIENT order-service db.query.text=COMMIT",
    );
    assert_eq!(owner_of(&connection, 1).unwrap(), "eve");
    assert_conventional(&telemetry);
}

#[test]
fn what_is_rolled_back_is_gone_and_seen() {
    let (telemetry, mut connection, _folder) = orders(|sqlite| sqlite);
    let mut transaction = connection.transaction().unwrap();
    let mut savepoint = transaction.savepoint_with_name("unit").unwrap();
    rename(&savepoint, "eve");
    savepoint.savepoint().unwrap().commit().unwrap();
    savepoint.rollback().unwrap();
    savepoint.commit().unwrap();
    rename(&transaction, "eva");
    transaction.rollback().unwrap();
    let mut alone = connection.savepoint().unwrap();
    rename(&alone, "eva");
    alone.rollback().unwrap();
    alone.commit().unwrap();
    let texts: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .filter(|span| span.name() != "UPDATE orders")
        .map(|span| attribute(span, "db.query.text").unwrap())
        .collect();
    let expected = [
        "BEGIN DEFERRED",
        "SAVEPOINT unit",
        "SAVEPOINT",
        "RELEASE",
        "ROLLBACK TO unit",
        "RELEASE unit",
        "ROLLBACK",
        "SAVEPOINT",
        "ROLLBACK TO",
        "RELEASE",
    ];
    assert_eq!(texts, expected);
    assert_eq!(owner_of(&connection, 1).unwrap(), "ann");
}

#[test]
fn a_transaction_that_is_dropped_tells_who_dropped_it() {
    let events = |behavior: DropBehavior| {
        let (telemetry, mut connection, _folder) = orders(|sqlite| sqlite);
        let unit = || {
            span("unit").in_scope(|| {
                let mut transaction = connection.transaction().unwrap();
                transaction.set_drop_behavior(behavior);
                rename(&transaction, "eve");
            });
        };
        in_context(telemetry.context(), unit)();
        let unit = telemetry.only_span("unit");
        let events: Vec<_> = unit.events().iter().map(|event| event.name().to_owned()).collect();
        (events, owner_of(&connection, 1).unwrap())
    };
    let dropped = vec!["waypost.db.transaction.dropped".to_owned()];
    assert_eq!(events(DropBehavior::Rollback), (dropped, "ann".to_owned()));
    assert_eq!(events(DropBehavior::Commit), (Vec::new(), "eve".to_owned()));
}

#[test]
fn a_file_that_somebody_else_holds_is_an_error_of_the_begin() {
    let (telemetry, mut connection, folder) = orders(|sqlite| sqlite);
    let other = Connection::open(folder.path().join("orders.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    connection.inner_mut().busy_timeout(std::time::Duration::ZERO).unwrap();
    connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap_err();
    let begin = telemetry.only_span("BEGIN");
    assert_eq!(outcome(&begin), "database_busy");
    assert_eq!(attribute(&begin, "db.response.status_code").as_deref(), Some("5"));
}

#[test]
fn a_reference_to_a_connection_is_wrapped_as_well() {
    let mut connection = Connection::open_in_memory().unwrap();
    let telemetry = TestTelemetry::new("order-service");
    let sqlite = telemetry.rusqlite();
    sqlite.wrap(&connection).execute_batch("SELECT 1").unwrap();
    sqlite.wrap(&connection).unchecked_transaction().unwrap().commit().unwrap();
    sqlite.wrap(&mut connection).transaction().unwrap().commit().unwrap();
    sqlite.wrap_pooled(Box::new(connection)).transaction().unwrap().commit().unwrap();
    assert_eq!(names(&telemetry), ["SELECT", "BEGIN", "COMMIT", "BEGIN", "COMMIT", "BEGIN", "COMMIT"]);
    let namespaces: Vec<_> =
        telemetry.finished_spans().iter().map(|span| attribute(span, "db.namespace").unwrap()).collect();
    assert!(namespaces.iter().all(|namespace| namespace == ":memory:"), "{namespaces:?}");
}
