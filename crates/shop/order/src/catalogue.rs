//! Prices of the catalogue, remembered for a while.
//!
//! For the check of a new order, which would otherwise ask the inventory each time. A price that has changed since is
//! caught when the stock is reserved, because the reservation carries the price; so an old entry can delay a refusal
//! and never sell at a wrong price. Bounded: when it is full, the oldest entry makes room.

use crate::{Error, place_order::Inventory};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use waypost_api::attributes::CACHE_HIT;
use waypost_api::{Currency, ErrorCode, Money, ProductId, inventory::v1::CheckStockRequest};
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
    time_to_live: Duration,
    capacity: usize,
    prices: Mutex<HashMap<ProductId, Price>>,
}

impl Catalogue {
    /// An empty cache of at most `capacity` prices.
    pub fn new(inventory: Inventory, time_to_live: Duration, capacity: usize) -> Catalogue {
        Catalogue { inventory, time_to_live, capacity: capacity.max(1), prices: Mutex::default() }
    }

    /// The price of a product, from the cache when it is there. Notes on the current span which it was.
    pub async fn price(&self, product: &ProductId) -> Result<Price, Error> {
        let cached = self.remembered(product);
        set(CACHE_HIT, cached.is_some());
        match cached {
            Some(price) => Ok(price),
            None => self.ask(product).await,
        }
    }

    /// The price of a product, when it is in the cache.
    pub fn remembered(&self, product: &ProductId) -> Option<Price> {
        let cached = self.prices().get(product).copied();
        cached.filter(|price| price.asked_at.elapsed() < self.time_to_live)
    }

    /// The price of a product as the inventory has it now.
    pub async fn ask(&self, product: &ProductId) -> Result<Price, Error> {
        let request = CheckStockRequest { product_id: product.into() };
        let answer = self.inventory.clone().check_stock(request).await.map_err(waypost_api::Error::from)?;
        let answer = answer.into_inner();
        let currency: Currency = answer.currency.parse().map_err(|_| ErrorCode::Internal)?;
        let unit_price = Money::new(answer.unit_price_ten_thousandths, currency);
        let price = Price { unit_price, asked_at: Instant::now() };
        self.remember(product, price);
        Ok(price)
    }

    fn remember(&self, product: &ProductId, price: Price) {
        let mut prices = self.prices();
        if prices.len() >= self.capacity && !prices.contains_key(product) {
            let oldest = prices.iter().min_by_key(|(_, price)| price.asked_at).map(|(id, _)| id.clone());
            oldest.and_then(|id| prices.remove(&id));
        }
        prices.insert(product.clone(), price);
    }

    fn prices(&self) -> MutexGuard<'_, HashMap<ProductId, Price>> {
        // Nothing panics while it is held, so a poisoned map is a whole one.
        self.prices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
