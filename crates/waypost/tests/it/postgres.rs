//! A whole shop whose data is on a PostgreSQL server.

use std::fs;

use tempfile::tempdir;
use tokio::task::JoinSet;
use waypost_test_servers::postgres::{Database, Session, execute};
use waypost_testkit::audit::{Books, audit_server};
use waypost_testkit::{Answer, Behaviour, Client, Collector, Roles, Shop, ShopBuilder, until};

use crate::program::{ended, waypost};

const ORDER: &str = r#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
const DECLINED: &str = r#"{"user_id":"user-declined","product_id":"prod456","quantity":2,"amount":99.99}"#;
const SOLD_OUT: &str = r#"{"user_id":"user123","product_id":"prod-soldout","quantity":1,"amount":89.00}"#;

fn shop(url: &str) -> ShopBuilder {
    Shop::of(env!("CARGO_BIN_EXE_waypost")).on_postgres(url)
}

async fn post(gateway: &Client, key: &str, body: &str) -> Answer {
    gateway.post("/api/orders", &[("idempotency-key", key)], body).await.unwrap()
}

/// Every order has ended, its event is sent and its message is told, and the books add up.
async fn settles_with_right_books(url: &str) -> Books {
    until("an end and a message for every order", async || {
        let books = Books::read_server(url).await.unwrap();
        let ended = books.orders.values().all(waypost_testkit::audit::Order::is_settled);
        ended && books.unsent == 0 && books.orders.keys().all(|order| books.told.contains_key(order))
    })
    .await;
    assert_eq!(audit_server(url).await.unwrap(), []);
    Books::read_server(url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_all_its_way_and_a_replay_is_its_first_answer() {
    let database = Database::create();
    let folder = tempdir().unwrap();
    let running = shop(&database.url()).data(folder.path()).start().await.unwrap();
    let gateway = running.client("gateway");
    let mut first = Vec::new();
    for (key, body, status) in [("ok", ORDER, 201), ("declined", DECLINED, 402), ("sold-out", SOLD_OUT, 409)]
    {
        let answer = post(&gateway, key, body).await;
        assert_eq!(answer.status, status, "{key}: {}", answer.json);
        first.push((key, body, answer));
    }
    let order = first[0].2.json["order_id"].as_str().unwrap().to_owned();
    let shown = gateway.get(&format!("/api/orders/{order}")).await.unwrap();
    assert_eq!(shown.json["status"], "completed", "{}", shown.json);
    let listed = gateway.get("/api/orders?user_id=user123").await.unwrap();
    assert_eq!(listed.json["orders"].as_array().unwrap().len(), 2, "{}", listed.json);
    let other = post(&gateway, "ok", SOLD_OUT).await;
    assert_eq!(other.status, 422, "{}", other.json);

    // The keys outlive the process.
    running.stop().await.unwrap();
    let running = shop(&database.url()).data(folder.path()).start().await.unwrap();
    let gateway = running.client("gateway");
    for (key, body, before) in first {
        let again = post(&gateway, key, body).await;
        assert_eq!((again.status, &again.bytes), (before.status, &before.bytes), "{key}");
        assert_eq!(again.headers["idempotent-replayed"], "true");
    }
    assert_eq!(settles_with_right_books(&database.url()).await.orders.len(), 3);
    // The one file has the broker's rows, and nobody else's.
    let file = rusqlite::Connection::open(folder.path().join("waypost.db")).unwrap();
    let others = "SELECT count(*) FROM store_tables WHERE store <> 'broker'";
    assert_eq!(file.query_row(others, (), |row| row.get::<_, i64>(0)).unwrap(), 0);
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!files.iter().any(|file| file == "order.db"), "{files:?}");
}

/// A row is of the transaction that its `xmin` names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_come_together_share_their_commits() {
    let database = Database::create();
    let url = database.url();
    let running = shop(&url).start().await.unwrap();
    let mut clients = JoinSet::new();
    for number in 0..64 {
        let gateway = running.client("gateway");
        clients.spawn(async move { post(&gateway, &format!("together-{number}"), ORDER).await });
    }
    for answer in clients.join_all().await {
        assert!(answer.status == 201 || answer.status == 202, "{}", answer.json);
    }
    assert_eq!(settles_with_right_books(&url).await.orders.len(), 64);
    let mut session = Session::connect(&url).await;
    for transactions in [
        "SELECT count(DISTINCT xmin::text) FROM waypost_order.order_journal WHERE row = 1",
        "SELECT count(DISTINCT xmin::text) FROM waypost_inventory.stock_movements WHERE kind = 'committed'",
        "SELECT count(DISTINCT xmin::text) FROM waypost_payment.ledger_entries WHERE account = 'sales'",
        "SELECT count(DISTINCT xmin::text) FROM waypost_provider.ledger",
    ] {
        let number = session.number(transactions).await;
        assert!((1..64).contains(&number), "{transactions}: {number} for 64 orders");
    }
}

/// As in production: a process a role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_in_processes_of_their_own_share_a_server() {
    let database = Database::create();
    let url = database.url();
    let settings = [
        ("user.seed", "true"),
        ("inventory.seed", "true"),
        ("gateway.auth", "demo"),
        ("runtime.worker_threads", "1"),
    ];
    let mut roles = Roles::prepare_on_postgres(env!("CARGO_BIN_EXE_waypost"), &url, &settings).await.unwrap();
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    assert_eq!(post(&gateway, "ok", ORDER).await.status, 201);
    assert_eq!(post(&gateway, "declined", DECLINED).await.status, 402);
    assert_eq!(settles_with_right_books(&url).await.orders.len(), 2);
}

#[test]
fn a_dry_run_says_what_migrate_then_does_on_a_server() {
    let (database, folder) = (Database::create(), tempdir().unwrap());
    let migrate = |arguments: &[&str]| {
        let mut command = waypost(folder.path());
        command.args(arguments).env("WAYPOST_DATABASE__KIND", "postgres");
        ended(command.env("WAYPOST_DATABASE__URL", database.url()))
    };
    let dry = migrate(&["migrate", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.out.contains("schema waypost_order of 127.0.0.1:"), "{}", dry.out);
    assert!(dry.out.contains("would apply 0001_orders, 0002_idempotency, 0003_outbox"), "{}", dry.out);
    let real = migrate(&["migrate"]);
    assert_eq!((real.code, real.out), (0, dry.out.replace("would apply", "applied")));
    let again = migrate(&["migrate", "--dry-run"]);
    assert!(again.out.lines().all(|line| line.ends_with(": up to date")), "{}", again.out);
}

#[test]
fn a_start_that_cannot_use_the_server_says_why_and_ends_with_its_code() {
    let (database, folder) = (Database::create(), tempdir().unwrap());
    let start = |settings: &[(&str, &str)]| {
        let mut command = waypost(folder.path());
        command.args(["run", "user", "--admin", "127.0.0.1:0"]).env("WAYPOST_LISTEN__USER", "127.0.0.1:0");
        command.env("WAYPOST_DATABASE__KIND", "postgres");
        for (name, value) in settings {
            command.env(format!("WAYPOST_DATABASE__{name}"), value);
        }
        ended(&mut command)
    };
    let url = database.url();
    let password = folder.path().join("password");
    fs::write(&password, "hunter2\n").unwrap();
    let password = password.display().to_string();
    let stranger = url.replacen("postgres@", "stranger@", 1);
    let elsewhere = url.replacen(database.name(), "nowhere", 1);
    for (settings, code, words) in [
        (vec![("HOST", "127.0.0.1"), ("PORT", "1")], 69, "it cannot be reached"),
        (vec![("URL", stranger.as_str()), ("PASSWORD_FILE", &password)], 69, "database.password_file"),
        (vec![("URL", elsewhere.as_str())], 69, "there is no such database"),
        (vec![("PASSWORD_FILE", "/nowhere/password")], 64, "/nowhere/password"),
        (vec![("URL", "mysql://ada:hunter2@db/shop")], 64, "it must begin with postgres://"),
        (vec![("SSLMODE", "verify-full"), ("URL", &url), ("CA_FILE", &password)], 69, "database.sslmode"),
    ] {
        let ended = start(&settings);
        assert_eq!(ended.code, code, "{settings:?}: {ended:?}");
        assert!(ended.err.contains(words), "{settings:?}: {}", ended.err);
        assert!(!ended.err.contains("hunter2") && !ended.out.contains("hunter2"), "{ended:?}");
    }

    let mut migrate = waypost(folder.path());
    migrate.arg("migrate").env("WAYPOST_DATABASE__KIND", "postgres").env("WAYPOST_DATABASE__URL", &url);
    assert_eq!(ended(&mut migrate).code, 0);
    let newer = "INSERT INTO schema_migrations (id, checksum) VALUES ('9999_future', 'x')".to_owned();
    execute(&url, format!("SET search_path = waypost_user; {newer}")).unwrap();
    let ended = start(&[("URL", url.as_str())]);
    assert_eq!(ended.code, 73, "{ended:?}");
    assert!(ended.err.contains("newer version"), "{}", ended.err);
}

/// A unit of each role says where it ran.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_name_the_server_and_the_schema() {
    let database = Database::create();
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let running = shop(&database.url()).export_to(&collector).start().await.unwrap();
    assert_eq!(post(&running.client("gateway"), "k", ORDER).await.status, 201);
    let namespace = format!("{}|waypost_order", database.name());
    until("a span of the order service's database", async || {
        collector.spans().iter().any(|span| {
            let is =
                |key: &str, value: &str| span.attribute(key).is_some_and(|found| found.to_string() == value);
            is("db.system.name", "postgresql")
                && is("db.namespace", &namespace)
                && is("server.address", "127.0.0.1")
        })
    })
    .await;
    running.stop().await.unwrap();
}
