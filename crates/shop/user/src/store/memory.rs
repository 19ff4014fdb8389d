//! Users in memory, for simulations and tests of the layers above.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use waypost_api::UserId;
use waypost_durable::BoxFuture;

use super::{Answer, Store};
use crate::domain::{NewUser, User};

/// Users that are gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    users: Mutex<HashMap<UserId, NewUser>>,
}

impl MemoryStore {
    /// Nobody.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, NewUser>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn add_users(&self, users: Vec<NewUser>) -> Answer<'_, ()> {
        let mut kept = self.users();
        for new in users {
            kept.entry(new.user.id.clone()).or_insert(new);
        }
        Box::pin(ready(Ok(())))
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        Box::pin(ready(Ok(self.users().get(&id).map(|kept| kept.user.clone()))))
    }

    fn account(&self, id: UserId) -> Answer<'_, Option<NewUser>> {
        Box::pin(ready(Ok(self.users().get(&id).cloned())))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
