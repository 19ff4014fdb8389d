//! How the statements of the hot path find their rows, on tables of many.

use std::sync::Arc;
use std::time::Duration;

use waypost_api::events::OrderEventKind;
use waypost_durable::postgres::testing;
use waypost_notification::Config;
use waypost_notification::store::Store;
use waypost_test_servers::explain;
use waypost_test_servers::postgres::Database;

use super::{notifier, postgres};
use crate::event;

/// What was told and handled, some of it long ago.
const MANY: &str = "
    INSERT INTO notifications (order_id, kind, channel, user_id, subject, event_id, sent_at)
    SELECT 'old-' || n, 'order.completed', 'email', 'user', 'subject', 'event-' || n, to_timestamp(n * 2e4)
    FROM generate_series(1, 20000) AS n;
    INSERT INTO inbox (consumer, event_id, received_at)
    SELECT 'notification-service', 'event-' || n, to_timestamp(n * 2e4) FROM generate_series(1, 20000) AS n;
    ANALYZE";

/// Tables that grow with the orders.
const TABLES: &[&str] = &["notifications", "inbox"];

/// What a shop asks of the store for every order.
async fn hot_path(url: &str) {
    let store: Arc<dyn Store> = postgres(url).await;
    let notifier = notifier(&store, &Config::default());
    for number in 0..20 {
        let completed = event(&format!("order-{number}"), OrderEventKind::Completed);
        notifier.handle(&completed, None).await.unwrap();
        notifier.handle(&completed, None).await.unwrap();
        assert_eq!(store.of_order(completed.order_id).await.unwrap().len(), 1);
        assert!(store.purge_inbox(Duration::from_hours(24 * 365 * 40)).await.unwrap() > 0);
        assert!(store.delete_sent(Duration::from_hours(24 * 365 * 40)).await.unwrap() > 0);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_hot_path_reads_a_table_of_many_rows() {
    let database = Database::create();
    let (url, server) = (database.url(), testing::server(&database.url()));
    postgres(&url).await.close().await;
    testing::assert_nothing_is_scanned(&server, "notification", MANY, TABLES, hot_path(&url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million rows take minutes; benches/README.md has what it printed"]
async fn plans_of_the_hot_path_on_a_million_rows() {
    let own = explain::start();
    let (url, server) = (own.url(), testing::server(&own.url()));
    postgres(&url).await.close().await;
    testing::fill_with_a_million(&server, "notification", MANY);
    hot_path(&url).await;
    println!("{}", explain::assert_no_scans(&own.log(), TABLES));
}
