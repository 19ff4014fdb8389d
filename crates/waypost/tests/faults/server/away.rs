//! The server is gone, stands still, or is another one.

use std::time::Duration;

use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_test_servers::proxy::Proxy;

use super::Running;
use crate::alone;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_is_lost_or_doubled_when_the_server_is_killed_and_comes_back() {
    let _alone = alone().await;
    let mut server = OwnPostgres::start(&[]);
    let running = Running::on(&server, &[]).await;
    let mut orders = Vec::new();
    for round in 0..3 {
        server.kill();
        orders.push(running.refuses_in_time(9000 + round).await);
        running.says_that_it_cannot_work().await;
        server.start_again();
        running.end_more_orders(5).await;
    }
    running.recovers(orders).await;
}

/// Longer than a request may take and than a lease of an order lasts.
const STANDSTILL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_while_the_server_stands_still() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[]);
    let running = Running::on(&server, &[]).await;
    server.signal("STOP");
    let order = running.refuses_in_time(9000).await;
    running.says_that_it_cannot_work().await;
    // The length is the subject of the test, not a wait for a state.
    tokio::time::sleep(STANDSTILL).await;
    server.signal("CONT");
    running.recovers(vec![order]).await;
}

/// A standby that the primary waits for takes over. Whoever asks is led to it before it may write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_is_lost_or_doubled_when_a_standby_takes_over() {
    let _alone = alone().await;
    let mut primary = OwnPostgres::start(&[]);
    let standby = primary.standby();
    let proxy = Proxy::to(primary.port()).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.address());
    let running = Running::at(url, &[]).await;

    primary.kill();
    proxy.lead_to(standby.port());
    proxy.cut();
    // It answers, but takes no writes: nobody may be told that all is well.
    let order = running.refuses_in_time(9000).await;
    running.says_that_it_cannot_work().await;
    standby.promote();
    running.recovers(vec![order]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_when_all_connections_are_cut_again_and_again() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.address());
    let running = Running::at(url, &[]).await;
    for _ in 0..20 {
        proxy.cut();
        proxy.break_at_commit();
        running.end_more_orders(2).await;
    }
    running.recovers(Vec::new()).await;
}
