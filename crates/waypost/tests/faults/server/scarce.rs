//! The server has no connection left.

use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_test_servers::postgres::Session;

use super::Running;
use crate::alone;

const OF_SHOP: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'waypost%'";
const END_SHOP: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'waypost%'";

/// Strangers take every connection that there is, those of the roles as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_recover_when_strangers_had_all_connections() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[("max_connections", "70")]);
    let url = server.url();
    let running = Running::on(&server, &[]).await;
    let strangers = all_connections(&url).await;
    let order = running.refuses_in_time(9000).await;
    running.says_that_it_cannot_work().await;
    drop(strangers);
    running.recovers(vec![order]).await;
}

/// Sessions that have all connections of a server.
async fn all_connections(url: &str) -> Vec<Session> {
    let mut sessions = vec![Session::connect(url).await];
    loop {
        sessions.extend(Session::connect_all(url, 100).await);
        let first = &mut sessions[0];
        if first.number(OF_SHOP).await == 0 {
            return sessions;
        }
        first.execute(END_SHOP).await;
    }
}
