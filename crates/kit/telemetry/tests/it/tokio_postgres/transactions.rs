//! Transactions and savepoints.

use tokio_postgres::IsolationLevel;
use waypost_telemetry::tokio_postgres::Holder;

use super::*;

/// A function of a program that takes clients and transactions.
async fn rename(database: &Traced<impl Holder>, owner: &str) {
    database.execute("UPDATE orders SET owner = $1 WHERE id = 1", &[&owner]).await.unwrap();
}

async fn owner(client: &Traced<Client>) -> String {
    client.query_one_scalar("SELECT owner FROM orders WHERE id = 1", &[]).await.unwrap()
}

#[tokio::test]
async fn a_transaction_is_seen_from_begin_to_commit() {
    let (telemetry, mut client, _own) = orders(|postgres| postgres).await;
    let work = async {
        let transaction = client.transaction().await.unwrap();
        rename(&transaction, "eve").await;
        transaction.commit().await.unwrap();
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    telemetry.tree().assert_matches(
        "unit INTERNAL order-service
           BEGIN CLIENT order-service
           \"UPDATE orders\" CLIENT order-service
           COMMIT CLIENT order-service db.query.text=COMMIT",
    );
    assert_eq!(owner(&client).await, "eve");
    telemetry.conventions().assert_clean();
}

#[tokio::test]
async fn what_is_rolled_back_is_gone_and_seen() {
    let (telemetry, mut client, _own) = orders(|postgres| postgres).await;
    let begun = client.build_transaction().isolation_level(IsolationLevel::Serializable).start().await;
    let mut transaction = begun.unwrap();
    rename(&transaction, "eve").await;
    let mut savepoint = transaction.transaction().await.unwrap();
    savepoint.batch_execute("DELETE FROM orders").await.unwrap();
    savepoint.savepoint("unit").await.unwrap().commit().await.unwrap();
    savepoint.rollback().await.unwrap();
    let left: i64 = transaction.query_one_scalar("SELECT count(*) FROM orders", &[]).await.unwrap();
    assert_eq!(left, 2);
    transaction.rollback().await.unwrap();
    let texts: Vec<_> = telemetry
        .finished_spans()
        .iter()
        .filter(|span| ["SAVEPOINT", "RELEASE", "ROLLBACK"].contains(&span.name()))
        .map(|span| attribute(span, "db.query.text").unwrap())
        .collect();
    let expected = ["SAVEPOINT sp_1", "SAVEPOINT unit", "RELEASE unit", "ROLLBACK TO sp_1", "ROLLBACK"];
    assert_eq!(texts, expected);
    assert_eq!(owner(&client).await, "ann");
}

#[tokio::test]
async fn what_fails_in_a_transaction_fails_what_comes_after_it() {
    let (telemetry, mut client, _own) = orders(|postgres| postgres).await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (1, $1)", &[&SECRET]).await.unwrap_err();
    transaction.query("SELECT 1", &[]).await.unwrap_err();
    transaction.rollback().await.unwrap();
    let seen: Vec<_> =
        telemetry.finished_spans().iter().map(|span| (span.name().to_owned(), outcome(span))).collect();
    let expected = [("BEGIN", "ok"), ("INSERT orders", "23505"), ("SELECT", "25P02"), ("ROLLBACK", "ok")];
    assert_eq!(seen, expected.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())));
}

#[tokio::test]
async fn a_transaction_that_is_dropped_tells_who_dropped_it() {
    let (telemetry, mut client, _own) = orders(|postgres| postgres).await;
    let work = async {
        let transaction = client.transaction().await.unwrap();
        rename(&transaction, "eve").await;
    };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    let unit = telemetry.only_span("unit");
    let events: Vec<_> = unit.events().iter().map(waypost_telemetry::FinishedEvent::name).collect();
    assert_eq!(events, ["waypost.db.transaction.dropped"]);
    assert_eq!(owner(&client).await, "ann");
    // And what ended has no such event.
    telemetry.forget();
    let work = async { client.transaction().await.unwrap().commit().await.unwrap() };
    with_context(telemetry.context(), span("unit").observe(work)).await;
    assert!(telemetry.only_span("unit").events().is_empty());
}

#[tokio::test]
async fn a_reference_to_a_client_is_wrapped_as_well() {
    let own = Database::create();
    let (mut client, config) = plain(&own).await;
    let telemetry = TestTelemetry::new("order-service");
    let postgres = telemetry.tokio_postgres().config(&config);
    postgres.wrap(&client).query("SELECT 1", &[]).await.unwrap();
    let mut traced = postgres.wrap(&mut client);
    traced.transaction().await.unwrap().commit().await.unwrap();
    assert_eq!(names(&telemetry), ["SELECT", "BEGIN", "COMMIT"]);
}
