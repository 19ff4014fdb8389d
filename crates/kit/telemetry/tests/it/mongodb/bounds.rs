//! What is not to grow, and not to be seen.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_flood_of_collections_keeps_names_and_series_few() {
    let own = Own::new().await;
    for number in 0..400 {
        own.collection(&format!("tenant-{number}")).find_one(doc! {}).await.unwrap();
    }
    let names: BTreeSet<String> =
        own.telemetry.finished_spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names.len(), 257, "256 and one for the rest");
    assert!(names.contains("find"));
    assert_eq!(series(&own.telemetry, "db_client_operation_duration_seconds_count").len(), 257);
    let last = own.telemetry.finished_spans().pop().unwrap();
    assert_eq!(attribute(&last, "db.collection.name").as_deref(), Some("tenant-399"));

    let database = own.client.database(own.database.name());
    for number in 0..200 {
        database.run_command(doc! { format!("command{number}"): 1 }).await.unwrap_err();
    }
    let failed = ["db_operation_name=\"_OTHER\""];
    assert!(metric(&own.telemetry, "db_client_operation_duration_seconds_count", &failed) > 0);
    assert!(series(&own.telemetry, "db_client_operation_duration_seconds_count").len() < 400);
}

#[tokio::test]
async fn secrets_are_not_seen() {
    const SECRET: &str = "s3cret";
    let (database, telemetry) = (Database::own(), TestTelemetry::new("shop"));
    let place = database.url().trim_start_matches("mongodb://");
    // The server knows no users: to connect as one fails.
    let options =
        ClientOptions::parse(format!("mongodb://shop:{SECRET}@{place}/?serverSelectionTimeoutMS=300"));
    let client = Client::with_options(telemetry.mongodb().observe(options.await.unwrap())).unwrap();
    let asking =
        async { client.database(database.name()).collection::<Document>("orders").find_one(doc! {}).await };
    with_context(telemetry.context(), span("unit").run(asking)).await.unwrap_err();

    let own = Own::new().await;
    let orders = own.orders();
    let secret = || doc! { "_id": SECRET, SECRET: { SECRET: [SECRET] } };
    orders.insert_one(secret()).await.unwrap();
    orders.insert_one(secret()).await.unwrap_err();
    orders.find_one(doc! { "_id": { "$in": [SECRET, "b"] }, "$comment": SECRET }).await.unwrap();
    orders.update_one(doc! { "_id": SECRET }, doc! { "$set": { SECRET: SECRET } }).await.unwrap();
    orders.delete_one(doc! { "_id": SECRET }).await.unwrap();
    for telemetry in [&telemetry, &own.telemetry] {
        let exported = exported(telemetry);
        assert!(!exported.contains(SECRET), "{exported}");
    }
    assert!(exported(&own.telemetry).contains("find orders"));
}
