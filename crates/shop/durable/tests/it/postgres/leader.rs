//! The lead of a relay, when its process does not say good-bye.

use std::time::Duration;

use waypost_durable::outbox::Outbox as _;
use waypost_durable::postgres::outbox::PostgresOutbox;
use waypost_durable::postgres::{Database, testing};
use waypost_telemetry::Telemetry;

use crate::eventually;
use crate::kinds::POSTGRES;

async fn outbox(server: &waypost_durable::postgres::Server) -> (Database, PostgresOutbox) {
    let database = Database::open(server, "test", &Telemetry::disabled(), POSTGRES).await.unwrap();
    let outbox = PostgresOutbox::new(&database);
    (database, outbox)
}

#[tokio::test]
async fn another_relay_leads_once_the_leaders_connection_is_gone() {
    let own = waypost_test_servers::postgres::Database::create();
    let server = testing::server(&own.url());
    let ((_one, first), (_two, second)) = (outbox(&server).await, outbox(&server).await);
    let hour = Duration::from_hours(1);
    assert!(first.try_lead("first", hour).await.unwrap().is_some());
    assert!(second.try_lead("second", hour).await.unwrap().is_none());
    // The locks of the whole server are in one list, those of other tests among them.
    let ends = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    testing::execute(&server, "other", ends.to_owned());
    assert!(second.try_lead("second", hour).await.unwrap().is_some());
    assert!(first.try_lead("first", hour).await.unwrap().is_none(), "it learns that it was replaced");
}

/// By the server's clock: the leader's process may stand still.
#[tokio::test]
async fn a_leader_that_is_silent_for_its_lease_leads_no_more() {
    let own = waypost_test_servers::postgres::Database::create();
    let server = testing::server(&own.url());
    let ((_one, first), (_two, second)) = (outbox(&server).await, outbox(&server).await);
    let hour = Duration::from_hours(1);
    assert!(first.try_lead("first", hour).await.unwrap().is_some());
    assert!(second.try_lead("second", hour).await.unwrap().is_none());
    first.step_down("first").await.unwrap();
    // From here on it is silent, and on a slow machine the lease is over before this call is back: nobody asks in between.
    assert!(first.try_lead("first", Duration::from_millis(300)).await.unwrap().is_some());
    eventually("the lead", async || second.try_lead("second", hour).await.unwrap()).await;
    assert!(first.try_lead("first", hour).await.unwrap().is_none());
}
