//! Prices of the catalogue, remembered for a while.
//!
//! For the check of a new order, which would otherwise ask the inventory each time. A price that has changed since is
//! caught when the stock is reserved, because the reservation carries the price; so an old entry can delay a refusal
//! and never sell at a wrong price. Bounded in number; orders that miss the same price at the same time ask once.

use crate::{Error, place_order::Inventory};
use moka::future::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use waypost_api::attributes::CACHE_HIT;
use waypost_api::{ErrorCode, Money, ProductId, convert::answered_money, inventory::v1::CheckStockRequest};
use waypost_telemetry::set;

/// A price and when it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    /// Of one piece.
    pub unit_price: Money,
    asked_at: Instant,
}

impl Price {
    /// True when asking again would hardly tell anything new. Bounds what wrong amounts can cost the inventory.
    pub fn is_fresh(&self) -> bool {
        self.asked_at.elapsed() < Duration::from_secs(1)
    }
}

/// The cache, and where its entries come from.
#[derive(Debug)]
pub struct Catalogue {
    inventory: Inventory,
    prices: Cache<ProductId, Price>,
}

impl Catalogue {
    /// An empty cache of at most `capacity` prices.
    pub fn new(inventory: Inventory, time_to_live: Duration, capacity: usize) -> Catalogue {
        let capacity = u64::try_from(capacity.max(1)).unwrap_or(u64::MAX);
        let prices = Cache::builder().max_capacity(capacity).time_to_live(time_to_live).build();
        Catalogue { inventory, prices }
    }

    /// The price of a product, from the cache when it is there. Notes on the current span which it was.
    pub async fn price(&self, product: &ProductId) -> Result<Price, Error> {
        let cached = self.remembered(product).await;
        set(CACHE_HIT, cached.is_some());
        match cached {
            Some(price) => Ok(price),
            None => self.ask_together(product).await,
        }
    }

    /// The price of a product, when it is in the cache.
    pub async fn remembered(&self, product: &ProductId) -> Option<Price> {
        self.prices.get(product).await
    }

    /// The price of a product as the inventory has it now, when `old` is what it was.
    pub async fn price_after(&self, old: Price, product: &ProductId) -> Result<Price, Error> {
        // Somebody else may have asked since.
        let is_still_cached =
            self.prices.get(product).await.is_some_and(|price| price.asked_at == old.asked_at);
        if is_still_cached {
            self.prices.invalidate(product).await;
        }
        self.ask_together(product).await
    }

    /// Asks, or waits for the answer to somebody who is asking.
    async fn ask_together(&self, product: &ProductId) -> Result<Price, Error> {
        let is_mine = AtomicBool::new(false);
        let ask = async {
            is_mine.store(true, Ordering::Relaxed);
            self.ask(product).await
        };
        match self.prices.try_get_with_by_ref(product, ask).await {
            Ok(price) => Ok(price),
            // Another's time ran out; ours may not have.
            Err(error) if !is_mine.load(Ordering::Relaxed) && error.code == ErrorCode::DeadlineExceeded => {
                Ok(self.ask(product).await?)
            }
            Err(error) => Err(Arc::unwrap_or_clone(error).into()),
        }
    }

    async fn ask(&self, product: &ProductId) -> Result<Price, waypost_api::Error> {
        let request = CheckStockRequest { product_id: product.into() };
        let answer = self.inventory.clone().check_stock(request).await?.into_inner();
        let unit_price = answered_money("a price", answer.unit_price)?;
        Ok(Price { unit_price, asked_at: Instant::now() })
    }
}
