//! What nobody may see.

use waypost_telemetry::tokio_postgres::QueryText;

use super::*;

#[tokio::test]
async fn a_secret_in_any_input_leaves_in_no_export() {
    for text in [QueryText::Auto, QueryText::Obfuscated, QueryText::Off] {
        let (telemetry, mut client, _own) =
            orders(|postgres| postgres.query_text(text).slow_query(Duration::ZERO)).await;
        assert!(!format!("{client:?}").contains(SECRET));
        let _attached = telemetry.context().attach();
        for literal in [
            "SELECT 'hunter2'",
            "SELECT $$hunter2$$ -- hunter2",
            "SELECT E'\\'hunter2' /* hunter2 */",
            "SELECT id FROM orders WHERE owner = 'hunter2'",
        ] {
            client.simple_query(literal).await.unwrap();
            client.query(literal, &[]).await.unwrap();
            client.prepare(literal).await.unwrap();
        }
        client.batch_execute("SELECT 'hunter2'; SET application_name = 'hunter2'").await.unwrap();
        client.query("SELECT $1", &[&SECRET]).await.unwrap();
        client.execute("INSERT INTO orders VALUES (1, $1)", &[&SECRET]).await.unwrap_err();
        // What the server says of it holds it: "invalid input syntax for type bigint".
        client.query("SELECT 'hunter2'::bigint", &[]).await.unwrap_err();
        let transaction = client.transaction().await.unwrap();
        transaction.query("SELECT 'hunter2'", &[]).await.unwrap();
        assert!(!format!("{transaction:?}").contains(SECRET));
        transaction.commit().await.unwrap();
        let exported = exported(&telemetry);
        assert!(exported.contains("SELECT orders") && !exported.contains(SECRET), "{text:?}: {exported}");
    }
}
