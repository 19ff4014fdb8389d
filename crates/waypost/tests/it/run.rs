use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::tempdir;
use waypost_testkit::database;

use super::http::{get, post, post_with};
use super::program::{PATIENCE, Program, waypost};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

/// `waypost run` with every listener on a free port, as JSON, without a collector.
pub fn run(folder: &Path, roles: &[&str]) -> Command {
    let mut command = waypost(folder);
    command.arg("run").args(roles);
    for listener in ["gateway", "order", "user", "inventory", "payment", "provider", "admin"] {
        command.env(format!("WAYPOST_LISTEN__{}", listener.to_uppercase()), "127.0.0.1:0");
    }
    command
        .env("WAYPOST_TELEMETRY__LOGS__FORMAT", "json")
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("WAYPOST_DRAIN__NOTICE", "0s")
        .env("WAYPOST_USER__SEED", "true")
        .env("WAYPOST_INVENTORY__SEED", "true")
        .env("WAYPOST_HEALTH__INTERVAL", "50ms");
    command
}

/// The address that a role logged when it began to listen.
pub fn address_of(program: &mut Program, role: &str) -> String {
    program.address_of(role).to_string()
}

#[test]
fn two_processes_that_share_a_data_folder_complete_an_order_end_to_end() {
    let folder = tempdir().unwrap();
    let mut services =
        Program::start(&mut run(folder.path(), &["order", "user", "inventory", "payment", "provider"]));
    let order = address_of(&mut services, "order");
    let user = address_of(&mut services, "user");
    let inventory = address_of(&mut services, "inventory");
    services.line_with("\"ready\"");

    let mut edge = Program::start(
        run(folder.path(), &["gateway", "notification"])
            .env("WAYPOST_GATEWAY__AUTH", "demo")
            .env("WAYPOST_GATEWAY__ORDER_SERVICE", format!("http://{order}"))
            .env("WAYPOST_GATEWAY__USER_SERVICE", format!("http://{user}"))
            .env("WAYPOST_GATEWAY__INVENTORY_SERVICE", format!("http://{inventory}")),
    );
    let gateway = address_of(&mut edge, "gateway");
    let orders = format!("http://{gateway}/api/orders");
    let refused = post(&orders, ORDER);
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (400, &"idempotency_key_required".into()));
    let answer = post_with(&orders, &[("Idempotency-Key", "run-1")], ORDER);
    assert_eq!(answer.status, 201, "{answer:?}");
    let order_id = answer.json["order_id"].as_str().unwrap();

    // The notification's own log line is the level to wait for: its row is committed by then.
    edge.line_with(order_id);
    for program in [edge, services] {
        program.signal("TERM");
        let ended = program.end();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let notifications =
        rusqlite::Connection::open(database(&folder.path().join("waypost-data"), "notification")).unwrap();
    let count: i64 = notifications
        .query_row("SELECT count(*) FROM notifications WHERE order_id = ?1", [order_id], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_gateway_needs_no_password_of_a_database() {
    let folder = tempdir().unwrap();
    let mut gateway = Program::start(
        run(folder.path(), &["gateway"])
            .env("WAYPOST_DATABASE__KIND", "postgres")
            .env("WAYPOST_DATABASE__PASSWORD_FILE", "/nowhere/password"),
    );
    address_of(&mut gateway, "gateway");
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, 0);
}

#[test]
fn a_restart_resumes_at_once_what_its_own_node_was_working_on() {
    let folder = tempdir().unwrap();
    // Nothing but the start of the same node ends these leases, and payments are away.
    let start = |node: &str, roles: &[&str]| {
        let mut command = run(folder.path(), roles);
        command
            .env("WAYPOST_RUNTIME__NODE", node)
            .env("WAYPOST_ORDER__LEASE", "1h")
            .env("WAYPOST_ORDER__SWEEP_INTERVAL", "10ms")
            .env("WAYPOST_ORDER__MAX_WAIT", "100ms")
            .env("WAYPOST_ORDER__STEPS__BUDGET", "1h")
            .env("WAYPOST_ORDER__STEPS__ATTEMPTS", "100000")
            .env("WAYPOST_ORDER__PAYMENT_TARGET", "http://127.0.0.1:9")
            .env("WAYPOST_GATEWAY__AUTH", "demo");
        let mut program = Program::start(&mut command);
        let gateway = roles.contains(&"gateway").then(|| address_of(&mut program, "gateway"));
        program.line_with("\"ready\"");
        (program, gateway)
    };
    let runner = || -> String {
        let database =
            rusqlite::Connection::open(database(&folder.path().join("waypost-data"), "order")).unwrap();
        database.query_row("SELECT runner FROM orders", (), |row| row.get(0)).unwrap()
    };

    let (first, gateway) = start("one", &["gateway", "order", "user", "inventory"]);
    let orders = format!("http://{}/api/orders", gateway.unwrap());
    let accepted = post_with(&orders, &[("Idempotency-Key", "run-1")], ORDER);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    drop(first);
    let of_first = runner();
    assert!(of_first.starts_with("one/"), "{of_first}");

    let (other, _) = start("two", &["order"]);
    other.signal("TERM");
    assert_eq!(other.end().code, 0);
    assert_eq!(runner(), of_first, "the lease of another node runs on");

    let (_again, _) = start("one", &["order"]);
    let end = Instant::now() + PATIENCE;
    while runner() == of_first {
        assert!(Instant::now() < end, "{of_first} still has it");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(runner().starts_with("one/"), "{}", runner());
}

#[test]
fn a_data_folder_keeps_the_name_of_its_node() {
    let folder = tempdir().unwrap();
    let name = || {
        let mut order = Program::start(&mut run(folder.path(), &["order"]));
        order.line_with("\"ready\"");
        order.signal("TERM");
        assert_eq!(order.end().code, 0);
        fs::read_to_string(folder.path().join("waypost-data/node")).unwrap()
    };
    assert_eq!(name(), name());
}

#[test]
fn processes_find_each_other_by_the_addresses_of_a_shared_file() {
    let folder = tempdir().unwrap();
    let mut services = Program::start(&mut run(folder.path(), &["inventory"]));
    let inventory = address_of(&mut services, "inventory");
    fs::write(folder.path().join("waypost.toml"), format!("[listen]\ninventory = \"{inventory}\"\n"))
        .unwrap();
    let mut edge = Program::start(
        run(folder.path(), &["gateway"])
            .env_remove("WAYPOST_LISTEN__INVENTORY")
            .env("WAYPOST_GATEWAY__AUTH", "demo"),
    );
    let gateway = address_of(&mut edge, "gateway");
    let product = get(&format!("http://{gateway}/api/products/prod456"));
    assert_eq!(product.status, 200, "{product:?}");
    assert_eq!(product.json["product_id"], "prod456", "{product:?}");
}

#[test]
fn readiness_is_answered_by_the_admin_listener() {
    let folder = tempdir().unwrap();
    let mut provider = Program::start(&mut run(folder.path(), &["provider"]));
    let admin = address_of(&mut provider, "admin");
    provider.line_with("\"ready\"");
    assert_eq!(get(&format!("http://{admin}/readyz?verbose")).status, 200);
    assert_eq!(get(&format!("http://{admin}/livez")).status, 200);
    assert_eq!(get(&format!("http://{admin}/metrics")).status, 200);
}

#[test]
fn a_gateway_alone_needs_no_data_folder() {
    let folder = tempdir().unwrap();
    let mut gateway = Program::start(&mut run(folder.path(), &["gateway"]));
    gateway.line_with("\"ready\"");
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn roles_that_start_together_on_a_new_folder_do_not_meet() {
    for _ in 0..5 {
        let folder = tempdir().unwrap();
        let roles = ["order", "user", "inventory", "payment", "provider", "notification"];
        let mut programs: Vec<Program> =
            roles.iter().map(|role| Program::start(&mut run(folder.path(), &[role]))).collect();
        for program in &mut programs {
            program.line_with("\"ready\"");
        }
        for program in programs {
            program.signal("TERM");
            let ended = program.end();
            assert_eq!(ended.code, 0, "{ended:?}");
        }
    }
}
