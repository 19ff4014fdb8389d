//! `storage.files`: the roles of `up` on one file, and data on its way between that and a file per role.

use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::tempdir;
use waypost_testkit::audit::{Books, Order, audit};
use waypost_testkit::{Client, Shop, program, until};

use super::program::{Program, ended, waypost};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;
const OWN: [&str; 7] =
    ["broker.db", "inventory.db", "notification.db", "order.db", "payment.db", "provider.db", "user.db"];

async fn shop(data: &Path, files: &str) -> Shop {
    Shop::of(env!("CARGO_BIN_EXE_waypost")).data(data).set("storage.files", files).start().await.unwrap()
}

/// The databases in a folder, with what was left of moving them. An audit leaves logs beside them.
fn databases(data: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let is_beside = |name: &str| [".lock", "-wal", "-shm"].iter().any(|end| name.ends_with(end));
    let mut names: Vec<String> = names.filter(|name| name.contains(".db") && !is_beside(name)).collect();
    names.sort();
    names
}

/// The answer to an order with this key: that of the first time.
async fn place(gateway: &Client, key: &str) -> (u16, String) {
    let answer = gateway.post("/api/orders", &[("idempotency-key", key)], ORDER).await.unwrap();
    (answer.status.as_u16(), String::from_utf8(answer.bytes.to_vec()).unwrap())
}

async fn all_told(data: &Path, orders: usize) {
    until("a message for every order", async || Books::read(data).unwrap().told.len() == orders).await;
}

async fn stopped(shop: Shop) {
    let stopped = shop.stop().await.unwrap();
    assert!(stopped.status.success(), "{}", stopped.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_moves_to_one_file_and_back_and_nothing_of_it_is_lost() {
    let folder = tempdir().unwrap();
    let data = folder.path();
    let mut first = Vec::new();
    for (round, files) in ["per-role", "shared", "shared", "per-role", "shared"].into_iter().enumerate() {
        let shop = shop(data, files).await;
        let gateway = shop.client("gateway");
        let keys: Vec<String> = (0..=round).map(|number| format!("order-{number}")).collect();
        let answers = join_all(keys.iter().map(|key| place(&gateway, key))).await;
        assert_eq!(answers[..round], first[..], "{files}");
        assert_eq!(answers[round].0, 201, "{:?}", answers[round]);
        first = answers;
        all_told(data, round + 1).await;
        stopped(shop).await;
        assert_eq!(audit(data).unwrap(), []);
        let expected: &[&str] = if files == "shared" { &["waypost.db"] } else { &OWN };
        assert_eq!(databases(data), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_a_file_per_role_is_one_file_after_the_next_start() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    let before = shop(&data, "per-role").await;
    let first = place(&before.client("gateway"), "one").await;
    assert_eq!(first.0, 201);
    stopped(before).await;
    assert_eq!(databases(&data), OWN);
    // Nothing is said of files, as in every configuration that was there before.
    let after = Shop::of(env!("CARGO_BIN_EXE_waypost")).data(&data).start().await.unwrap();
    assert_eq!(place(&after.client("gateway"), "one").await, first);
    stopped(after).await;
    assert_eq!(databases(&data), ["waypost.db"]);
    assert_eq!(audit(&data).unwrap(), []);
}

/// `waypost run` of some roles, on free ports, in the folder of a shop.
fn run(folder: &Path, roles: &[&str]) -> Command {
    let mut command = waypost(folder);
    program::on_free_ports(command.arg("run").args(roles));
    command.env("WAYPOST_TELEMETRY__LOGS__FORMAT", "json");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_beside_a_shop_with_one_file_is_refused_and_moves_nothing() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    let shop = shop(&data, "shared").await;
    let gateway = shop.client("gateway");
    let first = place(&gateway, "one").await;
    let refused = ended(&mut run(folder.path(), &["order"]));
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("waypost.db") && refused.err.contains("in use"), "{}", refused.err);
    assert_eq!(databases(&data), ["waypost.db"]);
    assert_eq!((first.0, place(&gateway, "one").await), (201, first));
    stopped(shop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_beside_a_role_with_its_own_file_is_refused_and_moves_nothing() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    stopped(shop(&data, "per-role").await).await;
    let mut order = Program::start(&mut run(folder.path(), &["order"]));
    order.line_with("\"ready\"");
    let mut up = waypost(folder.path());
    let refused = ended(up.args(["up", "--no-viewer"]).args(super::program::FREE_PORTS));
    assert_eq!(refused.code, 69, "{refused:?}");
    assert!(refused.err.contains("order.db") && refused.err.contains("in use"), "{}", refused.err);
    assert_eq!(databases(&data), OWN);
    order.signal("TERM");
    assert_eq!(order.end().code, 0);
}

/// As when each role of a shop that was one process becomes a process: all begin at once, on one folder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_that_start_at_once_take_their_data_out_of_the_one_file_once() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    let shop = shop(&data, "shared").await;
    assert_eq!(place(&shop.client("gateway"), "one").await.0, 201);
    all_told(&data, 1).await;
    stopped(shop).await;
    let roles = ["order", "user", "inventory", "payment", "provider", "notification"];
    let mut running = roles.map(|role| Program::start(&mut run(folder.path(), &[role])));
    for role in &mut running {
        role.line_with("\"ready\"");
    }
    for role in running {
        role.signal("TERM");
        assert_eq!(role.end().code, 0);
    }
    assert_eq!(databases(&data), OWN);
    assert_eq!(audit(&data).unwrap(), []);
    assert_eq!(Books::read(&data).unwrap().told.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_in_a_process_of_its_own_takes_its_data_out_of_the_shared_file() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    stopped(shop(&data, "shared").await).await;
    let mut command = waypost(folder.path());
    program::on_free_ports(command.args(["run", "user", "--set", "storage.files=shared"]));
    let mut user = Program::start(command.env("WAYPOST_TELEMETRY__LOGS__FORMAT", "json"));
    user.address_of("user");
    assert!(!data.join("waypost.db").exists());
    let users = Connection::open(data.join("user.db")).unwrap();
    let count: i64 = users.query_row("SELECT count(*) FROM users", (), |row| row.get(0)).unwrap();
    assert!(count > 0);
    user.signal("TERM");
    assert_eq!(user.end().code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_one_file_made_under_load_is_one_state_of_all_roles() {
    let (folder, copy) = (tempdir().unwrap(), tempdir().unwrap());
    let shop = shop(folder.path(), "shared").await;
    let gateway = shop.client("gateway");
    let place_all = async {
        let load = (0..8).map(async |client| {
            for number in 0..12 {
                assert_eq!(place(&gateway, &format!("{client}-{number}")).await.0, 201);
            }
        });
        join_all(load).await;
    };
    let backup = async {
        until("some orders", async || Books::read(folder.path()).unwrap().orders.len() > 20).await;
        let (from, to) = (folder.path().join("waypost.db"), copy.path().join("waypost.db"));
        let copying = move || {
            Connection::open(from).unwrap().execute("VACUUM INTO ?1", [to.to_string_lossy()]).unwrap();
        };
        tokio::task::spawn_blocking(copying).await.unwrap();
    };
    tokio::join!(place_all, backup);
    shop.kill().await.unwrap();

    let copied = Books::read(copy.path()).unwrap();
    assert!(copied.orders.len() > 20 && copied.orders.len() < 96, "{}", copied.orders.len());
    let shop = self::shop(copy.path(), "shared").await;
    until("right books", async || {
        let books = Books::read(copy.path()).unwrap();
        let is_over = books.orders.values().all(Order::is_settled) && books.told.len() == books.orders.len();
        is_over && audit(copy.path()).unwrap().is_empty()
    })
    .await;
    stopped(shop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_find_the_data_wherever_it_is() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    let mut exports = Vec::new();
    for files in ["per-role", "shared"] {
        let shop = shop(&data, files).await;
        assert_eq!(place(&shop.client("gateway"), "one").await.0, 201);
        all_told(&data, 1).await;
        stopped(shop).await;
        // The setting is the default, and the data says where it is.
        let dry = ended(waypost(folder.path()).args(["migrate", "--dry-run"]));
        assert_eq!(dry.code, 0, "{dry:?}");
        assert!(
            dry.out.lines().count() == 7 && dry.out.lines().all(|line| line.ends_with("up to date")),
            "{dry:?}"
        );
        assert_eq!(dry.out.contains("order in waypost-data/waypost.db"), files == "shared", "{}", dry.out);
        let exported = ended(waypost(folder.path()).args(["export", files]));
        assert_eq!(exported.code, 0, "{exported:?}");
        if files == "per-role" {
            std::fs::copy(data.join("order.db"), folder.path().join("restored.db")).unwrap();
        }
        exports.push(std::fs::read(folder.path().join(files).join("payment.jsonl")).unwrap());
    }
    assert!(!exports[0].is_empty() && exports[0] == exports[1]);

    std::fs::copy(folder.path().join("restored.db"), data.join("order.db")).unwrap();
    let unclear = ended(waypost(folder.path()).arg("migrate"));
    assert_eq!(unclear.code, 73, "{unclear:?}");
    assert!(unclear.err.contains("order.db"), "{}", unclear.err);
    let mut up = waypost(folder.path());
    let refused = ended(
        up.args(["up", "--no-viewer", "--set", "storage.files=shared"]).args(super::program::FREE_PORTS),
    );
    assert_eq!(refused.code, 73, "{refused:?}");
    assert!(
        refused.err.contains("order.db") && refused.err.contains("waypost.db as well"),
        "{}",
        refused.err
    );
}

#[test]
fn a_damaged_shared_file_is_named_and_left_alone() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("waypost-data");
    std::fs::create_dir(&data).unwrap();
    let text = "this is my shopping list, and not a database ".repeat(100);
    std::fs::write(data.join("waypost.db"), &text).unwrap();
    for files in ["shared", "per-role"] {
        let mut up = waypost(folder.path());
        let refused = ended(
            up.args(["up", "--no-viewer", "--set", &format!("storage.files={files}")])
                .args(super::program::FREE_PORTS),
        );
        assert_eq!(refused.code, 73, "{refused:?}");
        assert!(refused.err.contains("waypost.db"), "{}", refused.err);
    }
    assert_eq!(std::fs::read_to_string(data.join("waypost.db")).unwrap(), text);
}
