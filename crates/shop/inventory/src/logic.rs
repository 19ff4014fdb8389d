//! What the service does for its callers: adds the time to what the rules and the store need, and nothing else.

use crate::{
    Config, Error,
    domain::{Generation, Lines, NewProduct, Product, Refusal, Reservation, Wish, hold_until},
    store::Store,
};
use std::{sync::Arc, time::Duration};
use waypost_api::{OrderId, ProductId, Timestamp};
use waypost_durable::{Clock, Epoch};
use waypost_service::Worker;
use waypost_telemetry::{Telemetry, opentelemetry::Context, span, with_context};

/// The inventory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inventory {
    store: Arc<dyn Store>,
    clock: Clock,
    hold_time: Duration,
    longest_hold_time: Duration,
    sweep_batch: u32,
}

impl Inventory {
    /// The inventory over a store, by this clock: it alone judges when a hold has run out.
    pub fn new(store: Arc<dyn Store>, clock: Clock, config: &Config) -> Inventory {
        Inventory {
            store,
            clock,
            hold_time: config.hold_time.get(),
            longest_hold_time: config.longest_hold_time.get(),
            sweep_batch: config.sweep_batch.max(1),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from(self.clock.now())
    }

    /// Puts products into the catalogue; those that are there already are left as they are.
    pub async fn add_products(&self, products: Vec<NewProduct>) -> Result<(), Error> {
        self.store.add_products(products, self.now()).await
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
        hold_time: Option<Duration>,
        epoch: Epoch,
    ) -> Result<Reservation, Error> {
        let now = self.now();
        let expires_at = hold_until(now, hold_time, self.hold_time, self.longest_hold_time);
        self.store.reserve(Wish { order, generation, lines, expires_at, epoch }, now).await
    }

    /// Takes the stock of an order's hold for good.
    pub async fn commit(&self, order: OrderId, epoch: Epoch) -> Result<Reservation, Error> {
        self.store.commit(order, epoch, self.now()).await
    }

    /// Gives the stock of an order's hold back. False when there was nothing to give back.
    pub async fn release(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Result<bool, Error> {
        self.store.release(order, generation, epoch, self.now()).await
    }

    /// Gives back the stock of every hold that has run out, and tells how many there were.
    ///
    /// Looking leaves no span; giving back leaves a trace of its own, `expire-reservations`.
    pub async fn sweep(&self) -> Result<u32, Error> {
        let now = self.now();
        let unseen = Context::current().with_telemetry_suppressed();
        if !with_context(unseen, self.store.has_run_out(now)).await? {
            return Ok(0);
        }
        let expire = async {
            let mut ended = 0;
            loop {
                let batch = self.store.expire(now, self.sweep_batch).await?;
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
