//! Strangers hold locks that the roles want.

use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_test_servers::postgres::Session;
use waypost_testkit::until;

use super::Running;
use crate::alone;

/// Sessions that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
     WHERE application_name LIKE 'waypost%' AND wait_event_type = 'Lock'";

/// A unit that has written an order waits for the stranger at the order's journal, and the stranger for that unit. The
/// server ends the unit, as the stranger is the more patient of the two: before a group has lost its own patience with a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_a_stranger_makes_lose_by_a_deadlock_run_again() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[("deadlock_timeout", "200ms")]);
    let running = Running::on(&server, &[]).await;
    let (mut stranger, mut watch) =
        (Session::connect(&server.url()).await, Session::connect(&server.url()).await);
    for (first, second) in [
        ("LOCK TABLE waypost_order.order_history", "LOCK TABLE waypost_order.orders"),
        ("LOCK TABLE waypost_inventory.stock", "LOCK TABLE waypost_inventory.reservations"),
        ("LOCK TABLE waypost_payment.ledger_entries", "LOCK TABLE waypost_payment.payments"),
    ] {
        let before = deadlocks(&server);
        until("a deadlock", async || {
            stranger.execute("BEGIN; SET LOCAL deadlock_timeout = '1h'; SET LOCAL lock_timeout = '5s'").await;
            stranger.execute(first).await;
            until("a unit that waits", async || watch.number(WAITING).await > 0).await;
            // Not had in time when the units that wait hold nothing of it.
            let _ = stranger.try_execute(second).await;
            stranger.execute("ROLLBACK").await;
            deadlocks(&server) > before
        })
        .await;
    }
    println!("{} units lost by a deadlock", deadlocks(&server));
    running.recovers(Vec::new()).await;
}

fn deadlocks(server: &OwnPostgres) -> usize {
    server.log().matches("ERROR:  deadlock detected").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_when_a_stranger_held_locks_for_longer_than_the_timeout() {
    let _alone = alone().await;
    let server = OwnPostgres::start(&[]);
    let running = Running::on(&server, &[("database.lock_timeout", "300ms")]).await;
    let mut stranger = Session::connect(&server.url()).await;
    let mut orders = Vec::new();
    for (number, lock) in (9000..).zip([
        "BEGIN; LOCK TABLE waypost_order.orders",
        "BEGIN; LOCK TABLE waypost_inventory.stock",
        "BEGIN; LOCK TABLE waypost_payment.payments",
        "BEGIN; LOCK TABLE waypost_provider.charges",
        "BEGIN; LOCK TABLE waypost_notification.notifications",
        "BEGIN; LOCK TABLE waypost_order.outbox",
    ]) {
        let before = timeouts(&server);
        stranger.execute(lock).await;
        until("units that waited for too long", async || timeouts(&server) > before + 2).await;
        if lock.contains("order.orders") {
            orders.push(running.refuses_in_time(number).await);
        }
        stranger.execute("ROLLBACK").await;
        running.end_more_orders(5).await;
    }
    running.recovers(orders).await;
}

fn timeouts(server: &OwnPostgres) -> usize {
    server.log().matches("canceling statement due to lock timeout").count()
}
