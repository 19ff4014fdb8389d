//! The process dies: before and after each write, and in the middle of each call. The order is resumed from its file
//! and comes to the end that it would have come to (I5, I7, I10, I14).

use crate::{
    around::store_around,
    fakes::{Act, FakeInventory, FakePayments, Hold},
    shop::{Neighbours, PATIENCE, Service, code, with_key},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};
use waypost_api::ErrorCode;
use waypost_api::order::v1::OrderStatus::{Cancelled, Completed};
use waypost_api::payment::v1::PaymentState::Voided;
use waypost_durable::Files;
use waypost_order::{
    domain::Viewer,
    store::{Answer, Cancelling, Placed, Placement, Progress, SqliteStore, Store},
};
use waypost_telemetry::testing::TestTelemetry;

/// Before or after a write that changes an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// A store whose n-th write never returns: the place where the process is killed.
#[derive(Debug)]
struct Deadly {
    store: Arc<dyn Store>,
    /// Writes left until then.
    left: Mutex<usize>,
    moment: Moment,
    reached: Arc<Semaphore>,
}

impl Deadly {
    fn write<'a, T: Send + 'a>(&'a self, write: Answer<'a, T>) -> Answer<'a, T> {
        let is_last = {
            let mut left = self.left.lock().unwrap();
            let is_last = *left == 0;
            *left = left.wrapping_sub(1);
            is_last
        };
        if !is_last {
            return write;
        }
        Box::pin(async move {
            if self.moment == Moment::After {
                let _written = write.await;
            }
            self.reached.add_permits(1);
            std::future::pending().await
        })
    }
}

store_around!(Deadly, store, {
    fn place(&self, placement: Placement) -> Answer<'_, Placed> {
        self.write(self.store.place(placement))
    }

    fn advance(&self, progress: Progress) -> Answer<'_, bool> {
        self.write(self.store.advance(progress))
    }
});

/// The neighbours live on; the order service dies and comes back.
struct World {
    neighbours: Neighbours,
    around: Runtime,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let around = runtime();
        let neighbours = around.block_on(async { Neighbours::start() });
        World { neighbours, around, folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> Files {
        Files::Folder(self.folder.path().to_path_buf())
    }

    /// Places an order in a process that is killed at its n-th write.
    fn die_at_write(&self, write: usize, moment: Moment) {
        let reached = Arc::new(Semaphore::new(0));
        let process = runtime();
        process.block_on(async {
            let telemetry = TestTelemetry::new("order-service");
            let store = Arc::new(SqliteStore::open(&self.data(), &telemetry).unwrap());
            let deadly = Deadly { store, left: Mutex::new(write), moment, reached: Arc::clone(&reached) };
            let service = Service::over(&self.neighbours.config(), telemetry, Arc::new(deadly));
            self.create_until(&service, async { drop(reached.acquire().await.unwrap()) }).await;
        });
        process.shutdown_timeout(Duration::ZERO);
    }

    /// Places an order in a process that is killed while this call waits for its answer.
    fn die_in_call(&self, method: &'static str) {
        let is_payment = matches!(method, "authorize" | "capture" | "void");
        let script =
            if is_payment { &self.neighbours.payments.script } else { &self.neighbours.inventory.script };
        script.next(method, [Act::Hangs]);
        let process = runtime();
        process.block_on(async {
            let telemetry = TestTelemetry::new("order-service");
            let store = Arc::new(SqliteStore::open(&self.data(), &telemetry).unwrap());
            let service = Service::over(&self.neighbours.config(), telemetry, store);
            self.create_until(&service, script.called(method)).await;
        });
        process.shutdown_timeout(Duration::ZERO);
    }

    async fn create_until(&self, service: &Service, killed: impl Future<Output = ()>) {
        tokio::select! {
            created = service.create(with_key("k1", 1)) => panic!("answered before the crash: {created:?}"),
            killed = tokio::time::timeout(PATIENCE, killed) => killed.expect("the crash must come"),
        }
    }

    /// Starts the service on the same file and asks again with the same key until there is an answer.
    fn restart(&self) -> (Service, waypost_api::order::v1::Order) {
        self.around.block_on(async {
            let service = Service::start(&self.neighbours.config(), &self.data()).await;
            let asking = async {
                loop {
                    match service.create(with_key("k1", 1)).await {
                        Ok(created) => return created.order.unwrap(),
                        Err(refused) => assert_eq!(refused.code, ErrorCode::IdempotencyKeyInUse),
                    }
                }
            };
            let order = tokio::time::timeout(PATIENCE, asking).await.expect("the order must come to its end");
            (service, order)
        })
    }

    fn inventory(&self) -> &FakeInventory {
        &self.neighbours.inventory
    }

    fn payments(&self) -> &FakePayments {
        &self.neighbours.payments
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn an_order_survives_a_crash_at_each_write() {
    for write in 0..3 {
        for moment in [Moment::Before, Moment::After] {
            let world = World::new();
            world.die_at_write(write, moment);
            let (_service, order) = world.restart();
            assert_eq!(order.status(), Completed, "write {write}, {moment:?}");
            assert_eq!(world.payments().paid(&order.order_id).unwrap().captures, 1);
            assert_eq!(world.inventory().hold(&order.order_id), Some(Hold::Committed));
            assert_eq!(world.payments().charged(), 1, "write {write}, {moment:?}");
        }
    }
}

#[test]
fn an_order_that_turns_back_survives_a_crash_at_each_write() {
    for write in 1..3 {
        for moment in [Moment::Before, Moment::After] {
            let world = World::new();
            // Refused again when it is asked again.
            world.payments().script.next("authorize", vec![Act::Refuse(ErrorCode::PaymentDeclined); 2]);
            world.die_at_write(write, moment);
            let (_service, order) = world.restart();
            assert_eq!(order.failure_code, "payment_declined", "write {write}, {moment:?}");
            assert_eq!(world.inventory().hold(&order.order_id), Some(Hold::Released));
            assert_eq!(world.payments().charged(), 0);
        }
    }
}

#[test]
fn an_order_survives_a_crash_in_the_middle_of_each_call() {
    for method in ["reserve", "authorize", "capture", "commit"] {
        let world = World::new();
        world.die_in_call(method);
        let (_service, order) = world.restart();
        assert_eq!(order.status(), Completed, "{method}");
        assert_eq!(world.payments().paid(&order.order_id).unwrap().captures, 1, "{method}");
        assert_eq!(world.inventory().hold(&order.order_id), Some(Hold::Committed), "{method}");
    }
}

#[test]
fn an_order_that_turns_back_survives_a_crash_in_the_middle_of_its_undo() {
    let world = World::new();
    world.inventory().script.next("reserve", [Act::Refuse(ErrorCode::OutOfStock)]);
    world.die_in_call("void");
    let (_service, order) = world.restart();
    assert_eq!(order.failure_code, "out_of_stock");
    assert_eq!(world.payments().paid(&order.order_id).unwrap().state, Voided);
    assert_eq!(world.inventory().script.count("reserve"), 1, "what turned back does not run forward");
}

#[test]
fn a_resumed_order_stays_in_its_trace() {
    let world = World::new();
    world.die_at_write(1, Moment::Before);
    let (service, order) = world.restart();
    world.around.block_on(async {
        service.ended("resume-order", 1).await;
        let resumed = service.telemetry.only_span("resume-order");
        assert_eq!(resumed.trace_id().to_string(), order.trace_id);
        assert!(resumed.parent_id().is_some());
    });
    let steps = ["check-inventory", "process-payment", "confirm-order", "complete-order"];
    let resumed = service.telemetry.only_span("resume-order").span_id();
    for step in steps {
        assert_eq!(service.telemetry.only_span(step).parent_id(), Some(resumed), "{step}");
    }
}

#[test]
fn a_cancel_that_was_noted_survives_a_crash() {
    let world = World::new();
    world.die_in_call("authorize");
    world.around.block_on(async {
        let store = loop {
            match SqliteStore::open(&world.data(), &waypost_telemetry::Telemetry::disabled()) {
                Ok(store) => break store,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let viewer = Viewer { user: "user123".parse().unwrap(), is_admin: false };
        let orders = store.page(viewer.user.clone(), viewer.clone(), None, 1).await.unwrap();
        let noted = store.cancel(orders[0].id.clone(), viewer).await.unwrap();
        assert!(matches!(noted, Some(Cancelling::Noted(_))), "{noted:?}");
        store.close().await;
    });
    let (service, order) = world.restart();
    assert_eq!(order.status(), Cancelled);
    let again = world.around.block_on(service.cancel(&order.order_id, "mallory"));
    assert_eq!(code(again), ErrorCode::OrderNotFound);
}
