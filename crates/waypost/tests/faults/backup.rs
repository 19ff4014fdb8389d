//! What is restored from a dump that was made while the shop worked.

use std::process::Command;

use waypost_test_servers::own_postgres::client;
use waypost_test_servers::postgres::{Database, execute};
use waypost_testkit::audit::Order;
use waypost_testkit::{Roles, until};

use crate::alone;
use crate::kills::Load;
use crate::shop::{Kind, prepared};

/// As docs/operations.md says: what consumers were sent shortly before is sent once more, as they may have had it later than
/// the dump was made.
const SEND_AGAIN: &str = "UPDATE waypost_order.outbox SET published_at = NULL WHERE published_at IS NOT NULL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_made_under_load_is_one_state_of_all_services() {
    let _alone = alone().await;
    let (database, folder) = (Database::create(), tempfile::tempdir().unwrap());
    let (url, dump) = (database.url(), folder.path().join("shop.dump").display().to_string());
    let mut roles = prepared(&Kind::OwnServer(url.clone()), 0..5000, &[]).await;
    roles.start_all().await.unwrap();
    let load = Load::start(&roles);
    until("orders to end", async || ended(&roles).await > 20).await;
    succeeds(client("pg_dump").args(["--format=custom", "--file", &dump, &url]));
    let then = ended(&roles).await;
    until("more orders to end", async || ended(&roles).await > then + 20).await;
    roles.kill_all().await.unwrap();
    load.stop().await;

    database.empty();
    succeeds(client("pg_restore").args(["--exit-on-error", "--dbname", &url, &dump]));
    let restored = roles.data().books().await.unwrap();
    let under_way = restored.orders.values().filter(|order| !order.is_settled()).count();
    println!("{} orders were restored, {under_way} of them under way", restored.orders.len());
    assert!(restored.orders.len() > 20);
    execute(&url, SEND_AGAIN.to_owned()).unwrap();
    roles.start_all().await.unwrap();
    until("right books", async || {
        let books = roles.data().books().await.unwrap();
        books.orders.values().all(Order::is_settled) && roles.data().audit().await.unwrap().is_empty()
    })
    .await;
}

async fn ended(roles: &Roles) -> usize {
    roles.data().books().await.unwrap().orders.values().filter(|order| order.is_settled()).count()
}

fn succeeds(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
