//! The store for simulations and tests of the layers above: the same rules on maps, gone with the process.

use super::{Answer, Cancelling, Kept, Lease, Placed, Placement, Progress, Store, Taken, Unfinished};
use crate::{
    Error,
    domain::{Cursor, Fact, Move, Order, TokenKey, Viewer},
};
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};
use waypost_api::{ErrorCode, OrderId, OrderStatus, Timestamp, UserId};
use waypost_durable::{
    idempotency::{Claim, Key, RETENTION},
    memory::{Idempotency, Outbox},
    saga::{Entry, Log, Phase},
};

/// Orders in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    outbox: Outbox,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<OrderId, Row>,
    keys: Idempotency,
    token_key: Option<TokenKey>,
}

#[derive(Debug)]
struct Row {
    order: Order,
    history: Vec<Move>,
    journal: Vec<Vec<Fact>>,
    phase: Phase,
    lease: Lease,
    /// By the clock of this store.
    ended_at: Option<SystemTime>,
}

impl Row {
    fn is_unfinished(&self, now: Timestamp) -> bool {
        self.phase != Phase::Ended && self.lease.until <= now
    }

    fn taken(&self) -> Taken {
        Taken { order: self.order.clone(), log: Log::new(self.journal.concat(), self.journal.len() as u64) }
    }
}

impl State {
    fn seen_by(&self, id: &OrderId, viewer: &Viewer) -> Option<&Row> {
        self.rows.get(id).filter(|row| viewer.may_see(&row.order.user))
    }

    fn purge_keys(&mut self, now: SystemTime) -> usize {
        let State { keys, rows, .. } = self;
        let is_past = |moment: SystemTime| now.duration_since(moment).is_ok_and(|age| age >= RETENTION);
        keys.forget(|result| {
            let id = std::str::from_utf8(result).ok().and_then(|id| OrderId::parse(id).ok());
            id.and_then(|id| rows.get(&id)).is_none_or(|row| row.ended_at.is_some_and(is_past))
        })
    }

    fn token_key(&mut self) -> Result<TokenKey, Error> {
        if let Some(key) = &self.token_key {
            return Ok(key.clone());
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| ErrorCode::Internal)?;
        Ok(self.token_key.insert(TokenKey::new(key)).clone())
    }

    /// What an older claim of a key means.
    fn placed(&self, claim: Claim) -> Result<Placed, Error> {
        let id = match claim {
            Claim::Mismatch => return Ok(Placed::KeyReused),
            Claim::Done { result } => String::from_utf8(result).ok().and_then(|id| OrderId::parse(&id).ok()),
            Claim::New { .. } | Claim::InFlight { .. } => None,
        };
        let row = id.and_then(|id| self.rows.get(&id));
        match row {
            Some(row) => Ok(Placed::Before(Box::new(row.order.clone()))),
            None => Err(waypost_durable::Error::Malformed { what: "idempotency.result" }.into()),
        }
    }
}

impl MemoryStore {
    /// No orders.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// The events that wait to be published.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// No method panics between its first change and its last, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place_now(&self, placement: Placement, now: Timestamp) -> Result<Placed, Error> {
        let mut state = self.state();
        let Placement { order, facts, lease, key } = placement;
        if let Some(key) = &key {
            match state.keys.claim(key, now.into()) {
                Claim::New { fence, .. } => state.keys.finish(key, fence, order.id.as_str().as_bytes())?,
                claim => return state.placed(claim),
            }
        }
        let history = vec![order.last_move()];
        let id = order.id.clone();
        let row = Row { order, history, journal: vec![facts], phase: Phase::Forward, lease, ended_at: None };
        state.rows.insert(id, row);
        Ok(Placed::New)
    }

    fn placed_before_now(&self, key: &Key) -> Result<Option<Placed>, Error> {
        let state = self.state();
        let claim = state.keys.find(key, SystemTime::UNIX_EPOCH);
        claim.map(|claim| state.placed(claim)).transpose()
    }

    fn cancel_now(&self, id: &OrderId, viewer: &Viewer) -> Option<Cancelling> {
        let mut state = self.state();
        state.seen_by(id, viewer)?;
        let row = state.rows.get_mut(id)?;
        if row.phase == Phase::Forward {
            row.phase = Phase::Back;
            row.journal.push(vec![Entry::CancelRequested]);
            return Some(Cancelling::Noted(row.order.clone()));
        }
        let is_on_its_way_back =
            matches!(row.phase, Phase::Back | Phase::Stuck) && row.order.status == OrderStatus::Pending;
        let order = row.order.clone();
        Some(if is_on_its_way_back { Cancelling::TurnedBack(order) } else { Cancelling::TooLate(order) })
    }

    fn advance_now(&self, progress: Progress, now: Timestamp) -> bool {
        let mut state = self.state();
        let Progress { order, rows_before, facts, phase, lease, moved, event } = progress;
        let Some(row) = state.rows.get_mut(&order.id) else { return false };
        if row.journal.len() as u64 != rows_before || row.lease.runner != lease.runner {
            return false;
        }
        row.order = order;
        row.phase = phase;
        row.ended_at = (phase == Phase::Ended).then(SystemTime::now);
        row.lease = lease;
        row.journal.push(facts);
        row.history.extend(moved);
        if let Some(event) = event {
            self.outbox.append(event, now.into());
        }
        true
    }

    fn take_over_now(&self, id: &OrderId, lease: Lease, now: Timestamp) -> Option<Taken> {
        let mut state = self.state();
        let row = state.rows.get_mut(id).filter(|row| row.is_unfinished(now))?;
        row.lease = lease;
        row.journal.push(vec![Entry::Resumed]);
        Some(row.taken())
    }
}

impl Store for MemoryStore {
    fn place(&self, placement: Placement, now: Timestamp) -> Answer<'_, Placed> {
        Box::pin(ready(self.place_now(placement, now)))
    }

    fn placed_before(&self, key: Key) -> Answer<'_, Option<Placed>> {
        Box::pin(ready(self.placed_before_now(&key)))
    }

    fn find(&self, id: OrderId, viewer: Viewer) -> Answer<'_, Option<Order>> {
        Box::pin(ready(Ok(self.state().seen_by(&id, &viewer).map(|row| row.order.clone()))))
    }

    fn page(&self, user: UserId, viewer: Viewer, after: Option<Cursor>, most: u32) -> Answer<'_, Vec<Order>> {
        let state = self.state();
        let mut orders: Vec<Order> = state
            .rows
            .values()
            .map(|row| &row.order)
            .filter(|order| order.user == user && viewer.may_see(&order.user))
            .filter(|order| {
                after
                    .as_ref()
                    .is_none_or(|after| (order.created_at, &order.id) < (after.created_at, &after.id))
            })
            .cloned()
            .collect();
        orders.sort_by_key(|order| Reverse((order.created_at, order.id.clone())));
        orders.truncate(most as usize);
        Box::pin(ready(Ok(orders)))
    }

    fn cancel(&self, id: OrderId, viewer: Viewer, _: Timestamp) -> Answer<'_, Option<Cancelling>> {
        Box::pin(ready(Ok(self.cancel_now(&id, &viewer))))
    }

    fn advance(&self, progress: Progress, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(ready(Ok(self.advance_now(progress, now))))
    }

    fn take_over(&self, id: OrderId, lease: Lease, now: Timestamp) -> Answer<'_, Option<Taken>> {
        Box::pin(ready(Ok(self.take_over_now(&id, lease, now))))
    }

    fn reload(&self, id: OrderId, runner: String) -> Answer<'_, Option<Taken>> {
        let state = self.state();
        let row = state.rows.get(&id).filter(|row| row.lease.runner == runner);
        Box::pin(ready(Ok(row.map(Row::taken))))
    }

    fn unfinished(&self, now: Timestamp, most: u32) -> Answer<'_, Vec<Unfinished>> {
        let state = self.state();
        let mut rows: Vec<&Row> = state.rows.values().filter(|row| row.is_unfinished(now)).collect();
        rows.sort_by_key(|row| row.lease.until);
        let orders = rows.into_iter().take(most as usize).map(|row| &row.order);
        let unfinished =
            orders.map(|order| Unfinished { id: order.id.clone(), origin: order.origin.clone() }).collect();
        Box::pin(ready(Ok(unfinished)))
    }

    fn renew(&self, orders: Vec<OrderId>, lease: Lease) -> Answer<'_, ()> {
        let mut state = self.state();
        for id in orders {
            let row = state.rows.get_mut(&id).filter(|row| {
                row.lease.runner == lease.runner && !matches!(row.phase, Phase::Ended | Phase::Stuck)
            });
            if let Some(row) = row {
                row.lease.until = lease.until;
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn purge_keys(&self) -> Answer<'_, usize> {
        Box::pin(ready(Ok(self.state().purge_keys(SystemTime::now()))))
    }

    fn token_key(&self) -> Answer<'_, TokenKey> {
        Box::pin(ready(self.state().token_key()))
    }

    /// Keeps everything: it lives no longer than a test.
    fn delete_ended(&self, _: Kept) -> Answer<'_, usize> {
        Box::pin(ready(Ok(0)))
    }

    fn history(&self, id: OrderId) -> Answer<'_, Vec<Move>> {
        let history = self.state().rows.get(&id).map(|row| row.history.clone());
        Box::pin(ready(Ok(history.unwrap_or_default())))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}
