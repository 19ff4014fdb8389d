//! What nobody may see.

use std::time::Duration;

use waypost_telemetry::rusqlite::QueryText;

use super::*;

#[test]
fn a_secret_in_any_input_leaves_in_no_export() {
    for text in [QueryText::Auto, QueryText::Obfuscated, QueryText::Off] {
        // In a folder with a name that is one.
        let folder = tempfile::Builder::new().prefix(SECRET).tempdir().unwrap();
        let connection = Connection::open(folder.path().join("orders.db")).unwrap();
        let telemetry = TestTelemetry::new("order-service");
        let _attached = telemetry.context().attach();
        let mut connection =
            telemetry.rusqlite().query_text(text).slow_query(Duration::ZERO).wrap(connection);
        connection.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT)").unwrap();
        for literal in [
            "SELECT 'hunter2'",
            "SELECT id FROM orders WHERE owner = 'it''s hunter2' -- hunter2",
            "SELECT id FROM orders WHERE owner = 'x' /* hunter2 */",
        ] {
            connection.execute_batch(literal).unwrap();
            assert!(connection.prepare(literal).unwrap().query([]).unwrap().next().is_ok());
            assert!(!format!("{:?}", connection.prepare(literal).unwrap()).contains(SECRET));
        }
        connection.execute("INSERT INTO orders VALUES (?1, ?2)", (1, SECRET)).unwrap();
        connection.execute("INSERT INTO orders VALUES (?1, ?2)", (1, SECRET)).unwrap_err();
        connection.execute("INSERT INTO orders VALUES (1, 'hunter2')", []).unwrap_err();
        let transaction = connection.transaction().unwrap();
        transaction.execute("DELETE FROM orders WHERE owner = :owner", &[(":owner", SECRET)]).unwrap();
        transaction.commit().unwrap();
        let exported = exported(&telemetry) + &format!("{connection:?}");
        assert!(exported.contains("INSERT orders") && !exported.contains(SECRET), "{text:?}: {exported}");
    }
}
