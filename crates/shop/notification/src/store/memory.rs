//! The store for simulations and tests of the layers above: the same rules on maps, gone with the process.

use super::{Answer, Recorded, Store};
use crate::domain::{Channel, Notification};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use waypost_api::{EventId, OrderId, Timestamp};
use waypost_durable::memory::Inbox;

/// Notifications in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    notifications: BTreeMap<(OrderId, &'static str, Channel), Notification>,
    inbox: Inbox,
}

impl MemoryStore {
    /// No notifications.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// No method panics between its first change and its last, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn record(&mut self, notifications: Vec<Notification>) -> Vec<Recorded> {
        let mut recorded = Vec::new();
        for new in notifications {
            let key = (new.order.clone(), new.kind.as_str(), new.channel);
            if let Entry::Vacant(place) = self.notifications.entry(key) {
                recorded.push(Recorded { channel: new.channel, subject: new.subject.clone() });
                place.insert(new);
            }
        }
        recorded
    }
}

impl Store for MemoryStore {
    fn record(
        &self,
        consumer: String,
        event: EventId,
        notifications: Vec<Notification>,
    ) -> Answer<'_, Vec<Recorded>> {
        let mut state = self.state();
        let is_new = state.inbox.first_time(&consumer, event.as_str());
        Box::pin(ready(Ok(if is_new { state.record(notifications) } else { Vec::new() })))
    }

    fn of_order(&self, order: OrderId) -> Answer<'_, Vec<Notification>> {
        let state = self.state();
        let of_order = state.notifications.values().filter(|notification| notification.order == order);
        Box::pin(ready(Ok(of_order.cloned().collect())))
    }

    fn total(&self) -> Answer<'_, u64> {
        Box::pin(ready(Ok(self.state().notifications.len() as u64)))
    }

    /// Keeps everything: it lives no longer than a test.
    fn purge_inbox(&self, _: Duration) -> Answer<'_, usize> {
        Box::pin(ready(Ok(0)))
    }

    /// Keeps everything: it lives no longer than a test.
    fn delete_sent(&self, _: Timestamp) -> Answer<'_, usize> {
        Box::pin(ready(Ok(0)))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }
}
