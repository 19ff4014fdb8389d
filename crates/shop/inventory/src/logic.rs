//! What the service does for its callers: says how long holds last, and leaves the rest to the rules and the store.

use crate::{
    Config, Error,
    domain::{Generation, Lines, NewProduct, NewReservation, Product, Refusal, Reservation, hold_time},
    store::Store,
};
use std::{sync::Arc, time::Duration};
use waypost_api::{OrderId, ProductId};
use waypost_durable::Epoch;
use waypost_service::Worker;
use waypost_telemetry::{Telemetry, opentelemetry::Context, span, with_context};

/// The inventory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inventory {
    store: Arc<dyn Store>,
    hold_time: Duration,
    max_hold_time: Duration,
    sweep_batch: u32,
}

impl Inventory {
    /// The inventory over a store.
    pub fn new(store: Arc<dyn Store>, config: &Config) -> Inventory {
        Inventory {
            store,
            hold_time: config.hold_time.get(),
            max_hold_time: config.max_hold_time.get(),
            sweep_batch: config.sweep_batch.max(1),
        }
    }

    /// Puts products into the catalogue; those that are there already are left as they are.
    pub async fn add_products(&self, products: Vec<NewProduct>) -> Result<(), Error> {
        self.store.add_products(products).await
    }

    /// A product with its price and what can be had of it.
    pub async fn product(&self, id: ProductId) -> Result<Product, Error> {
        let found = self.store.product(id.clone()).await?;
        found.ok_or_else(|| Refusal::UnknownProduct(id).into())
    }

    /// Holds all lines for an order, or none.
    pub async fn reserve(
        &self,
        order: OrderId,
        generation: Generation,
        lines: Lines,
        asked: Option<Duration>,
        epoch: Epoch,
    ) -> Result<Reservation, Error> {
        let lasts = hold_time(asked, self.hold_time, self.max_hold_time);
        self.store.reserve(NewReservation { order, generation, lines, lasts, epoch }).await
    }

    /// Takes the stock of an order's hold for good.
    pub async fn commit(&self, order: OrderId, epoch: Epoch) -> Result<Reservation, Error> {
        self.store.commit(order, epoch).await
    }

    /// Gives the stock of an order's hold back. False when there was nothing to give back.
    pub async fn release(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Result<bool, Error> {
        self.store.release(order, generation, epoch).await
    }

    /// Gives back the stock of every hold that has run out, and tells how many there were.
    ///
    /// Looking leaves no span; giving back leaves a trace of its own, `expire-reservations`.
    pub async fn sweep(&self) -> Result<u32, Error> {
        let unseen = Context::current().with_telemetry_suppressed();
        if !with_context(unseen, self.store.has_run_out()).await? {
            return Ok(0);
        }
        let expire = async {
            let mut ended = 0;
            loop {
                let batch = self.store.expire(self.sweep_batch).await?;
                ended += batch;
                if batch < self.sweep_batch {
                    waypost_telemetry::set("reservations.expired", i64::from(ended));
                    return Ok(ended);
                }
            }
        };
        span("expire-reservations").root().run(expire).await
    }

    /// The worker that sweeps at every interval.
    pub fn sweeper(self, every: Duration, telemetry: &Telemetry) -> Worker {
        Worker::every("reservation-sweeper", every, telemetry, move || {
            let inventory = self.clone();
            async move {
                let ended = inventory.sweep().await?;
                if ended > 0 {
                    tracing::info!(ended, "holds ran out and were given back");
                }
                Ok::<(), Error>(())
            }
        })
    }
}
