//! Where trust changes, and where the way is asynchronous.

use http::StatusCode;
use waypost_telemetry::testing::checks;
use waypost_test_servers::free_port;
use waypost_testkit::{Process, program, until};

use crate::{Traced, seed_order, trace_of};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_callers_trace_is_linked_and_not_continued_and_its_baggage_goes_nowhere() {
    let traced = Traced::start().await;
    let headers =
        [("traceparent", CALLER), ("tracestate", "vendor=1"), ("baggage", "canary=stowaway,tenant.id=evil")];
    let answer = traced.post("/api/orders", &headers, &seed_order()).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let trace = trace_of(&answer);
    assert_ne!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    let spans = traced.trace_with(&trace, "process order-events").await;
    let root = spans.iter().find(|span| span.name() == "POST /api/orders").unwrap();
    assert_eq!(root.parent_id(), None);
    let linked: Vec<String> =
        root.links().iter().map(|link| link.span_context().trace_id().to_string()).collect();
    assert_eq!(linked, ["4bf92f3577b34da6a3ce929d0e0e4736"]);
    let everything = format!("{spans:?}");
    // Words that no id and no time can hold by chance.
    for canary in ["stowaway", "canary", "evil", "vendor=1"] {
        assert!(!everything.contains(canary), "{canary} got in");
    }
}

#[tokio::test]
async fn a_callers_trace_is_continued_when_configured() {
    let traced = Traced::with(|shop| shop.set("gateway.continue_traces", true)).await;
    let answer = traced.post("/api/orders", &[("traceparent", CALLER)], &seed_order()).await;
    assert_eq!(trace_of(&answer), "4bf92f3577b34da6a3ce929d0e0e4736");
    until("the whole trace", async || {
        let spans = traced.collector.trace("4bf92f3577b34da6a3ce929d0e0e4736");
        spans.iter().any(|span| span.name() == "process order-events")
            && spans.iter().any(|span| span.name() == "POST /api/orders")
    })
    .await;
    let spans = traced.collector.trace("4bf92f3577b34da6a3ce929d0e0e4736");
    let root = spans.iter().find(|span| span.name() == "POST /api/orders").unwrap();
    assert_eq!(root.parent_id().unwrap().to_string(), "00f067aa0ba902b7");
    assert!(root.parent_is_remote());
}

/// Two processes on one data folder: everything but notification in one, notification in another that starts late.
#[tokio::test]
async fn an_event_waits_while_notification_is_down_and_then_joins_the_orders_trace() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let collector = waypost_testkit::Collector::start(waypost_testkit::Behaviour::Takes).unwrap();
    let run = |roles: &[&str], flags: &[(&str, &str)]| {
        let mut command = program::command(env!("CARGO_BIN_EXE_waypost"), folder.path());
        command.env("OTEL_BSP_SCHEDULE_DELAY", "20").arg("run").args(roles);
        command.arg("--data").arg(&data).args(["--export", &collector.endpoint()]);
        command.args(flags.iter().flat_map(|(name, value)| [name, value]));
        Process::start(&mut command).unwrap()
    };
    let ports = [(); 7].map(|()| free_port());
    let at = |index: usize| format!("127.0.0.1:{}", ports[index]);
    let addresses: Vec<String> = (0..7).map(at).collect();
    let mut shop = run(
        &["gateway", "order", "user", "inventory", "payment", "provider"],
        &[
            ("--gateway", &addresses[0]),
            ("--order", &addresses[1]),
            ("--user", &addresses[2]),
            ("--inventory", &addresses[3]),
            ("--payment", &addresses[4]),
            ("--provider", &addresses[5]),
            ("--admin", &addresses[6]),
            ("--set", "gateway.auth=demo"),
            ("--set", "gateway.require_idempotency_key=false"),
            ("--set", "user.seed=true"),
            ("--set", "inventory.seed=true"),
        ],
    );
    let gateway = waypost_testkit::Client::new(addresses[0].parse().unwrap());
    shop.line("the gateway's address", |line| line.contains(&addresses[0]).then_some(())).await.unwrap();
    let mut answer = None;
    until("an order", async || {
        answer =
            gateway.post("/api/orders", &[], &seed_order()).await.ok().filter(|answer| answer.status == 201);
        answer.is_some()
    })
    .await;
    let trace = trace_of(&answer.unwrap());
    until("the sent event", async || {
        collector.trace(&trace).iter().any(|span| span.name() == "send order-events")
    })
    .await;
    assert!(!collector.trace(&trace).iter().any(|span| span.name() == "process order-events"));

    let admin = format!("127.0.0.1:{}", free_port());
    let notification = run(&["notification"], &[("--admin", &admin)]);
    until("the message", async || {
        let spans = collector.trace(&trace);
        spans.iter().any(|span| span.name() == "process order-events") && checks::problems(&spans).is_empty()
    })
    .await;
    assert!(notification.interrupt().await.unwrap().status.success());
    assert!(shop.interrupt().await.unwrap().status.success());
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_a_problem_in_the_whole_shop_too() {
    let traced = Traced::start().await;
    for path in ["/", "/nope", "/api/products"] {
        let answer = traced.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.json["code"], "not_found", "{path}: {}", answer.json);
    }
}
