//! A disk of the server is full.

use waypost_test_servers::own_postgres::{OwnPostgres, Small};
use waypost_testkit::until;

use super::{Running, is_full};
use crate::alone;
use crate::course::Purchase;
use crate::shop::PLENTY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_when_the_disk_of_the_tables_was_full() {
    let _alone = alone().await;
    let server = OwnPostgres::on_small_disk(Small::Data, 64, &[]);
    let running = Running::on(&server, &[]).await;
    let gateway = running.roles.gateway();
    server.disk().fill();
    // Pages have room for some more rows.
    let (mut number, mut orders) = (9000, Vec::<Purchase>::new());
    until("an order for which there is no room", async || {
        number += 1;
        let mut order = Purchase::of(number, 1, "user123", PLENTY, 1);
        let refused = order.send(&gateway, "1500").await.is_some_and(is_full);
        orders.push(order);
        refused
    })
    .await;
    // Reading goes on.
    let listed = gateway.get("/api/orders?user_id=user123").await.unwrap();
    assert_eq!(listed.status, 200, "{}", listed.json);
    server.disk().free();
    running.recovers(orders).await;
}

/// The server cannot go on then and ends; it is started again when there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_when_the_disk_of_the_log_was_full() {
    let _alone = alone().await;
    let settings = [("min_wal_size", "2MB"), ("max_wal_size", "6MB")];
    let mut server = OwnPostgres::on_small_disk(Small::Log, 24, &settings);
    let running = Running::on(&server, &[]).await;
    server.disk().fill();
    let has_crashed = |log: String| {
        log.lines().any(|line| line.contains("PANIC") && line.contains("No space left on device"))
    };
    until("the server to crash", async || has_crashed(server.log())).await;
    running.says_that_it_cannot_work().await;
    server.disk().free();
    // It goes on by itself when its recovery found room in time.
    if server.has_ended() {
        server.start_again();
    }
    running.recovers(Vec::new()).await;
}
