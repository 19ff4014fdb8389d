//! Commits whose acknowledgement is lost, and units that lose against others: an order is neither lost nor doubled, and
//! nobody has to wait for its lease to run out.

use crate::{
    around::store_around,
    shop::{Neighbours, Service, code, order_for},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use waypost_api::{ErrorCode, order::v1::OrderStatus};
use waypost_durable::{Cause, Error as DatabaseError, Files};
use waypost_order::{
    Config, Error,
    store::{Answer, Placed, Placement, Progress, SqliteStore},
};
use waypost_settings as config;
use waypost_telemetry::{Telemetry, testing::TestTelemetry};

/// What becomes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    /// It lost against another one, and is not written.
    Lost,
    /// It is written, and nobody hears of it.
    WrittenUnheard,
    /// It is not written, and nobody hears of that.
    UnwrittenUnheard,
}

/// The embedded store, whose next units of a kind have these fates.
#[derive(Debug)]
struct FatedStore {
    inner: SqliteStore,
    place: Mutex<VecDeque<Fate>>,
    advance: Mutex<VecDeque<Fate>>,
}

impl FatedStore {
    fn new(place: &[Fate], advance: &[Fate]) -> Arc<FatedStore> {
        let inner = SqliteStore::open(&Files::Ephemeral, &Telemetry::disabled()).unwrap();
        let fates = |fates: &[Fate]| Mutex::new(fates.iter().copied().collect());
        Arc::new(FatedStore { inner, place: fates(place), advance: fates(advance) })
    }

    async fn meet<T>(fates: &Mutex<VecDeque<Fate>>, unit: Answer<'_, T>) -> Result<T, Error> {
        let fate = fates.lock().unwrap().pop_front().unwrap_or(Fate::Done);
        let cause = || Cause::new("08006", std::io::Error::other("the connection was lost"));
        let unheard = || Error::Store(DatabaseError::OutcomeUnknown(Arc::new(DatabaseError::Io(cause()))));
        match fate {
            Fate::Done => unit.await,
            Fate::Lost => Err(Error::Store(DatabaseError::Conflict(cause()))),
            Fate::WrittenUnheard => {
                unit.await?;
                Err(unheard())
            }
            Fate::UnwrittenUnheard => Err(unheard()),
        }
    }
}

store_around!(FatedStore, inner, {
    fn place(&self, placement: Placement) -> Answer<'_, Placed> {
        Box::pin(FatedStore::meet(&self.place, self.inner.place(placement)))
    }

    fn advance(&self, progress: Progress) -> Answer<'_, bool> {
        Box::pin(FatedStore::meet(&self.advance, self.inner.advance(progress)))
    }
});

/// A shop over a store with these fates, whose leases outlive every test.
struct Fated {
    neighbours: Neighbours,
    service: Service,
}

impl Fated {
    fn open(place: &[Fate], advance: &[Fate]) -> Fated {
        let neighbours = Neighbours::start();
        let config = Config { lease: config::Duration::from_secs(3600), ..neighbours.config() };
        let store = FatedStore::new(place, advance);
        let service = Service::over(&config, TestTelemetry::new("order-service"), store);
        Fated { neighbours, service }
    }

    async fn assert_order_completes(&self, how: &str) {
        let order = self.service.order().await;
        assert_eq!((order.status(), order.version), (OrderStatus::Completed, 3), "{how}");
        assert_eq!(self.neighbours.payments.paid(&order.order_id).unwrap().captures, 1, "{how}");
        let spans = self.service.telemetry.finished_spans();
        assert!(spans.iter().all(|span| span.name() != "resume-order"), "{how}");
    }
}

#[tokio::test]
async fn an_order_whose_acknowledgement_was_lost_is_run() {
    Fated::open(&[Fate::WrittenUnheard], &[]).assert_order_completes("placed").await;
}

#[tokio::test]
async fn an_order_that_lost_against_another_is_placed_all_the_same() {
    Fated::open(&[Fate::Lost, Fate::Lost], &[]).assert_order_completes("placed").await;
}

#[tokio::test]
async fn an_order_that_cannot_be_seen_is_not_accepted() {
    let shop = Fated::open(&[Fate::UnwrittenUnheard], &[]);
    assert_eq!(code(shop.service.create(order_for("user123")).await), ErrorCode::Unavailable);
    assert!(shop.neighbours.payments.script.calls().is_empty());
}

#[tokio::test]
async fn each_unit_of_a_saga_is_found_when_its_acknowledgement_was_lost() {
    for fate in [Fate::WrittenUnheard, Fate::Lost] {
        for unit in 0..3 {
            let fates = [vec![Fate::Done; unit], vec![fate]].concat();
            Fated::open(&[], &fates).assert_order_completes(&format!("unit {unit} {fate:?}")).await;
        }
    }
}
