//! The other services fail, lose answers or are down: nothing is charged twice, nothing is dropped.

use crate::{
    fakes::{Act, Hold, Script},
    shop::{Neighbours, PATIENCE, Service, Shop, order_for},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tokio::sync::Semaphore;
use tonic::Code;
use waypost_api::order::v1::{
    Charge,
    OrderStatus::{Completed, Failed, Pending},
};
use waypost_api::payment::v1::PaymentState::{Captured, Refunded, Voided};
use waypost_api::{
    ErrorCode, OrderStatus,
    events::{ORDER_EVENTS_TOPIC, OrderEvent, OrderEventKind},
};
use waypost_durable::{Files, broker::Broker as _, clock::ManualClock};
use waypost_order::{
    Config,
    store::{SqliteStore, Store},
};
use waypost_settings as config;
use waypost_telemetry::{Telemetry, testing::TestTelemetry};

impl Shop {
    /// The script of the service that has this method.
    fn script_of(&self, method: &str) -> &Script {
        match method {
            "reserve" | "release" | "commit" => &self.inventory().script,
            _ => &self.payments().script,
        }
    }
}

#[tokio::test]
async fn a_payment_whose_answer_was_lost_is_asked_for_again_and_charged_once() {
    let shop = Shop::open().await;
    shop.payments().script.next("authorize", [Act::LosesTheAnswer]);
    shop.payments().script.next("capture", [Act::LosesTheAnswer]);
    let order = shop.service.order().await;
    assert_eq!(order.status(), Completed);
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().captures, 1);
    let calls = shop.payments().script.calls();
    assert_eq!(
        calls,
        ["authorize authorize:1", "authorize authorize:1", "capture capture:1", "capture capture:1"]
    );
}

#[tokio::test]
async fn each_step_that_is_done_twice_has_the_effect_of_once() {
    for step in ["reserve", "authorize", "capture", "commit"] {
        let shop = Shop::open().await;
        shop.script_of(step).next(step, [Act::LosesTheAnswer]);
        let order = shop.service.order().await;
        assert_eq!(order.status(), Completed, "{step}");
        assert_eq!(shop.script_of(step).count(step), 2, "{step}");
        assert_eq!(shop.payments().paid(&order.order_id).unwrap().captures, 1, "{step}");
        assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Committed), "{step}");
    }
}

#[tokio::test]
async fn each_step_that_is_refused_fails_the_order_and_leaves_nothing_behind() {
    for step in ["reserve", "authorize", "capture", "commit"] {
        let shop = Shop::open().await;
        shop.script_of(step).next(step, [Act::Refuse(ErrorCode::Forbidden)]);
        let order = shop.service.order().await;
        assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "forbidden"), "{step}");
        let paid = shop.payments().paid(&order.order_id);
        assert!(paid.is_none_or(|paid| matches!(paid.state, Voided | Refunded)), "{step}");
        assert_ne!(shop.inventory().hold(&order.order_id), Some(Hold::Committed), "{step}");
    }
}

#[tokio::test]
async fn each_undo_that_is_done_twice_has_the_effect_of_once() {
    for (undo, refused) in [("void", "capture"), ("release", "authorize"), ("refund", "commit")] {
        let shop = Shop::open().await;
        shop.script_of(refused).next(refused, [Act::Refuse(ErrorCode::Forbidden)]);
        shop.script_of(undo).next(undo, [Act::LosesTheAnswer]);
        let order = shop.service.order().await;
        assert_eq!(order.status(), Failed, "{undo}");
        assert_eq!(shop.script_of(undo).count(undo), 2, "{undo}");
    }
}

#[tokio::test]
async fn a_payment_that_stays_unknown_is_given_up_and_undone() {
    let shop = Shop::open().await;
    shop.payments().script.next("authorize", vec![Act::LosesTheAnswer; 3]);
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "payment_unknown"));
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Voided);
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Released));
}

#[tokio::test]
async fn a_state_of_a_later_version_is_not_asked_for_again_and_undone() {
    let shop = Shop::open().await;
    shop.payments().is_of_a_later_version.store(true, Ordering::Relaxed);
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "internal"));
    assert_eq!(shop.payments().script.calls(), ["authorize authorize:1", "void void:1"]);
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Voided);
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Released));
}

#[tokio::test]
async fn a_no_after_an_open_authorisation_voids_it() {
    let stray = vec![Act::Stray(Code::PermissionDenied); 2];
    let own = vec![Act::Refuse(ErrorCode::PaymentDeclined)];
    for (no, failure_code) in [(stray, "unavailable"), (own, "payment_declined")] {
        let shop = Shop::open().await;
        shop.payments().script.next("authorize", [vec![Act::LosesTheAnswer], no].concat());
        let order = shop.service.order().await;
        assert_eq!((order.status(), order.failure_code.as_str()), (Failed, failure_code));
        assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Voided, "{failure_code}");
        assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Released), "{failure_code}");
    }
}

#[tokio::test]
async fn a_no_of_something_before_the_service_fails_no_order() {
    for step in ["reserve", "authorize", "capture", "commit"] {
        for code in [Code::PermissionDenied, Code::Unimplemented, Code::NotFound, Code::FailedPrecondition] {
            let shop = Shop::open().await;
            shop.script_of(step).next(step, [Act::Stray(code)]);
            assert_eq!(shop.service.order().await.status(), Completed, "{step} {code:?}");
        }
    }
}

#[tokio::test]
async fn a_capture_that_got_through_before_its_refusal_is_given_back() {
    let shop = Shop::open().await;
    let acts = [Act::LosesTheAnswer, Act::Refuse(ErrorCode::PaymentConflict)];
    shop.payments().script.next("capture", acts);
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "payment_conflict"));
    let paid = shop.payments().paid(&order.order_id).unwrap();
    assert_eq!((paid.state, paid.captures), (Refunded, 1));
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Released));
}

#[tokio::test]
async fn stock_that_was_taken_before_its_refusal_is_delivered() {
    let shop = Shop::open().await;
    shop.inventory().script.next("commit", [Act::LosesTheAnswer, Act::Refuse(ErrorCode::Forbidden)]);
    let order = shop.service.order().await;
    assert_eq!(order.status(), Completed);
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Captured);
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Committed));
}

#[tokio::test]
async fn an_order_waits_for_a_payment_service_that_restarts() {
    let mut neighbours = Neighbours::start();
    let address = neighbours.move_payments();
    let service = Service::start(&neighbours.config(), &Files::Ephemeral).await;
    let restarting = async {
        // More failures than the three tries of a step.
        service.ended("waypost.payment.v1.PaymentService/Authorize", 5).await;
        neighbours.start_payments_at(address);
    };
    let (order, ()) = tokio::join!(service.order(), restarting);
    assert_eq!(order.status(), Completed);
    assert_eq!(neighbours.payments.script.count("authorize"), 1);
}

#[tokio::test]
async fn from_the_capture_on_an_order_is_never_given_up() {
    let shop = Shop::open().await;
    shop.payments().script.next("capture", vec![Act::LosesTheAnswer; 4]);
    shop.inventory().script.next("commit", vec![Act::LosesTheAnswer; 4]);
    let order = shop.service.order().await;
    assert_eq!(order.status(), Completed);
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().captures, 1);
}

#[tokio::test]
async fn a_capture_that_is_refused_turns_the_order_back() {
    let shop = Shop::open().await;
    shop.payments().script.next("capture", [Act::Refuse(ErrorCode::PaymentConflict)]);
    let order = shop.service.order().await;
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "payment_conflict"));
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Voided);
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Released));
    assert_eq!(order.version, 3);
}

#[tokio::test]
async fn an_undo_that_keeps_failing_is_parked_and_tried_again_until_it_succeeds() {
    let shop = Shop::open().await;
    shop.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
    // Three tries park it, the first one after that fails as well.
    shop.payments().script.next("void", vec![Act::LosesTheAnswer; 4]);
    let order = shop.service.order().await;
    assert_eq!(order.status(), Pending, "parked: not settled, not dropped");
    let order = shop.service.reaches(&order.order_id, Failed).await;
    assert_eq!(order.failure_code, "out_of_stock");
    assert_eq!(shop.payments().script.count("void"), 5);
}

#[tokio::test]
async fn a_hold_that_ran_out_after_the_capture_is_taken_anew() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.inventory().script.next("commit", [Act::Waits(Arc::clone(&gate))]);
    let running_out = async {
        shop.inventory().script.called("commit").await;
        shop.inventory().expire_all();
        // The customer has paid: the new price is not theirs.
        *shop.inventory().price.lock().unwrap() = 599_950;
        gate.add_permits(1);
    };
    let (order, ()) = tokio::join!(shop.service.order(), running_out);
    assert_eq!(order.status(), Completed);
    assert_eq!(shop.inventory().hold(&order.order_id), Some(Hold::Committed));
    let calls = shop.inventory().script.calls();
    assert!(calls.contains(&"reserve reserve:2".to_owned()), "{calls:?}");
}

#[tokio::test]
async fn a_customer_whose_stock_is_gone_after_the_capture_gets_the_money_back() {
    let shop = Shop::open().await;
    let gate = Arc::new(Semaphore::new(0));
    shop.inventory().script.next("commit", [Act::Waits(Arc::clone(&gate))]);
    let running_out = async {
        shop.inventory().script.called("commit").await;
        shop.inventory().expire_all();
        shop.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
        gate.add_permits(1);
    };
    let (order, ()) = tokio::join!(shop.service.order(), running_out);
    assert_eq!((order.status(), order.failure_code.as_str()), (Failed, "out_of_stock"));
    assert_eq!(shop.payments().paid(&order.order_id).unwrap().state, Refunded);
    assert_eq!(order.charge(), Charge::Refunded, "what the customer is told follows from it");
}

/// Two processes over one store, by a clock that stands until the test moves it, and an order of the first one whose
/// payment waits.
struct TwoProcesses {
    neighbours: Neighbours,
    first: Service,
    second: Service,
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
    hand: ManualClock,
    gate: Arc<Semaphore>,
}

/// Leases run by the clock of the store, which the test moves; when they are renewed, by time that passes.
const LEASE: config::Duration = config::Duration::from_millis(300);
const OFTEN: config::Duration = config::Duration::from_millis(5);
const NEVER: config::Duration = config::Duration::from_secs(3600);

impl TwoProcesses {
    fn start(sweeps: [config::Duration; 2]) -> TwoProcesses {
        TwoProcesses::start_waiting_for(&["authorize"], sweeps)
    }

    /// The first call of each of these methods waits. `sweeps`: how often each process looks after leases.
    fn start_waiting_for(methods: &[&'static str], sweeps: [config::Duration; 2]) -> TwoProcesses {
        let neighbours = Neighbours::start();
        let gate = Arc::new(Semaphore::new(0));
        for method in methods {
            let script =
                if *method == "commit" { &neighbours.inventory.script } else { &neighbours.payments.script };
            script.next(method, [Act::Waits(Arc::clone(&gate))]);
        }
        let hand = ManualClock::at(SystemTime::now());
        let folder = tempfile::tempdir().unwrap();
        let files = Files::Folder(folder.path().to_owned());
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_by(&files, &Telemetry::disabled(), hand.clock()).unwrap());
        let process = |sweep_interval| {
            let config = Config { lease: LEASE, sweep_interval, ..neighbours.config() };
            let telemetry = TestTelemetry::new("order-service");
            Service::by_clock(&config, telemetry, Arc::clone(&store), hand.clock())
        };
        let [first, second] = sweeps.map(process);
        TwoProcesses { neighbours, first, second, store, folder, hand, gate }
    }

    fn pass(&self, time: Duration) {
        self.hand.advance(time);
    }

    /// When the lease of the one order ends.
    fn lease_until(&self) -> i64 {
        let file = rusqlite::Connection::open(self.folder.path().join("order.db")).unwrap();
        file.query_row("SELECT lease_until FROM orders", (), |row| row.get(0)).unwrap()
    }
}

#[tokio::test]
async fn an_order_of_a_process_that_shows_no_life_is_taken_over_and_charged_once() {
    // The first process never looks after its leases, as if it were stopped.
    let shop = TwoProcesses::start([NEVER, OFTEN]);
    let taken_over = async {
        shop.neighbours.payments.script.called("authorize").await;
        shop.pass(LEASE.get());
        shop.second.ended("complete-order", 1).await;
        shop.gate.add_permits(1);
    };
    let (created, ()) = tokio::join!(shop.first.create(order_for("user123")), taken_over);
    let id = created.unwrap().order.unwrap().order_id;
    assert_eq!(shop.second.reaches(&id, Completed).await.version, 3);
    assert_eq!(shop.neighbours.payments.paid(&id).unwrap().captures, 1);
    assert_eq!(
        shop.neighbours.payments.script.count("capture"),
        1,
        "the first one was fenced before its capture"
    );
}

#[tokio::test]
async fn a_runner_that_others_know_as_replaced_stops() {
    // The first process never looks after its leases, as if it were stopped, and wakes up with its commit on its way.
    let shop = TwoProcesses::start_waiting_for(&["commit"], [NEVER, OFTEN]);
    let stock = &shop.neighbours.inventory.script;
    let taken_over = async {
        stock.called("commit").await;
        shop.pass(LEASE.get());
        shop.second.ended("complete-order", 1).await;
        shop.gate.add_permits(1);
    };
    let (created, ()) = tokio::join!(shop.first.create(order_for("user123")), taken_over);
    let id = created.unwrap().order.unwrap().order_id;
    assert_eq!(shop.second.reaches(&id, Completed).await.version, 3);
    shop.first.ended("commit-stock", 1).await;
    assert_eq!((stock.epoch(&id), shop.neighbours.payments.script.epoch(&id)), (2, 2));
    // Neither a business no, after which it would give the stock up, nor something to try again.
    assert_eq!((stock.count("commit"), stock.count("release")), (2, 0), "{:?}", stock.calls());
}

#[tokio::test]
async fn a_runner_whose_lease_was_taken_stops_before_its_next_step() {
    let shop = TwoProcesses::start([OFTEN, NEVER]);
    let taken_away = async {
        shop.neighbours.payments.script.called("authorize").await;
        // Its own runner may renew the lease in between; the call that waits is never answered.
        let is_taken = async || {
            shop.pass(LEASE.get());
            let Some(order) = shop.store.unfinished(1).await.unwrap().pop() else { return false };
            let taken = shop.store.take_over(order.id, "elsewhere".to_owned(), LEASE.get() * 1000).await;
            taken.unwrap().is_some()
        };
        while !is_taken().await {}
    };
    let (created, ()) = tokio::join!(shop.first.create(order_for("user123")), taken_away);
    assert_eq!(created.unwrap().order.unwrap().status(), Pending);
    let calls = shop.neighbours.payments.script.calls();
    assert_eq!(calls, ["authorize authorize:1"], "nothing was tried again, captured or undone");
}

#[tokio::test]
async fn an_order_that_takes_longer_than_a_lease_stays_with_its_process() {
    let shop = TwoProcesses::start([OFTEN, OFTEN]);
    let outlives_its_lease = async {
        shop.neighbours.payments.script.called("authorize").await;
        for _ in 0..5 {
            let before = shop.lease_until();
            shop.pass(LEASE.get() / 2);
            let renewed = async {
                while shop.lease_until() <= before {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, renewed).await.expect("the lease must be renewed");
        }
        shop.gate.add_permits(1);
    };
    let (created, ()) = tokio::join!(shop.first.create(order_for("user123")), outlives_its_lease);
    assert_eq!(created.unwrap().order.unwrap().status(), Completed);
    assert!(shop.second.telemetry.finished_spans().iter().all(|span| span.name() != "resume-order"));
}

#[tokio::test]
async fn an_inventory_that_is_down_when_an_order_comes_in_is_unavailable() {
    let shop = Shop::open().await;
    shop.inventory().script.next("check_stock", [Act::IsDown]);
    let refused = shop.service.create(order_for("user123")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert_eq!(shop.service.order().await.status(), Completed);
}

#[tokio::test]
async fn every_settled_order_is_told_once_with_its_trace() {
    let shop = Shop::open().await;
    let completed = shop.service.order().await;
    shop.payments().script.next("authorize", [Act::Refuse(ErrorCode::PaymentDeclined)]);
    let failed = shop.service.order().await;

    let mut consumer = shop.service.broker.subscribe("test", ORDER_EVENTS_TOPIC).await.unwrap();
    let mut events = Vec::new();
    let receiving = async {
        while events.len() < 2 {
            for delivery in consumer.poll(10, PATIENCE).await.unwrap().records {
                let event: OrderEvent = serde_json::from_slice(&delivery.record.payload).unwrap();
                assert_eq!(delivery.record.key, event.order_id.as_str());
                let traceparent = delivery.record.headers.iter().find(|(name, _)| name == "traceparent");
                events.push((event, String::from_utf8(traceparent.unwrap().1.clone()).unwrap()));
            }
        }
    };
    tokio::time::timeout(PATIENCE, receiving).await.expect("the events must come");
    events.sort_by_key(|(event, _)| event.occurred_at);
    for (order, (event, traceparent)) in [completed, failed].iter().zip(&events) {
        assert_eq!(event.order_id.as_str(), order.order_id);
        assert_eq!(event.version, order.version);
        assert!(traceparent.contains(&order.trace_id), "{traceparent}");
    }
    assert_eq!((events[0].0.kind, events[0].0.status), (OrderEventKind::Completed, OrderStatus::Completed));
    assert_eq!(events[1].0.failure_code, Some(ErrorCode::PaymentDeclined));
}
