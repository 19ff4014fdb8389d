//! Orders that are parked for real: the payment service refuses what would undo them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::Value;
use tempfile::{TempDir, tempdir};
use waypost_test_servers::free_port;
use waypost_testkit::database;

use super::super::http::{get, post};
use super::super::program::Program;
use super::super::run::{address_of, run};
use super::payments::Payments;
use super::{answer, assert_fits, eventually, flat, operate};

const SOLD_OUT: &str = r#"{"user_id": "user123", "product_id": "prod-soldout", "quantity": 1, "amount": 89}"#;
const IN_STOCK: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

/// Every role but payment, which the test plays.
struct Shop {
    folder: TempDir,
    payments: Payments,
    gateway: String,
    admin: String,
    _program: Program,
}

impl Shop {
    fn open() -> Shop {
        let (folder, payments) = (tempdir().unwrap(), Payments::start());
        let mut program = Program::start(
            run(folder.path(), &["gateway", "order", "user", "inventory", "notification"])
                .env("WAYPOST_GATEWAY__AUTH", "demo")
                .env("WAYPOST_GATEWAY__REQUIRE_IDEMPOTENCY_KEY", "false")
                .env("WAYPOST_ORDER__PAYMENT_TARGET", format!("http://{}", payments.address))
                .env("WAYPOST_ORDER__STEPS__UNDO_ATTEMPTS", "2")
                .env("WAYPOST_ORDER__STUCK_RETRY", "1h"),
        );
        let gateway = address_of(&mut program, "gateway");
        let admin = address_of(&mut program, "admin");
        program.line_with("\"ready\"");
        Shop { folder, payments, gateway, admin, _program: program }
    }

    /// Places an order that is parked, and returns its id.
    fn park(&self, order: &'static str) -> String {
        let url = format!("http://{}/api/orders", self.gateway);
        // Its answer comes when the gateway has waited long enough; the order is parked before.
        let client = thread::spawn(move || post(&url, order).status);
        let stuck = eventually("a parked order", || {
            let stuck = self.answer(&["orders", "stuck"]);
            (stuck["total"] == 1 && stuck["orders"][0]["parked"]["being_tried"] == false).then_some(stuck)
        });
        assert_eq!(client.join().unwrap(), 202);
        stuck["orders"][0]["order_id"].as_str().unwrap().to_owned()
    }

    fn answer(&self, arguments: &[&str]) -> Value {
        answer(self.folder.path(), &self.admin, arguments)
    }

    /// Runs a command that ends with this code, and returns what it wrote.
    fn operate(&self, code: i32, arguments: &[&str]) -> String {
        let ended = operate(self.folder.path(), &self.admin, arguments);
        assert_eq!(ended.code, code, "{ended:?}");
        ended.out + &ended.err
    }

    /// The order as its owner sees it.
    fn seen(&self, id: &str) -> Value {
        let request = format!("http://{}/api/orders/{id}", self.gateway);
        get(&request).json
    }
}

#[test]
fn a_parked_order_is_listed_shown_and_retried() {
    let shop = Shop::open();
    assert_eq!(shop.operate(0, &["orders", "stuck"]), "No order is parked.\n");
    shop.payments.script().refuses_voids = true;
    let id = shop.park(SOLD_OUT);

    let listed = shop.operate(0, &["orders", "stuck"]);
    for part in ["1 order is parked.", &id, "step    authorize", "payment_conflict", "1 rounds of tries"] {
        assert!(listed.contains(part), "{part:?} is missing in {listed}");
    }
    let shown = shop.operate(0, &["orders", "show", &id]);
    for part in
        ["authorized: 0 taken", "intended reserve", "refused reserve: out of stock", "stuck authorize"]
    {
        assert!(shown.contains(part), "{part:?} is missing in {shown}");
    }
    assert_fits(&listed);
    assert_fits(&shown);

    let readiness = get(&format!("http://{}/readyz?verbose", shop.admin));
    assert_eq!(readiness.status, 200, "a parked order takes nobody out of service");
    let warned = || get(&format!("http://{}/readyz?verbose", shop.admin)).text().to_owned();
    eventually("the warning", || warned().contains("warn order/parked-orders: 1 parked").then_some(()));
    let metrics = get(&format!("http://{}/metrics", shop.admin)).text().to_owned();
    let stuck = metrics.lines().find(|line| line.starts_with("waypost_saga_stuck{")).unwrap();
    assert!(stuck.ends_with(" 1"), "{stuck}");

    let again = shop.operate(75, &["orders", "retry", &id, "--reason", "let us see"]);
    assert!(again.contains("It is parked again"), "{again}");
    shop.payments.script().refuses_voids = false;
    let retried = shop.operate(0, &["orders", "retry", &id, "--reason", "payment is well again"]);
    assert!(retried.contains("The order is failed."), "{retried}");
    assert_eq!(shop.operate(0, &["orders", "stuck"]), "No order is parked.\n");

    let report = shop.answer(&["orders", "show", &id]);
    assert_eq!((&report["status"], &report["failure_code"]), (&"failed".into(), &"out_of_stock".into()));
    let action = &report["actions"][1];
    assert_eq!((&action["action"], &action["outcome"]), (&"retry".into(), &"done".into()), "{report}");
    assert_eq!((&action["by"], &action["reason"]), (&"ann".into(), &"payment is well again".into()));
    assert!(shop.operate(77, &["orders", "retry", &id, "--reason", "again"]).contains("not_parked"));
    assert!(shop.operate(66, &["orders", "show", "no-such-order"]).contains("there is no order"));
}

#[test]
fn an_order_that_owes_nothing_is_abandoned() {
    let shop = Shop::open();
    shop.payments.script().refuses_voids = true;
    let id = shop.park(SOLD_OUT);
    let abandoned =
        shop.operate(0, &["orders", "abandon", &id, "--by", "bob", "--reason", "written off, ticket 42"]);
    assert!(abandoned.contains("is ended as failed"), "{abandoned}");
    assert!(
        flat(&abandoned).contains("Left open: money: 89 USD is set aside at the provider"),
        "{abandoned}"
    );
    assert_fits(&abandoned);
    let seen = shop.seen(&id);
    assert_eq!((&seen["status"], &seen["failure_code"]), (&"failed".into(), &"out_of_stock".into()));

    let report = shop.answer(&["orders", "show", &id]);
    assert_eq!(report["phase"], "ended");
    let last = report["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["status"], &last["reason"]), (&"failed".into(), &"out_of_stock".into()));
    let action = &report["actions"][0];
    assert_eq!((&action["action"], &action["by"]), (&"abandon".into(), &"bob".into()));
    assert!(action["notes"][0].as_str().unwrap().contains("ch_test"), "{report}");
    // From then on the day runs for which its key is kept.
    let rows = rusqlite::Connection::open(database(&shop.folder.path().join("waypost-data"), "order"));
    let ended = rows.unwrap().query_row("SELECT ended_at FROM orders WHERE order_id = ?1", [&id], |row| {
        row.get::<_, Option<i64>>(0)
    });
    assert!(ended.unwrap().is_some());
}

#[test]
fn a_customer_who_paid_is_refunded_before_the_end() {
    let shop = Shop::open();
    {
        let mut script = shop.payments.script();
        (script.denies_the_capture, script.refuses_voids, script.refuses_refunds) = (true, true, true);
    }
    let id = shop.park(IN_STOCK);
    let abandon = ["orders", "abandon", &id, "--reason", "no longer wanted"];
    assert!(shop.operate(77, &abandon).contains("money_is_owed"));
    let refund = ["orders", "refund", &id, "--reason", "cannot be delivered"];
    assert!(shop.operate(77, &[&refund[..], &["--amount", "100"]].concat()).contains("too_much"));
    assert!(flat(&shop.operate(77, &refund)).contains("nothing was given back"));

    shop.payments.script().refuses_refunds = false;
    let partly = shop.operate(0, &[&refund[..], &["--amount", "9.99"]].concat());
    assert!(partly.contains("9.99 of order"), "{partly}");
    assert!(flat(&shop.operate(77, &abandon)).contains("9.99 given back"));
    let rest = shop.operate(0, &refund);
    assert!(
        rest.contains("90 of order") && flat(&rest).contains("`waypost orders abandon` ends it"),
        "{rest}"
    );
    assert!(shop.operate(77, &refund).contains("all_refunded"));
    let keys: Vec<String> = (1..=3).map(|number| format!("{id}:operator-refund:{number}")).collect();
    assert_eq!(shop.payments.script().refund_keys, keys, "a new number for each");

    assert!(shop.operate(0, &abandon).contains("is ended as failed"));
    let report = shop.answer(&["orders", "show", &id]);
    let actions = report["actions"].as_array().unwrap().iter();
    let actions: Vec<String> = actions
        .map(|action| format!("{} {}", action["action"], action["outcome"]).replace('"', ""))
        .collect();
    let expected =
        ["refund asked", "refund rejected", "refund asked", "refund done", "refund asked", "refund done"];
    assert_eq!(actions, [&expected[..], &["abandon done"]].concat());
}

#[test]
fn a_completed_order_can_be_paid_back() {
    let shop = Shop::open();
    let placed = post(&format!("http://{}/api/orders", shop.gateway), IN_STOCK);
    assert_eq!(placed.status, 201, "{placed:?}");
    let id = placed.json["order_id"].as_str().unwrap();
    let refunded = shop.operate(0, &["orders", "refund", id, "--reason", "arrived broken"]);
    assert!(refunded.contains("99.99 of order"), "{refunded}");
    assert_eq!(shop.seen(id)["status"], "completed");
    let shown = shop.operate(0, &["orders", "show", id]);
    assert!(flat(&shown).contains("refund 1 of 99.99, done, by ann: arrived broken"), "{shown}");
    assert_fits(&shown);
}

#[test]
fn operators_are_told_when_nothing_runs() {
    let folder = tempdir().unwrap();
    let nobody = format!("127.0.0.1:{}", free_port());
    let ended = operate(folder.path(), &nobody, &["orders", "stuck"]);
    assert_eq!(ended.code, 69, "{ended:?}");
    for part in ["nothing answers at", "waypost run order", "--admin"] {
        assert!(ended.err.contains(part), "{part:?} is missing in {}", ended.err);
    }
    assert_fits(&ended.err);
    let mut provider = Program::start(&mut run(folder.path(), &["provider"]));
    let admin = address_of(&mut provider, "admin");
    let ended = operate(folder.path(), &admin, &["orders", "stuck"]);
    assert_eq!(ended.code, 69, "{ended:?}");
    assert!(flat(&ended.err).contains("does not run the order role"), "{}", ended.err);
    assert_fits(&ended.err);
}

#[test]
fn an_action_without_a_name_or_a_reason_is_refused() {
    let shop = Shop::open();
    let url = format!("http://{}/operator/orders/some/retry", shop.admin);
    for body in [r#"{"reason": "why"}"#, r#"{"by": "ann"}"#, r#"{"by": "", "reason": "why"}"#] {
        let answer = post(&url, body);
        assert!([400, 422].contains(&answer.status.as_u16()), "{answer:?}");
    }
    let ended = operate(shop.folder.path(), &shop.admin, &["orders", "retry", "some"]);
    assert_eq!(ended.code, 64, "{ended:?}");
}

#[test]
fn a_page_of_a_browser_gets_no_answer_from_the_operators_routes() {
    let shop = Shop::open();
    let answered = |head: &str| {
        let mut stream = TcpStream::connect(&shop.admin).unwrap();
        write!(stream, "GET /operator/orders/stuck HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(answered("Host: localhost"), "200");
    assert_eq!(answered("Host: evil.example"), "403");
    assert_eq!(answered("Host: localhost\r\nOrigin: http://evil.example"), "403");
}
