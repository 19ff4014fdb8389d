//! An event that cannot be handled, and what an operator does about it.

use std::path::Path;

use tempfile::tempdir;
use waypost_testkit::database;

use super::super::http::{get, post};
use super::super::program::{Program, ended, waypost};
use super::super::run::{address_of, run};
use super::{answer, assert_fits, eventually, operate};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;
const ROLES: [&str; 7] = ["gateway", "order", "user", "inventory", "payment", "provider", "notification"];

fn shop(folder: &Path) -> (Program, String, String) {
    shop_with(folder, "1MiB")
}

/// A shop whose broker takes records up to this size.
fn shop_with(folder: &Path, record_size: &str) -> (Program, String, String) {
    shop_of(folder, &[("WAYPOST_BROKER__RECORD_SIZE", record_size)])
}

/// A shop with these variables.
fn shop_of(folder: &Path, variables: &[(&str, &str)]) -> (Program, String, String) {
    let mut program = Program::start(
        run(folder, &ROLES)
            .env("WAYPOST_GATEWAY__AUTH", "demo")
            .env("WAYPOST_GATEWAY__REQUIRE_IDEMPOTENCY_KEY", "false")
            .envs(variables.iter().copied()),
    );
    let gateway = address_of(&mut program, "gateway");
    let admin = address_of(&mut program, "admin");
    program.line_with("\"ready\"");
    (program, gateway, admin)
}

fn on_notifications(folder: &Path, statement: &str) {
    let database =
        rusqlite::Connection::open(database(&folder.join("waypost-data"), "notification")).unwrap();
    database.execute_batch(statement).unwrap();
}

#[test]
fn a_dead_letter_is_listed_shown_replayed_and_handled() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(ended(waypost(folder).arg("migrate")).code, 0);
    on_notifications(
        folder,
        "CREATE TRIGGER poison BEFORE INSERT ON notifications BEGIN SELECT raise(ABORT, 'poisoned'); END",
    );
    let (program, gateway, admin) = shop(folder);
    assert_eq!(operate(folder, &admin, &["dead-letters", "list"]).out, "No dead letter waits.\n");
    let placed = post(&format!("http://{gateway}/api/orders"), ORDER);
    assert_eq!(placed.status, 201, "{placed:?}");
    let order = placed.json["order_id"].as_str().unwrap();
    let letters = eventually("the dead letter", || {
        let letters = answer(folder, &admin, &["dead-letters", "list"]);
        (letters["total"] == 1).then_some(letters)
    });
    let letter = letters["letters"][0]["letter"].as_str().unwrap();
    assert_eq!(
        (&letters["letters"][0]["topic"], &letters["letters"][0]["key"]),
        (&"order-events".into(), &order.into())
    );

    let listed = operate(folder, &admin, &["dead-letters", "list"]);
    for part in ["1 dead letter waits.", letter, order, "notification-service", "poisoned"] {
        assert!(listed.out.contains(part), "{part:?} is missing in {}", listed.out);
    }
    assert_fits(&listed.out);
    let shown = operate(folder, &admin, &["dead-letters", "show", letter]).out;
    assert!(shown.contains(&format!("\"order_id\":\"{order}\"")), "{shown}");
    assert!(!shown.contains("dead-letter-reason"), "what is published again has no such header: {shown}");
    let warned = || get(&format!("http://{admin}/readyz?verbose")).text().to_owned();
    assert!(warned().contains("ok broker/connection"), "{}", warned());
    eventually("the warning", || warned().contains("warn broker/dead-letters: 1 wait").then_some(()));
    let metrics = get(&format!("http://{admin}/metrics")).text().to_owned();
    let waiting = metrics.lines().find(|line| line.starts_with("waypost_messaging_dead_letters{")).unwrap();
    assert!(waiting.ends_with(" 1"), "{waiting}");

    program.signal("TERM");
    assert_eq!(program.end().code, 0);
    on_notifications(folder, "DROP TRIGGER poison");
    let (mut program, _, admin) = shop(folder);
    let replay = |arguments: &[&str]| {
        let command = [&["dead-letters", "replay", "--reason", "the poison is gone"], arguments].concat();
        operate(folder, &admin, &command)
    };
    let replayed = replay(&["--all"]);
    assert_eq!((replayed.code, replayed.out.as_str()), (0, "1 letter was published again.\n"));
    // The notification's own log line: its row is committed by then.
    program.line_with(order);

    assert_eq!(operate(folder, &admin, &["dead-letters", "list"]).out, "No dead letter waits.\n");
    let shown = answer(folder, &admin, &["dead-letters", "show", letter]);
    assert_eq!(
        (&shown["replay"]["by"], &shown["replay"]["reason"]),
        (&"ann".into(), &"the poison is gone".into())
    );
    let twice = replay(&[letter]);
    assert!(twice.out.contains("published again before"), "{twice:?}");
    assert_eq!(replay(&["order-events/0/999"]).code, 66);
    assert_eq!(operate(folder, &admin, &["dead-letters", "show", "nonsense"]).code, 66);

    program.signal("TERM");
    assert_eq!(program.end().code, 0);
    let database =
        rusqlite::Connection::open(database(&folder.join("waypost-data"), "notification")).unwrap();
    let count = "SELECT count(*) FROM notifications WHERE order_id = ?1";
    assert_eq!(database.query_row(count, [order], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[test]
fn what_fails_after_every_pause_is_a_dead_letter_of_its_own_topic() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    assert_eq!(ended(waypost(folder).arg("migrate")).code, 0);
    on_notifications(
        folder,
        "CREATE TRIGGER poison BEFORE INSERT ON notifications BEGIN SELECT raise(ABORT, 'poisoned'); END",
    );
    let retries = [
        ("WAYPOST_NOTIFICATION__ATTEMPTS", "2"),
        ("WAYPOST_BROKER__RETRY__KIND", "topics"),
        ("WAYPOST_BROKER__RETRY__PAUSES", "[\"5ms\", \"10ms\", \"15ms\"]"),
    ];
    let (mut program, gateway, admin) = shop_of(folder, &retries);
    let placed = post(&format!("http://{gateway}/api/orders"), ORDER);
    assert_eq!(placed.status, 201, "{placed:?}");
    let order = placed.json["order_id"].as_str().unwrap();
    for number in 1..=3 {
        program.line_with(&format!("waits in order-events.retry.{number}"));
    }
    let letters = eventually("the dead letter", || {
        let letters = answer(folder, &admin, &["dead-letters", "list"]);
        (letters["total"] == 1).then_some(letters)
    });
    let letter = &letters["letters"][0];
    assert_eq!((&letter["topic"], &letter["key"]), (&"order-events".into(), &order.into()), "{letter}");
    assert_eq!(letter["group"], "notification-service", "{letter}");
    assert_eq!(letter["attempts"], 5, "two in place, one behind each pause: {letter}");
    let shown = operate(folder, &admin, &["dead-letters", "show", letter["letter"].as_str().unwrap()]).out;
    assert!(!shown.contains("retry-due"), "what is published again has no such header: {shown}");

    on_notifications(folder, "DROP TRIGGER poison");
    let replayed =
        operate(folder, &admin, &["dead-letters", "replay", "--all", "--reason", "the poison is gone"]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    program.line_with(&format!("Order {order} is complete"));
    program.signal("TERM");
    assert_eq!(program.end().code, 0);
}

#[test]
fn an_event_that_the_broker_refuses_is_listed_shown_and_sent_again() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let (program, gateway, admin) = shop_with(folder, "100B");
    let placed = post(&format!("http://{gateway}/api/orders"), ORDER);
    assert_eq!(placed.status, 201, "{placed:?}");
    let order = placed.json["order_id"].as_str().unwrap();
    let letters = eventually("the parked event", || {
        let letters = answer(folder, &admin, &["dead-letters", "list"]);
        (letters["total"] == 1).then_some(letters)
    });
    let letter = letters["letters"][0]["letter"].as_str().unwrap();
    assert_eq!(letter, "outbox:order:1");
    let listed = operate(folder, &admin, &["dead-letters", "list"]).out;
    for part in ["1 dead letter waits.", letter, order, "outbox of order", "refused"] {
        assert!(listed.contains(part), "{part:?} is missing in {listed}");
    }
    assert_fits(&listed);
    let shown = operate(folder, &admin, &["dead-letters", "show", letter]).out;
    assert!(shown.contains(&format!("\"order_id\":\"{order}\"")), "{shown}");
    program.signal("TERM");
    assert_eq!(program.end().code, 0);

    let (mut program, _, admin) = shop(folder);
    let replay = ["dead-letters", "replay", letter, "--reason", "larger records are taken now"];
    let replayed = operate(folder, &admin, &replay);
    assert_eq!(
        (replayed.code, replayed.out.as_str()),
        (0, "1 letter was published again.\n"),
        "{replayed:?}"
    );
    // The notification's own log line: its row is committed by then.
    program.line_with(order);
    assert_eq!(operate(folder, &admin, &["dead-letters", "list"]).out, "No dead letter waits.\n");
    let again = operate(folder, &admin, &replay);
    assert!(again.out.contains("published again before"), "{again:?}");
    program.signal("TERM");
    assert_eq!(program.end().code, 0);
}
