//! The server has too few connections.

use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_test_servers::postgres::Session;
use waypost_testkit::until;

use super::Running;
use crate::alone;

/// The server's `max_connections`.
const CONNECTIONS: usize = 70;

const END_SHOP: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'waypost%'";

/// Strangers take every connection that there is, those of the roles as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_recover_when_strangers_had_all_connections() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[("max_connections", &CONNECTIONS.to_string())]);
    let url = server.url();
    let running = Running::on(&server, &[]).await;
    let strangers = all_connections(&url).await;
    running.says_that_it_cannot_work().await;
    let order = running.refuses_in_time(9000).await;
    drop(strangers);
    running.recovers(vec![order]).await;
}

/// The roles have fewer than they would take: those that there are wander to where they are needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_end_when_the_roles_share_too_few_connections() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[("max_connections", &CONNECTIONS.to_string())]);
    let running = Running::on(&server, &[("database.idle_timeout", "1s")]).await;
    let mut strangers = all_connections(&server.url()).await;
    strangers.truncate(strangers.len() - FEW);
    // One of the strangers looks, as there is no connection for who would read the books.
    let before = strangers[0].number(ENDED).await;
    until("orders to end", async || strangers[0].number(ENDED).await >= before + 60).await;
    drop(strangers);
    let refused = server.log().matches("too many clients").count();
    println!("{refused} connections were refused");
    running.recovers(Vec::new()).await;
}

/// For six roles, of which one wants two more for its relay.
const FEW: usize = 14;

const ENDED: &str =
    "SELECT count(*) FROM waypost_order.orders WHERE status IN ('completed', 'failed', 'cancelled')";

/// Sessions that have all connections of a server: as many as it has, not as many as could be had at some moment, as one of
/// the roles may be connecting just then.
async fn all_connections(url: &str) -> Vec<Session> {
    let mut sessions = vec![Session::connect(url).await];
    while sessions.len() < CONNECTIONS {
        sessions[0].execute(END_SHOP).await;
        sessions.extend(Session::connect_all(url, CONNECTIONS - sessions.len()).await);
    }
    sessions
}
