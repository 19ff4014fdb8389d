//! Connections.

use super::*;

#[tokio::test]
async fn a_pool_is_shown_while_it_is_used_and_until_its_client_is_gone() {
    let (database, telemetry) = (Database::own(), TestTelemetry::new("shop"));
    let mut options = ClientOptions::parse(database.url()).await.unwrap();
    options.max_pool_size = Some(3);
    let client = Client::with_options(telemetry.mongodb().observe(options)).unwrap();
    let orders: Collection<Document> = client.database(database.name()).collection("orders");
    orders.find_one(doc! {}).await.unwrap();
    let pool =
        format!("db_client_connection_pool_name=\"{}\"", database.url().trim_start_matches("mongodb://"));
    let count = |state: &str| {
        let state = format!("db_client_connection_state=\"{state}\"");
        metric(&telemetry, "db_client_connection_count", &[&pool, &state])
    };
    eventually("the connection to be given back", || {
        (count("idle") == 1 && count("used") == 0).then_some(())
    })
    .await;
    assert_eq!(metric(&telemetry, "db_client_connection_max", &[&pool]), 3);
    for family in ["create_time", "wait_time", "use_time"] {
        let family = format!("db_client_connection_{family}_seconds_count");
        assert_eq!(metric(&telemetry, &family, &[&pool]), 1, "{family}");
    }
    follows_conventions(&telemetry);
    client.shutdown().await;
    eventually("the pool to be gone", || {
        series(&telemetry, "db_client_connection_count").is_empty().then_some(())
    })
    .await;
}
