//! The store for simulations and tests of the layers above: the same rules on maps, gone with the process.

use super::{Answer, Store};
use crate::{
    Error,
    domain::{
        self, CommitStep, Generation, HeldLine, NewProduct, Product, Refusal, ReleaseStep, Reservation,
        ReservationState, ReserveStep, StockCount, Wish,
    },
};
use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
};
use waypost_api::{Money, OrderId, ProductId, Timestamp};

/// Stock and holds in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stock: BTreeMap<ProductId, Stock>,
    reservations: BTreeMap<(OrderId, Generation), Hold>,
}

#[derive(Debug)]
struct Stock {
    name: String,
    unit_price: Money,
    on_hand: u64,
    reserved: u64,
    received: u64,
    committed: u64,
}

#[derive(Debug)]
struct Hold {
    reservation: Reservation,
    lines: Vec<HeldLine>,
}

impl MemoryStore {
    /// An empty catalogue.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// No method panics between its first change and its last, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn add_products(&self, products: Vec<NewProduct>, _: Timestamp) -> Answer<'_, ()> {
        let mut state = self.state();
        for product in products {
            let received = u64::from(product.received);
            state.stock.entry(product.id).or_insert(Stock {
                name: product.name,
                unit_price: product.unit_price,
                on_hand: received,
                reserved: 0,
                received,
                committed: 0,
            });
        }
        Box::pin(ready(Ok(())))
    }

    fn product(&self, id: ProductId) -> Answer<'_, Option<Product>> {
        Box::pin(ready(Ok(self.state().product(&id))))
    }

    fn reserve(&self, wish: Wish, now: Timestamp) -> Answer<'_, Reservation> {
        Box::pin(ready(self.state().reserve(wish, now)))
    }

    fn commit(&self, order: OrderId, now: Timestamp) -> Answer<'_, Reservation> {
        Box::pin(ready(self.state().commit(&order, now)))
    }

    fn release(&self, order: OrderId, generation: Generation, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(ready(self.state().release(order, generation, now)))
    }

    fn has_run_out(&self, now: Timestamp) -> Answer<'_, bool> {
        let is_due = self.state().reservations.values().any(|hold| hold.reservation.has_run_out(now));
        Box::pin(ready(Ok(is_due)))
    }

    fn expire(&self, now: Timestamp, most: u32) -> Answer<'_, u32> {
        Box::pin(ready(Ok(self.state().expire(now, most))))
    }

    /// Keeps everything: it lives no longer than a test.
    fn delete_ended(&self, _: Timestamp) -> Answer<'_, usize> {
        Box::pin(ready(Ok(0)))
    }

    fn count(&self) -> Answer<'_, Vec<StockCount>> {
        Box::pin(ready(Ok(self.state().count())))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}

impl State {
    fn product(&self, id: &ProductId) -> Option<Product> {
        self.stock.get(id).map(|stock| Product {
            id: id.clone(),
            name: stock.name.clone(),
            unit_price: stock.unit_price,
            available: stock.on_hand - stock.reserved,
        })
    }

    fn newest(&self, order: &OrderId) -> Option<&Hold> {
        let generations = (order.clone(), Generation::new(0))..=(order.clone(), Generation::new(u32::MAX));
        self.reservations.range(generations).next_back().map(|(_, hold)| hold)
    }

    fn reserve(&mut self, wish: Wish, now: Timestamp) -> Result<Reservation, Error> {
        let newest = self.newest(&wish.order);
        let step = domain::reserve(newest.map(|hold| &hold.reservation), wish.generation, now)?;
        if let (ReserveStep::Repeat, Some(existing)) = (step, newest) {
            let is_same_key = existing.reservation.generation == wish.generation;
            if is_same_key && !wish.lines.are_held_as(&existing.lines) {
                return Err(Refusal::KeyReused.into());
            }
            return Ok(existing.reservation.clone());
        }
        // The stock of the hold whose place is taken counts as free.
        let freed: Vec<HeldLine> = match (step, newest) {
            (ReserveStep::HoldInstead(_), Some(older)) => older.lines.clone(),
            _ => Vec::new(),
        };
        for line in wish.lines.iter() {
            let mut product = self.product(&line.product);
            if let Some(product) = &mut product {
                let of_product = freed.iter().filter(|freed| freed.product == line.product);
                product.available += of_product.map(|freed| u64::from(freed.quantity)).sum::<u64>();
            }
            match &product {
                Some(product) if product.available >= u64::from(line.quantity) => {
                    domain::check_price(line, product.unit_price)?;
                }
                _ => return Err(domain::refuse(line, product.as_ref()).into()),
            }
        }
        // From here on nothing is refused.
        if let (ReserveStep::HoldInstead(ends_as), Some(older)) = (step, newest) {
            let key = (older.reservation.order.clone(), older.reservation.generation);
            self.end(&key, ends_as);
        }
        for line in wish.lines.iter() {
            if let Some(stock) = self.stock.get_mut(&line.product) {
                stock.reserved += u64::from(line.quantity);
            }
        }
        let reservation = Reservation {
            order: wish.order,
            generation: wish.generation,
            state: ReservationState::Held,
            expires_at: wish.expires_at,
        };
        let hold = Hold { reservation: reservation.clone(), lines: wish.lines.to_held() };
        self.reservations.insert((reservation.order.clone(), reservation.generation), hold);
        Ok(reservation)
    }

    fn commit(&mut self, order: &OrderId, now: Timestamp) -> Result<Reservation, Error> {
        let newest = self.newest(order).map(|hold| hold.reservation.clone());
        let step = domain::commit(order, newest.as_ref(), now)?;
        let Some(reservation) = newest else { return Err(Refusal::NoReservation(order.clone()).into()) };
        if step == CommitStep::Commit {
            self.end(&(order.clone(), reservation.generation), ReservationState::Committed);
        }
        Ok(Reservation { state: ReservationState::Committed, ..reservation })
    }

    fn release(&mut self, order: OrderId, generation: Generation, now: Timestamp) -> Result<bool, Error> {
        let newest = self.newest(&order).map(|hold| hold.reservation.clone());
        let step = domain::release(newest.as_ref(), generation)?;
        let gives_back = matches!(step, ReleaseStep::GiveBack | ReleaseStep::GiveBackAndBury);
        if let Some(held) = newest.filter(|_| gives_back) {
            self.end(&(held.order, held.generation), ReservationState::Released);
        }
        if matches!(step, ReleaseStep::Bury | ReleaseStep::GiveBackAndBury) {
            let state = ReservationState::Released;
            let reservation = Reservation { order: order.clone(), generation, state, expires_at: now };
            self.reservations.insert((order, generation), Hold { reservation, lines: Vec::new() });
        }
        Ok(gives_back)
    }

    fn expire(&mut self, now: Timestamp, most: u32) -> u32 {
        let mut due: Vec<_> = self
            .reservations
            .iter()
            .filter(|(_, hold)| hold.reservation.has_run_out(now))
            .map(|(key, hold)| (hold.reservation.expires_at, key.clone()))
            .collect();
        due.sort();
        let mut ended = 0;
        for ((_, key), _) in due.iter().zip(0..most) {
            self.end(key, ReservationState::Expired);
            ended += 1;
        }
        ended
    }

    /// Ends a hold: its stock is no longer set aside, and gone when it is committed.
    fn end(&mut self, key: &(OrderId, Generation), ends_as: ReservationState) {
        let Some(hold) = self.reservations.get_mut(key) else { return };
        hold.reservation.state = ends_as;
        for line in &hold.lines {
            let Some(stock) = self.stock.get_mut(&line.product) else { continue };
            let quantity = u64::from(line.quantity);
            stock.reserved -= quantity;
            if ends_as == ReservationState::Committed {
                stock.on_hand -= quantity;
                stock.committed += quantity;
            }
        }
    }

    fn count(&self) -> Vec<StockCount> {
        let held_as = |product: &ProductId, state: ReservationState| {
            let holds = self.reservations.values().filter(|hold| hold.reservation.state == state);
            let lines = holds.flat_map(|hold| &hold.lines).filter(|line| &line.product == product);
            lines.map(|line| i64::from(line.quantity)).sum()
        };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let count = |(product, stock): (&ProductId, &Stock)| StockCount {
            product: product.clone(),
            on_hand: signed(stock.on_hand),
            reserved: signed(stock.reserved),
            received: signed(stock.received),
            committed: signed(stock.committed),
            held_by_reservations: held_as(product, ReservationState::Held),
            committed_by_reservations: held_as(product, ReservationState::Committed),
        };
        self.stock.iter().map(count).collect()
    }
}
