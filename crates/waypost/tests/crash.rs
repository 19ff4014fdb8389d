//! `kill -9` under load, again and again on the same data: nothing acknowledged is lost, nothing is done twice.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use rusqlite::{Connection, OpenFlags};
use waypost_testkit::{Client, Shop, until};

const KILLS: usize = 20;
const CLIENTS: usize = 24;
const BODY: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
const DECLINED: &str = r#"{"user_id":"user-declined","product_id":"prod456","quantity":2,"amount":99.99}"#;
const SOLD_OUT: &str = r#"{"user_id":"user123","product_id":"prod-scarce","quantity":1,"amount":19.99}"#;

/// What a client knows of one order.
#[derive(Clone, Debug)]
struct Attempt {
    key: String,
    body: &'static str,
    /// Status and body of the answer, if one came.
    acknowledged: Option<(u16, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice_over_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut attempts: Vec<Attempt> = Vec::new();
    for round in 0..KILLS {
        let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder.path()).start().await.unwrap();
        // Each round kills at another point of the run; the pause is the subject of the test, not a wait for a state.
        let pause = Duration::from_millis(40 + 37 * (round as u64 % 11));
        let placed = load_until_killed(shop, round, pause).await;
        let answered = placed.iter().filter(|attempt| attempt.acknowledged.is_some()).count();
        println!("round {round}: killed after {pause:?}, {} sent, {answered} answered", placed.len());
        attempts.extend(placed);
    }

    let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder.path()).start().await.unwrap();
    let gateway = shop.client("gateway");
    settle_everything(&gateway, &mut attempts).await;
    everything_acknowledged_is_there(&gateway, &attempts).await;
    wait_for_the_last_message(folder.path()).await;
    let provider = shop.client("provider").get("/v1/ledger").await.unwrap().json;
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);

    books_are_right(folder.path(), &provider);
    println!("{} orders over {KILLS} kills: all there, all ended, the books are right", attempts.len());
}

/// Places orders from several clients until the shop is killed under them; each ends with the request that got no
/// answer.
async fn load_until_killed(shop: Shop, round: usize, pause: Duration) -> Vec<Attempt> {
    let gateway = shop.client("gateway");
    let number = Arc::new(AtomicUsize::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (gateway, number) = (gateway.clone(), Arc::clone(&number));
        clients.spawn(async move {
            let mut placed = Vec::new();
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let body = match number % 10 {
                    7 => DECLINED,
                    9 => SOLD_OUT,
                    _ => BODY,
                };
                let key = format!("round-{round}-order-{number}");
                let acknowledged = place(&gateway, &key, body).await;
                let is_over = acknowledged.is_none();
                placed.push(Attempt { key, body, acknowledged });
                if is_over {
                    break;
                }
            }
            placed
        });
    }
    tokio::time::sleep(pause).await;
    shop.kill().await.unwrap();
    clients.join_all().await.into_iter().flatten().collect()
}

/// One try to place an order: status and body of the answer, if it came; 425 while an earlier try runs.
async fn place(gateway: &Client, key: &str, body: &str) -> Option<(u16, String)> {
    let answer = gateway.post("/api/orders", &[("idempotency-key", key)], body).await.ok()?;
    let body = String::from_utf8(answer.bytes.to_vec()).ok()?;
    // A key whose first request still runs is no definite answer, though its status is that of "out of stock".
    let is_running = answer.json["code"] == "idempotency_key_in_use";
    Some((if is_running { 425 } else { answer.status.as_u16() }, body))
}

/// Sends every request again with its key until it has its definite answer. // I7
async fn settle_everything(gateway: &Client, attempts: &mut Vec<Attempt>) {
    let settling = stream::iter(std::mem::take(attempts)).map(|attempt| settle(gateway, attempt));
    *attempts = settling.buffer_unordered(CLIENTS).collect().await;
}

async fn settle(gateway: &Client, mut attempt: Attempt) -> Attempt {
    let first = attempt.acknowledged.take();
    until(&format!("a definite answer to {}", attempt.key), async || {
        attempt.acknowledged = place(gateway, &attempt.key, attempt.body).await;
        matches!(&attempt.acknowledged, Some((201 | 402 | 409, _)))
    })
    .await;
    if let Some((201 | 402 | 409, _)) = &first {
        assert_eq!(attempt.acknowledged, first, "{} changed its answer", attempt.key); // I2
    }
    attempt
}

async fn everything_acknowledged_is_there(gateway: &Client, attempts: &[Attempt]) {
    for attempt in attempts {
        let Some((201, body)) = &attempt.acknowledged else { continue };
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let order = body["order_id"].as_str().unwrap();
        let answer = gateway.get(&format!("/api/orders/{order}")).await.unwrap();
        assert_eq!(answer.status, 200, "{} was acknowledged as {order}", attempt.key); // I5
        assert_eq!(answer.json["status"], "completed", "{order}");
    }
}

/// Every ended order has its message, once the consumer has caught up.
async fn wait_for_the_last_message(data: &Path) {
    until("a message for every ended order", async || {
        let ended = count(
            data,
            "order",
            "SELECT COUNT(*) FROM orders WHERE status IN ('completed', 'failed', 'cancelled')",
        );
        let all = count(data, "order", "SELECT COUNT(*) FROM orders"); // I14
        let told = count(data, "notification", "SELECT COUNT(*) FROM notifications");
        ended == all && told == ended
    })
    .await;
}

/// The rows after the last stop.
fn books_are_right(data: &Path, provider: &serde_json::Value) {
    let completed = count(data, "order", "SELECT COUNT(*) FROM orders WHERE status = 'completed'");
    let open = count(data, "order", "SELECT COUNT(*) FROM orders WHERE status IN ('pending', 'confirmed')");
    assert_eq!(open, 0, "orders without an end"); // I14
    assert!(completed > 0);

    // I1: no key has two orders; a key's row and its order are one.
    let keys = count(data, "order", "SELECT COUNT(*) FROM idempotency");
    let orders = count(data, "order", "SELECT COUNT(*) FROM orders");
    assert_eq!(keys, orders, "keys and orders");

    // I10, I11: what is gone from the shelf is what completed orders took; nothing is held.
    let sold = pairs(
        data,
        "order",
        "SELECT product_id, SUM(quantity) FROM orders WHERE status = 'completed' GROUP BY product_id",
    );
    let taken = pairs(
        data,
        "inventory",
        "SELECT product_id, SUM(quantity) FROM stock_movements WHERE kind = 'committed' GROUP BY product_id",
    );
    assert_eq!(sold, taken, "sold and taken from stock");
    let wrong_shelves = "SELECT COUNT(*) FROM stock JOIN (SELECT product_id, SUM(CASE kind WHEN 'received' THEN quantity
         ELSE -quantity END) AS left FROM stock_movements GROUP BY product_id) USING (product_id) WHERE on_hand <> left";
    assert_eq!(count(data, "inventory", wrong_shelves), 0, "on hand is received less committed");
    assert_eq!(count(data, "inventory", "SELECT COALESCE(SUM(reserved), 0) FROM stock"), 0, "still held");

    // I8, I9, I10: captured here, captured there, and paid by completed orders: one sum.
    let due = count(data, "order", "SELECT COALESCE(SUM(amount), 0) FROM orders WHERE status = 'completed'");
    let captured = count(data, "payment", "SELECT COALESCE(SUM(captured), 0) FROM payments");
    let at_provider =
        count(data, "provider", "SELECT COALESCE(SUM(amount), 0) FROM ledger WHERE kind = 'capture'");
    assert_eq!((due, due), (captured, at_provider), "due, captured, the provider's ledger");
    assert_eq!(provider["refunded"], 0, "{provider}");
    assert_eq!(
        count(data, "payment", "SELECT COALESCE(SUM(debit) - SUM(credit), 0) FROM ledger_entries"),
        0,
        "double entry"
    );

    // I18: one message for each order and kind.
    let told = count(data, "notification", "SELECT COUNT(*) FROM notifications");
    let different =
        count(data, "notification", "SELECT COUNT(DISTINCT order_id || kind || channel) FROM notifications");
    assert_eq!((told, told), (different, orders), "messages");
    assert_eq!(
        count(data, "order", "SELECT COUNT(*) FROM outbox WHERE published_at IS NULL"),
        0,
        "unsent events"
    );
}

fn open(data: &Path, database: &str) -> Connection {
    let path = data.join(format!("{database}.db"));
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

fn count(data: &Path, database: &str, sql: &str) -> i64 {
    open(data, database).query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn pairs(data: &Path, database: &str, sql: &str) -> BTreeMap<String, i64> {
    let connection = open(data, database);
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}
