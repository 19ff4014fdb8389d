//! `kill -9` and power cuts under load, again and again on the same data: nothing acknowledged is lost, nothing is done
//! twice.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tempfile::TempDir;
use waypost_test_servers::postgres::Database;
use waypost_testkit::audit::{Books, Finding, audit, audit_server, events_out_of_step};
use waypost_testkit::{Client, Shop, ShopBuilder, until};
#[cfg(target_os = "linux")]
use waypost_testkit::{ForgetfulDisk, PowerCut};

const KILLS: usize = 20;
/// Of a shop with a file per role, which is not the default, and of one that is moved between its files again and again; each of
/// them is hit on its way, too.
const KILLS_OF_OTHER_FILES: usize = 12;
#[cfg(target_os = "linux")]
const POWER_CUTS: usize = 10;
#[cfg(target_os = "linux")]
const POWER_CUTS_OF_OTHER_FILES: usize = 5;
#[cfg(target_os = "linux")]
const POWER_CUTS_OF_A_MOVE: usize = 40;
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

/// Where a shop keeps its data.
struct Data {
    folder: TempDir,
    /// A database of its own on the tests' PostgreSQL, if that is where.
    server: Option<Database>,
    /// The files that it has in a round, otherwise.
    files: fn(usize) -> &'static str,
    /// Whether that is one file in every round.
    is_one_file: bool,
}

impl Data {
    fn in_files(files: fn(usize) -> &'static str) -> Data {
        Data { folder: tempfile::tempdir().unwrap(), server: None, files, is_one_file: false }
    }

    fn in_one_file() -> Data {
        Data { is_one_file: true, ..Data::in_files(|_| "shared") }
    }

    fn shop(&self, round: usize) -> ShopBuilder {
        let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).data(self.folder.path());
        let shop = shop.set("storage.files", (self.files)(round));
        match &self.server {
            Some(server) => shop.on_postgres(&server.url()),
            None => shop,
        }
    }

    async fn books(&self) -> Books {
        match &self.server {
            Some(server) => Books::read_server(&server.url()).await.unwrap(),
            None => Books::read(self.folder.path()).unwrap(),
        }
    }

    /// Right after a crash: in one file nothing is between an event and its mark, or an effect and its offset. // I16, I17
    fn events_are_in_step(&self) {
        if self.is_one_file {
            assert_eq!(events_out_of_step(self.folder.path()).unwrap(), []);
        }
    }

    async fn findings(&self) -> Vec<Finding> {
        match &self.server {
            Some(server) => audit_server(&server.url()).await.unwrap(),
            None => audit(self.folder.path()).unwrap(),
        }
    }
}

mod on_one_file {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice_over_twenty_kills() {
        super::kill_again_and_again(super::Data::in_one_file(), super::KILLS).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_lost_on_the_way_to_one_file_and_back_over_kills() {
        let in_turn = |round: usize| if round.is_multiple_of(2) { "per-role" } else { "shared" };
        super::kill_again_and_again(super::Data::in_files(in_turn), super::KILLS_OF_OTHER_FILES).await;
    }
}

mod on_a_file_per_role {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice_over_kills() {
        super::kill_again_and_again(super::Data::in_files(|_| "per-role"), super::KILLS_OF_OTHER_FILES).await;
    }
}

mod on_postgres {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice_over_twenty_kills() {
        let server = Some(super::Database::create());
        let data = super::Data { server, ..super::Data::in_files(|_| "shared") };
        super::kill_again_and_again(data, super::KILLS).await;
    }
}

#[expect(clippy::print_stdout, reason = "what a test prints is shown when it fails")]
async fn kill_again_and_again(data: Data, kills: usize) {
    let mut attempts: Vec<Attempt> = Vec::new();
    for round in 0..kills {
        let shop = data.shop(round).start().await.unwrap();
        // Each round kills at another point of the run; the pause is the subject of the test, not a wait for a state.
        let pause = Duration::from_millis(40 + 37 * (round as u64 % 11));
        let placed = load_until_killed(shop, round, 0, pause).await;
        let answered = placed.iter().filter(|attempt| attempt.acknowledged.is_some()).count();
        println!("round {round}: killed after {pause:?}, {} sent, {answered} answered", placed.len());
        data.events_are_in_step();
        attempts.extend(placed);
    }

    let orders = attempts.len();
    everything_ends_well(&data, kills, attempts).await;
    println!("{orders} orders over {kills} kills: all there, all ended, the books are right");
}

/// The machine loses its power: what was written and not synced is gone, or reached the disk in part.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_fails() {
    fail_again_and_again(Data::in_one_file(), POWER_CUTS).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_of_a_file_per_role_when_the_power_fails() {
    fail_again_and_again(Data::in_files(|_| "per-role"), POWER_CUTS_OF_OTHER_FILES).await;
}

#[cfg(target_os = "linux")]
#[expect(clippy::print_stdout, reason = "what a test prints is shown when it fails")]
async fn fail_again_and_again(data: Data, power_cuts: usize) {
    let folder = data.folder.path();
    let disk = ForgetfulDisk::build().unwrap();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut lost = 0;
    for round in 0..power_cuts {
        let mut shop = data.shop(round);
        for (name, value) in disk.environment(folder) {
            shop = shop.environment(name, &value);
        }
        let shop = shop.start().await.unwrap();
        // As above, and after so many answers that a log is written back into its database now and then.
        let (answers, pause) = (40 + 17 * round, Duration::from_millis(19 * (round as u64 % 7)));
        let placed = load_until_killed(shop, round, answers, pause).await;
        let cut = if round % 2 == 0 { PowerCut::Forgets } else { PowerCut::Tears(round as u64) };
        let sectors = disk.cut_power(folder, cut).unwrap();
        let answered = placed.iter().filter(|attempt| attempt.acknowledged.is_some()).count();
        println!(
            "round {round}: {cut:?}, {} sent, {answered} answered, {sectors} sectors lost",
            placed.len()
        );
        lost += sectors;
        data.events_are_in_step();
        attempts.extend(placed);
    }
    assert!(lost > 0, "every cut came when all was synced; nothing was tried");
    let orders = attempts.len();
    everything_ends_well(&data, power_cuts, attempts).await;
    println!("{orders} orders over {power_cuts} power cuts: all there, all ended, the books are right");
}

/// The machine loses its power while a start moves the data between a file per role and one file, again and again, and each
/// next start goes on to either side. Each time another change of a name or sync is what the machine does not come to.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_fails_during_a_move() {
    let data = Data::in_files(|_| "shared");
    let folder = data.folder.path();
    let disk = ForgetfulDisk::build().unwrap();
    let shop = |files: &str| {
        let shop = Shop::of(env!("CARGO_BIN_EXE_waypost")).data(folder).set("storage.files", files);
        disk.environment(folder).iter().fold(shop, |shop, (name, value)| shop.environment(name, value))
    };
    let before = shop("per-role").start().await.unwrap();
    let gateway = before.client("gateway");
    let mut attempts = Vec::new();
    for (number, body) in [BODY, DECLINED, SOLD_OUT].into_iter().cycle().take(12).enumerate() {
        let key = format!("order-{number}");
        let acknowledged = place(&gateway, &key, body).await;
        attempts.push(Attempt { key, body, acknowledged });
    }
    assert!(before.stop().await.unwrap().status.success());

    let mut random = fastrand::Rng::with_seed(1);
    let mut on_the_way = Vec::new();
    for round in 0..POWER_CUTS_OF_A_MOVE {
        let files = if random.bool() { "shared" } else { "per-role" };
        let (end, number) = disk.ends_at(random.u64(1..=40));
        let started = shop(files).environment(end, &number).start().await;
        if let Ok(shop) = started {
            shop.kill().await.unwrap();
        }
        let cut = if round % 2 == 0 { PowerCut::Forgets } else { PowerCut::Tears(round as u64) };
        disk.cut_power(folder, cut).unwrap();
        let mut names = databases(folder);
        names.retain(|name| name.contains(".db."));
        on_the_way.push(format!("{cut:?} before {number} of the way to {files}: {names:?}"));
    }
    let on_the_way = on_the_way.join("\n");
    for end in [".moving", ".moved", ".new"] {
        assert!(on_the_way.contains(end), "no cut left a {end}:\n{on_the_way}");
    }
    everything_ends_well(&data, POWER_CUTS_OF_A_MOVE, attempts).await;
    assert_eq!(databases(folder), ["waypost.db"], "{on_the_way}");
}

/// The names of databases in a folder, also of those that are moved.
#[cfg(target_os = "linux")]
fn databases(folder: &std::path::Path) -> Vec<String> {
    let names =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let is_beside = |name: &str| [".lock", "-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end));
    let mut names: Vec<String> = names.filter(|name| name.contains(".db") && !is_beside(name)).collect();
    names.sort();
    names
}

/// Starts the shop on what is left, sends every request again, and adds the books up.
async fn everything_ends_well(data: &Data, round: usize, mut attempts: Vec<Attempt>) {
    let shop = data.shop(round).start().await.unwrap();
    let gateway = shop.client("gateway");
    settle_everything(&gateway, &mut attempts).await;
    everything_acknowledged_is_there(&gateway, &attempts).await;
    wait_for_the_last_message(data).await;
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
    books_are_right(data, attempts.len()).await;
}

/// Places orders from several clients until the shop is killed under them, a while after so many were answered; each client
/// ends with the request that got no answer.
async fn load_until_killed(shop: Shop, round: usize, answers: usize, pause: Duration) -> Vec<Attempt> {
    let gateway = shop.client("gateway");
    let (number, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (gateway, number, answered) = (gateway.clone(), Arc::clone(&number), Arc::clone(&answered));
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
                answered.fetch_add(usize::from(!is_over), Ordering::Relaxed);
                placed.push(Attempt { key, body, acknowledged });
                if is_over {
                    break;
                }
            }
            placed
        });
    }
    until("orders that are answered", async || answered.load(Ordering::Relaxed) >= answers).await;
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

/// Every order has ended and has its message, once the consumer has caught up.
async fn wait_for_the_last_message(data: &Data) {
    until("an end and a message for every order", async || {
        let books = data.books().await;
        books.unsent == 0 && books.orders.keys().all(|order| books.told.contains_key(order)) // I14
    })
    .await;
}

/// The rows after the last stop.
async fn books_are_right(data: &Data, attempts: usize) {
    assert_eq!(data.findings().await, []);
    let books = data.books().await;
    // I1: each key has its definite answer by now, and so one order.
    assert_eq!(books.orders.len(), attempts, "keys and orders");
    assert!(books.orders.values().any(|order| order.status == "completed"));
}
