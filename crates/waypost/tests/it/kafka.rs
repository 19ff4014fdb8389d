//! Roles in processes of their own over a real Kafka, and what is said when it cannot be used.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};
use waypost_durable::broker::partition_of;
use waypost_telemetry::FinishedSpan;
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_test_servers::kafka::Topics;
use waypost_test_servers::own_kafka::OwnKafka;
use waypost_testkit::{Answer, Behaviour, Collector, database};

use super::http::{get, post_with};
use super::program::{PATIENCE, Program, ended};
use super::run::{address_of, run};

const ORDER: &str = r#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;
const SERVICES: [&str; 6] = ["gateway", "order", "user", "inventory", "payment", "provider"];

/// `waypost run` over the Kafka at this address, with names of its own there.
fn run_over(address: &str, prefix: &str, folder: &Path, roles: &[&str]) -> Command {
    let mut command = run(folder, roles);
    command
        .env("WAYPOST_BROKER__KIND", "kafka")
        .env("WAYPOST_BROKER__KAFKA__BROKERS", address)
        .env("WAYPOST_BROKER__KAFKA__PREFIX", prefix)
        .env("WAYPOST_BROKER__KAFKA__SESSION_TIMEOUT", "6s")
        .env("WAYPOST_GATEWAY__AUTH", "demo");
    command
}

/// Everything but notifications in one process, notifications in another, each with a data folder of its own: nothing
/// leads from one to the other but Kafka.
struct Shop {
    services: Program,
    notification: Program,
    gateway: String,
    admin: String,
    folders: [TempDir; 2],
}

impl Shop {
    fn start(address: &str, prefix: &str, export: Option<&str>) -> Self {
        Self::start_in([tempdir().unwrap(), tempdir().unwrap()], |folder, roles| {
            let mut command = run_over(address, prefix, folder, roles);
            if let Some(endpoint) = export {
                command.env_remove("OTEL_TRACES_EXPORTER").env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
            }
            command
        })
    }

    /// In these folders, the services in the first one.
    fn start_in(folders: [TempDir; 2], command: impl Fn(&Path, &[&str]) -> Command) -> Self {
        let command = |folder: &TempDir, roles: &[&str]| command(folder.path(), roles);
        let mut services = Program::start(&mut command(&folders[0], &SERVICES));
        let mut notification = Program::start(&mut command(&folders[1], &["notification"]));
        let (gateway, admin) = (address_of(&mut services, "gateway"), address_of(&mut services, "admin"));
        services.line_with("\"ready\"");
        notification.line_with("\"ready\"");
        Self { services, notification, gateway, admin, folders }
    }

    fn order(&self, key: &str) -> Answer {
        post_with(&format!("http://{}/api/orders", self.gateway), &[("Idempotency-Key", key)], ORDER)
    }

    /// Orders and returns the order's id.
    fn completed(&self, key: &str) -> String {
        let answer = self.order(key);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json["order_id"].as_str().unwrap().to_owned()
    }

    /// Whether every part of the process with the services lives, and what is said of them.
    fn assert_that_all_live(&self) {
        for path in ["livez", "readyz?verbose"] {
            let answer = get(&format!("http://{}/{path}", self.admin));
            assert_eq!(answer.status, 200, "{answer:?}");
            // A warning quotes the broker's client, and may be a moment old.
            assert!(!answer.text().lines().any(|line| line.starts_with("failed ")), "{answer:?}");
        }
    }

    /// Ends both processes in order and returns how many notifications each order has.
    fn notifications(self, orders: &[String]) -> Vec<i64> {
        for program in [self.services, self.notification] {
            program.signal("TERM");
            let ended = program.end();
            assert_eq!(ended.code, 0, "{ended:?}");
        }
        let database = database(&self.folders[1].path().join("waypost-data"), "notification");
        let database = rusqlite::Connection::open(database).unwrap();
        let count = |order: &String| {
            let query = "SELECT count(*) FROM notifications WHERE order_id = ?1";
            database.query_row(query, [order], |row| row.get(0)).unwrap()
        };
        orders.iter().map(count).collect()
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_one_trace_over_kafka_and_one_notification() {
    let topics = Topics::own();
    let collector = Collector::start(Behaviour::Takes).unwrap();
    let mut shop = Shop::start(topics.bootstrap(), &topics.name(""), Some(&collector.endpoint()));
    let order = shop.completed("kafka-1");
    shop.notification.line_with(&order);
    shop.assert_that_all_live();
    until("both ends", || {
        ["send order-events", "process order-events"].iter().all(|name| collector.count_of(name) == 1)
    });
    let sent = collector.spans().into_iter().find(|span| span.name() == "send order-events").unwrap();
    let trace_id = sent.trace_id().to_string();
    let mut trace = Vec::new();
    until("every other span's parent in the trace, below one root", || {
        trace = collector.trace(&trace_id);
        let is_top =
            |span: &&FinishedSpan| !trace.iter().any(|other| Some(other.span_id()) == span.parent_id());
        let tops: Vec<&str> = trace.iter().filter(is_top).map(FinishedSpan::name).collect();
        tops == ["POST /api/orders"] && trace.iter().any(|span| span.name() == "process order-events")
    });
    let received = trace.iter().find(|span| span.name() == "process order-events").unwrap();
    assert_eq!((sent.kind(), received.kind()), (SpanKind::Producer, SpanKind::Consumer));
    assert_eq!(received.parent_id(), Some(sent.span_id()));
    for span in [&sent, received] {
        assert_eq!(span.attribute("messaging.system").map(ToString::to_string).as_deref(), Some("kafka"));
    }
    assert_eq!(shop.notifications(&[order]), [1]);
}

#[test]
fn orders_are_taken_while_kafka_is_away_and_their_events_come_later() {
    let mut kafka = OwnKafka::start();
    kafka.kill();
    let mut shop = Shop::start(&kafka.address(), "away.", None);
    let mut orders = vec![shop.completed("away-1")];
    let admin = shop.admin.clone();
    until("it is said", || {
        let said = get(&format!("http://{admin}/readyz?verbose"));
        said.text().contains("no broker answers at")
    });
    kafka.start_again();
    shop.notification.line_with(&orders[0]);
    orders.push(shop.completed("away-2"));
    shop.notification.line_with(&orders[1]);
    // And once more, under way.
    kafka.kill();
    orders.push(shop.completed("away-3"));
    kafka.start_again();
    shop.notification.line_with(&orders[2]);
    shop.assert_that_all_live();
    assert_eq!(shop.notifications(&orders), [1, 1, 1]);
}

/// Half of the partitions have their only copy on a second broker, which is killed.
#[test]
fn orders_are_taken_while_partitions_have_no_leader_and_the_others_go_on() {
    let mut kafka = OwnKafka::start();
    // The first consumer group makes the topic of all offsets, which has to be where the controller is.
    let mut before = Shop::start(&kafka.address(), "before.", None);
    let order = before.completed("leader-0");
    before.notification.line_with(&order);
    assert_eq!(before.notifications(&[order]), [1]);
    let second = kafka.add_broker();
    let mut shop = Shop::start(&kafka.address(), "leader.", None);
    let mut orders = vec![shop.completed("leader-1")];
    shop.notification.line_with(&orders[0]);
    kafka.kill_node(second);
    let partitions =
        |orders: &[String]| -> BTreeSet<u32> { orders.iter().map(|order| partition_of(order, 4)).collect() };
    let mut waiting = Vec::new();
    while partitions(&waiting).len() < 4 {
        waiting.push(shop.completed(&format!("leader-{}", waiting.len() + 2)));
    }
    let told = |shop: &Shop| -> Vec<String> {
        let seen = shop.notification.seen();
        waiting.iter().filter(|order| seen.contains(*order)).cloned().collect()
    };
    until("the events of half the partitions", || partitions(&told(&shop)).len() == 2);
    let (led, told_early) = (partitions(&told(&shop)), told(&shop).len());
    assert!(told_early < waiting.len(), "the others wait");
    kafka.start_node(second);
    until("all events", || told(&shop).len() == waiting.len());
    println!("{told_early} of {} orders were told of while {led:?} alone had leaders", waiting.len());
    shop.assert_that_all_live();
    orders.extend(waiting);
    let once = vec![1; orders.len()];
    assert_eq!(shop.notifications(&orders), once);
}

#[test]
fn a_drain_without_kafka_ends_and_its_events_come_after_the_next_start() {
    let mut kafka = OwnKafka::start();
    let shop = Shop::start(&kafka.address(), "drain.", None);
    kafka.kill();
    let order = shop.completed("drain-1");
    let Shop { services, mut notification, folders, .. } = shop;
    services.signal("TERM");
    let ended = services.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    kafka.start_again();
    let again = run_over(&kafka.address(), "drain.", folders[0].path(), &["order"]).spawn();
    let mut again = again.unwrap();
    notification.line_with(&order);
    again.kill().unwrap();
    again.wait().unwrap();
    notification.signal("TERM");
    let ended = notification.end();
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// Its database refuses every notification until the trigger is gone; that is no fault of the database itself, so it is taken
/// for one of the event.
#[test]
fn an_event_in_a_retry_topic_outlives_its_consumer_and_is_told_once() {
    let topics = Topics::own();
    let prefix = topics.name("");
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let command = |pauses: &str, folder: &Path, roles: &[&str]| {
        let mut command = run_over(topics.bootstrap(), &prefix, folder, roles);
        command
            .env("WAYPOST_BROKER__RETRY__KIND", "topics")
            .env("WAYPOST_BROKER__RETRY__PAUSES", pauses)
            .env("WAYPOST_NOTIFICATION__ATTEMPTS", "2");
        command
    };
    let notification_folder = folders[1].path().to_owned();
    // As the role, which runs by itself, has it.
    let migrate = ["migrate", "--set", "storage.files=per-role"];
    assert_eq!(ended(super::program::waypost(&notification_folder).args(migrate)).code, 0);
    let on_notifications = |statement: &str| {
        let database = database(&notification_folder.join("waypost-data"), "notification");
        rusqlite::Connection::open(database).unwrap().execute_batch(statement).unwrap();
    };
    on_notifications(
        "CREATE TRIGGER poison BEFORE INSERT ON notifications BEGIN SELECT raise(ABORT, 'poisoned'); END",
    );
    let mut shop = Shop::start_in(folders, |folder, roles| command("[\"1h\", \"1h\"]", folder, roles));
    let mut orders = vec![shop.completed("retry-1")];
    shop.notification.line_with("waits in order-events.retry.1");
    shop.notification.signal("KILL");
    on_notifications("DROP TRIGGER poison");
    orders.push(shop.completed("retry-2"));
    let mut again = command("[\"10ms\", \"1h\"]", &notification_folder, &["notification"]);
    let killed = std::mem::replace(&mut shop.notification, Program::start(&mut again));
    assert_ne!(killed.end().code, 0);
    shop.notification.line_with(&orders[0]);
    until("both orders are told", || orders.iter().all(|order| shop.notification.seen().contains(order)));
    assert_eq!(shop.notifications(&orders), [1, 1]);
}

#[test]
fn an_address_where_no_kafka_is_is_named_and_orders_are_taken() {
    let shop = Shop::start("127.0.0.1:9", "", None);
    shop.completed("nowhere-1");
    assert!(shop.services.seen().contains("no broker answers at 127.0.0.1:9"), "{}", shop.services.seen());
}

#[test]
fn topics_that_may_not_be_made_are_named() {
    let (topics, folder) = (Topics::own(), tempdir().unwrap());
    let mut command = run_over(topics.bootstrap(), &topics.name(""), folder.path(), &["notification"]);
    command.env("WAYPOST_BROKER__KAFKA__CREATE_TOPICS", "false");
    let mut program = Program::start(&mut command);
    let line = program.line_with("Kafka cannot be used yet");
    assert!(line.contains(&format!("topic {} does not exist", topics.name("order-events"))), "{line}");
}

#[test]
fn a_wrong_password_ends_the_start_with_what_is_wrong() {
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_shop=\"open\";";
    let properties = [
        ("sasl.enabled.mechanisms", "PLAIN".to_owned()),
        ("listener.name.sasl_plaintext.plain.sasl.jaas.config", plain.to_owned()),
    ];
    let kafka = OwnKafka::with_listeners(&["SASL_PLAINTEXT"], &properties, &[]);
    let folder = tempdir().unwrap();
    let password = folder.path().join("password");
    let with_password = |text: &str| {
        fs::write(&password, text).unwrap();
        let mut command = run_over(&kafka.listener(1), "", folder.path(), &["notification"]);
        command
            .env("WAYPOST_BROKER__KAFKA__SASL__MECHANISM", "plain")
            .env("WAYPOST_BROKER__KAFKA__SASL__USER", "shop")
            .env("WAYPOST_BROKER__KAFKA__SASL__PASSWORD_FILE", &password);
        command
    };
    let refused = ended(&mut with_password("wrong"));
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.err.contains("does not let this program in"), "{}", refused.err);
    assert!(!refused.err.contains("wrong\""), "the password is not shown: {}", refused.err);

    let mut let_in = Program::start(&mut with_password("open\n"));
    let_in.line_with("\"ready\"");
    assert!(!let_in.seen().contains("cannot be used"), "{}", let_in.seen());
}

#[test]
fn what_is_wrong_about_kafka_in_the_configuration_is_named_at_once() {
    let folder = tempdir().unwrap();
    let text = "[broker]\nkind = \"kafka\"\n[broker.kafka]\nbrokers = \"kafka\"\nprefix = \"a b\"\npublish_timeout = \"9s\"\n\
                poll_timeout = \"1s\"\n[broker.kafka.tls]\nca_file = \"ca.pem\"\n[broker.kafka.sasl]\nmechanism = \"plain\"\n";
    fs::write(folder.path().join("waypost.toml"), text).unwrap();
    let refused = ended(super::program::waypost(folder.path()).args(["config", "check"]));
    assert_eq!(refused.code, 64, "{refused:?}");
    for key in ["brokers", "prefix", "publish_timeout", "poll_timeout", "tls.enabled", "sasl.mechanism"] {
        assert!(refused.err.contains(&format!("broker.kafka.{key}")), "{key}: {}", refused.err);
    }
}

#[test]
fn a_certificate_that_cannot_be_read_ends_the_start() {
    let folder = tempdir().unwrap();
    let mut command = run_over("127.0.0.1:9", "", folder.path(), &["notification"]);
    command
        .env("WAYPOST_BROKER__KAFKA__TLS__ENABLED", "true")
        .env("WAYPOST_BROKER__KAFKA__TLS__CA_FILE", "/no/such/ca.pem");
    let refused = ended(&mut command);
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.err.contains("/no/such/ca.pem"), "{}", refused.err);
}
