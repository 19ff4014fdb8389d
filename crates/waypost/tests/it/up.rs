use std::net::TcpListener;
use std::time::Instant;

use tempfile::tempdir;
use waypost_testkit::database;

use super::http::{get, post};
use super::program::{FREE_PORTS, PATIENCE, Program, ended, waypost};

/// The order of the README.
const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;

/// The URL on the line of a listener: `  gateway    http://127.0.0.1:40123  (..)`.
pub fn url_of(up: &mut Program, name: &str) -> String {
    let line = up.line_with(&format!("  {name} "));
    line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
}

/// As `deploy/compose/compose.yaml` has it: a container whose port is published on loopback alone.
#[test]
fn a_demo_listens_beyond_loopback_only_when_it_is_told_to() {
    let folder = tempdir().unwrap();
    let everywhere = || {
        let mut command = waypost(folder.path());
        command
            .args(["up", "--ephemeral"])
            .args(&FREE_PORTS[2..])
            .env("WAYPOST_LISTEN__GATEWAY", "0.0.0.0:0");
        command
    };
    let refused = ended(&mut everywhere());
    assert_eq!(refused.code, 64, "{refused:?}");

    let mut up = Program::start(everywhere().env("WAYPOST_GATEWAY__DEMO_BEYOND_LOOPBACK", "true"));
    let gateway = url_of(&mut up, "gateway");
    up.line_with("Ctrl-C stops");
    assert!(up.seen().contains("It is allowed beyond loopback"), "{}", up.seen());
    let port = gateway.rsplit(':').next().unwrap();
    let answer = post(&format!("http://127.0.0.1:{port}/api/orders"), ORDER);
    assert_eq!((answer.status.as_u16(), &answer.json["status"]), (201, &"completed".into()), "{answer:?}");
}

#[test]
fn up_tells_the_story_of_an_order_and_answers_the_curl_of_the_readme() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(waypost(folder.path()).arg("up").args(FREE_PORTS));
    let gateway = url_of(&mut up, "gateway");
    up.line_with("Ctrl-C stops");

    let page = up.seen();
    let steps = [
        "* [API Gateway] Received order request",
        "  ok [User Service] User user123 may order",
        "* [Order Service] Processing order...",
        "  ok [Order Service] Order validated",
        "* [Database] Saving order...",
        "* [Inventory Service] Checking stock...",
        "  ok [Inventory Service] Stock available",
        "* [Payment Service] Processing payment...",
        "    -> [Payment Gateway] Authorization complete",
        "  ok [Payment Service] Payment successful",
        "* [Notification Service] Notification written for order",
        "OK [API Gateway] Order created: ",
    ];
    for step in steps {
        assert!(page.contains(step), "{step:?} is missing in\n{page}");
    }
    let spans = ["POST /api/orders", "waypost.order.v1.OrderService/CreateOrder", "process order-events"];
    for span in spans {
        assert!(page.contains(span), "{span:?} is missing in\n{page}");
    }
    assert!(page.contains("Slowest step: "), "{page}");
    assert!(!page.contains("Not all of its spans"), "{page}");
    assert!(page.is_ascii(), "without a terminal there is neither emoji nor colour:\n{page}");

    let answer = post(&format!("{gateway}/api/orders"), ORDER);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.json["status"], "completed", "{answer:?}");
    assert!(database(&folder.path().join("waypost-data"), "order").exists());

    up.signal("INT");
    let ended = up.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.ends_with("Stopped.\n"), "{}", ended.out);
}

#[test]
fn what_up_accepted_is_still_there_after_a_restart() {
    let folder = tempdir().unwrap();
    let start = || Program::start(waypost(folder.path()).args(["up", "--no-first-order"]).args(FREE_PORTS));
    let mut up = start();
    let gateway = url_of(&mut up, "gateway");
    let answer = post(&format!("{gateway}/api/orders"), ORDER);
    let order_id = answer.json["order_id"].as_str().unwrap().to_owned();
    up.signal("TERM");
    assert_eq!(up.end().code, 0);

    let mut up = start();
    let gateway = url_of(&mut up, "gateway");
    let orders = get(&format!("{gateway}/api/orders?user_id=user123"));
    assert_eq!(orders.json["orders"][0]["order_id"], order_id.as_str(), "{orders:?}");
}

#[test]
fn an_order_without_spans_is_still_placed_and_said_to_be() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(
        waypost(folder.path()).arg("up").args(FREE_PORTS).env("OTEL_TRACES_SAMPLER", "always_off"),
    );
    up.line_with("The first order was answered 201");
    up.line_with("Ctrl-C stops");
}

#[test]
fn with_tokens_required_the_first_order_is_placed_by_a_user_who_logs_in() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(
        waypost(folder.path()).args(["up", "--set", "gateway.auth=required"]).args(FREE_PORTS),
    );
    let gateway = url_of(&mut up, "gateway");
    up.line_with("OK [API Gateway] Order created: ");
    assert_eq!(post(&format!("{gateway}/api/orders"), ORDER).status, 401);
    let mix = ["--orders", "10", "--mix", "success=1,declined=1", "--password", "waypost-demo"];
    let load = ended(waypost(folder.path()).args(["load", "--target", &gateway]).args(mix));
    assert_eq!(load.code, 0, "{load:?}");
}

#[test]
fn an_ephemeral_run_leaves_nothing_behind() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(waypost(folder.path()).args(["up", "--ephemeral"]).args(FREE_PORTS));
    up.line_with("Ctrl-C stops");
    up.signal("INT");
    assert_eq!(up.end().code, 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_taken_port_is_named_with_who_holds_it_and_how_to_move_it() {
    let folder = tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    // A later flag wins.
    let ended = ended(waypost(folder.path()).arg("up").args(&FREE_PORTS[2..]).args(["--gateway", &address]));
    assert_eq!(ended.code, 69, "{ended:?}");
    let port = holder.local_addr().unwrap().port().to_string();
    for part in [port.as_str(), "taken", "--gateway", "--port-offset", "WAYPOST_LISTEN__GATEWAY"] {
        assert!(ended.err.contains(part), "{part:?} is missing in {}", ended.err);
    }
    assert!(!folder.path().join("waypost-data").exists(), "nothing is made before every socket is bound");
}

#[test]
fn a_data_folder_that_cannot_be_written_to_is_named() {
    let folder = tempdir().unwrap();
    // A file in its place stops root too.
    std::fs::write(folder.path().join("data"), "").unwrap();
    let ended = ended(waypost(folder.path()).args(["up", "--data", "data"]).args(FREE_PORTS));
    assert_eq!(ended.code, 73, "{ended:?}");
    assert!(ended.err.contains("data folder data"), "{}", ended.err);
    assert!(ended.err.contains("--data"), "{}", ended.err);
}

#[test]
fn a_data_folder_in_use_is_refused_with_who_is_in_the_way() {
    let folder = tempdir().unwrap();
    let mut first = Program::start(waypost(folder.path()).args(["up", "--no-first-order"]).args(FREE_PORTS));
    first.line_with("Ctrl-C stops");
    let second = ended(waypost(folder.path()).arg("up").args(FREE_PORTS));
    assert_eq!(second.code, 69, "{second:?}");
    assert!(second.err.contains("in use"), "{}", second.err);
}

#[test]
fn a_second_signal_leaves_at_once() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(
        waypost(folder.path()).args(["up", "--no-first-order", "--set", "drain.notice=10m"]).args(FREE_PORTS),
    );
    up.line_with("Ctrl-C stops");
    up.signal("INT");
    up.line_with("Ctrl-C again leaves at once");
    up.signal("INT");
    assert_eq!(up.end().code, 130);
}

#[test]
fn a_load_run_beside_it_is_explained_by_its_mix() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(waypost(folder.path()).args(["up", "--no-first-order"]).args(FREE_PORTS));
    let gateway = url_of(&mut up, "gateway");
    up.line_with("Ctrl-C stops");
    let load = ended(
        waypost(folder.path())
            .args(["load", "--target", &gateway, "--orders", "100", "--concurrency", "8", "--json"])
            .args(["--mix", "success=8,out-of-stock=1,declined=1"]),
    );
    assert_eq!(load.code, 0, "{load:?}");
    let report: serde_json::Value = serde_json::from_str(&load.out).unwrap();
    let count = |outcome: &str| report["outcomes"][outcome]["count"].as_u64().unwrap_or(0);
    assert_eq!(report["requests"], 100);
    assert_eq!(count("completed") + count("pending"), 80, "{report}");
    assert_eq!((count("out_of_stock"), count("payment_declined")), (10, 10), "{report}");
    assert_eq!(report["unexpected"], 0);
}

#[test]
fn a_drain_under_load_loses_nothing_that_was_answered() {
    let folder = tempdir().unwrap();
    let mut up = Program::start(waypost(folder.path()).args(["up", "--no-first-order"]).args(FREE_PORTS));
    let gateway = url_of(&mut up, "gateway");
    up.line_with("Ctrl-C stops");
    let load =
        Program::start(waypost(folder.path()).args(["load", "--target", &gateway, "--json", "-n", "8"]));
    let end = Instant::now() + PATIENCE;
    let orders = || {
        get(&format!("{gateway}/api/orders?user_id=user123")).json["orders"].as_array().map_or(0, Vec::len)
    };
    while orders() < 5 {
        assert!(Instant::now() < end, "the load does not arrive");
    }
    up.signal("TERM");
    let (up, load) = (up.end(), load.end());
    assert_eq!(up.code, 0, "{up:?}");

    let report: serde_json::Value = serde_json::from_str(&load.out).unwrap();
    let answered = report["outcomes"]["completed"]["count"].as_i64().unwrap_or(0);
    let database =
        rusqlite::Connection::open(database(&folder.path().join("waypost-data"), "order")).unwrap();
    let count = |status: &str| -> i64 {
        let sql = "SELECT count(*) FROM orders WHERE status = ?1";
        database.query_row(sql, [status], |row| row.get(0)).unwrap()
    };
    assert!(count("completed") >= answered, "{answered} were answered, {} are there", count("completed"));
    assert_eq!((count("pending"), count("confirmed")), (0, 0), "what was accepted was finished");
}
