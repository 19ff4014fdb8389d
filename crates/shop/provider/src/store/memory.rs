//! The ledger in memory, for simulations and tests of the layers above.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use waypost_api::Amount;
use waypost_durable::BoxFuture;

use super::{Answer, Command, Store, Totals, subject};
use crate::Error;
use crate::domain::{Charge, Movement, Refusal, Status, decide};

/// A ledger that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    charges: Vec<Charge>,
    answers: HashMap<String, (Vec<u8>, Charge)>,
    captured: i64,
    refunded: i64,
}

impl MemoryStore {
    /// An empty ledger.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// No method panics between its first change and its last, so a poisoned state is a whole one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn execute(&mut self, command: Command) -> Result<Answer, Error> {
        if let Some((fingerprint, charge)) = self.answers.get(&command.key) {
            return if *fingerprint == command.fingerprint {
                Ok(Answer { charge: charge.clone(), is_replay: true })
            } else {
                Err(Refusal::KeyReused.into())
            };
        }
        let existing = subject(&command.operation).and_then(|id| self.find(id).cloned());
        let change = decide(existing, &command.operation)?;
        match change.movement {
            Some((Movement::Capture, amount)) => self.captured += amount.ten_thousandths(),
            Some((Movement::Refund, amount)) => self.refunded += amount.ten_thousandths(),
            None => {}
        }
        match self.charges.iter_mut().find(|charge| charge.id == change.charge.id) {
            Some(charge) => *charge = change.charge.clone(),
            None => self.charges.push(change.charge.clone()),
        }
        self.answers.insert(command.key, (command.fingerprint, change.charge.clone()));
        Ok(Answer { charge: change.charge, is_replay: false })
    }

    fn find(&self, id: &str) -> Option<&Charge> {
        self.charges.iter().find(|charge| charge.id == id)
    }
}

impl Store for MemoryStore {
    fn execute(&self, command: Command) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(ready(self.state().execute(command)))
    }

    fn charge(&self, id: String) -> BoxFuture<'_, Result<Option<Charge>, Error>> {
        Box::pin(ready(Ok(self.state().find(&id).cloned())))
    }

    fn by_reference(&self, reference: String) -> BoxFuture<'_, Result<Vec<Charge>, Error>> {
        let state = self.state();
        let found =
            state.charges.iter().filter(|charge| charge.reference == reference).take(100).cloned().collect();
        Box::pin(ready(Ok(found)))
    }

    fn totals(&self) -> BoxFuture<'_, Result<Totals, Error>> {
        let state = self.state();
        let accepted = state.charges.iter().filter(|charge| charge.status != Status::Declined).count();
        let totals = Totals {
            charges: accepted as u64,
            captured: Amount::from_ten_thousandths(state.captured),
            refunded: Amount::from_ten_thousandths(state.refunded),
        };
        Box::pin(ready(Ok(totals)))
    }

    /// Keeps everything: it lives no longer than a test.
    fn forget_requests(&self, _: SystemTime) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(ready(Ok(0)))
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
