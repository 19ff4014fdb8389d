//! Commands that are under way: one a connection, from the event that begins it to the one that ends it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongodb::event::cmap::CmapEvent;
use mongodb::event::command::{CommandEvent, CommandStartedEvent, ConnectionInfo};
use mongodb::options::ServerAddress;

use super::Shared;
use super::operation::Operation;
use super::reply;

/// What is under way. A connection has one command at a time, so there are no more than connections.
pub(super) struct Commands {
    shared: Arc<Shared>,
    open: Mutex<HashMap<ServerAddress, Connections>>,
}

/// Commands of one server, by the number that its pool gave their connections.
type Connections = HashMap<u32, Open>;

struct Open {
    request: i32,
    operation: Operation,
}

impl Commands {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: Mutex::default() }
    }

    /// A command began or ended.
    pub(super) fn see(&self, event: &CommandEvent) {
        match event {
            CommandEvent::Started(event) => self.begin(event),
            CommandEvent::Succeeded(event) => {
                if let Some(operation) = self.take(&event.connection, event.request_id) {
                    operation.succeed(&reply::read(&event.reply), event.duration);
                }
            }
            CommandEvent::Failed(event) => {
                if let Some(operation) = self.take(&event.connection, event.request_id) {
                    operation.fail(&event.failure, event.duration);
                }
            }
            _ => {}
        }
    }

    /// A connection that is given back or closed has no command any more: whoever waited for it has given it up.
    pub(super) fn see_connection(&self, event: &CmapEvent) {
        let given_up = match event {
            CmapEvent::ConnectionCheckedIn(event) => self.remove(&event.address, event.connection_id),
            CmapEvent::ConnectionClosed(event) => {
                let given_up = self.remove(&event.address, event.connection_id);
                self.forget_if_unused(&event.address);
                given_up
            }
            _ => return,
        };
        // Its span ends as cancelled, when the lock is free again.
        drop(given_up);
    }

    fn begin(&self, event: &CommandStartedEvent) {
        let operation = Operation::start(&self.shared, event);
        let open = Open { request: event.request_id, operation };
        let ConnectionInfo { id, address, .. } = &event.connection;
        let mut known = self.lock();
        let before = match known.get_mut(address) {
            Some(connections) => connections.insert(*id, open),
            None => known.entry(address.clone()).or_default().insert(*id, open),
        };
        drop(known);
        drop(before);
    }

    fn take(&self, connection: &ConnectionInfo, request: i32) -> Option<Operation> {
        let mut known = self.lock();
        let open = known.get_mut(&connection.address)?;
        // That of another request is a later one.
        open.get(&connection.id).filter(|open| open.request == request)?;
        open.remove(&connection.id).map(|open| open.operation)
    }

    fn remove(&self, address: &ServerAddress, connection: u32) -> Option<Open> {
        self.lock().get_mut(address)?.remove(&connection)
    }

    /// Servers come and go.
    fn forget_if_unused(&self, address: &ServerAddress) {
        let mut known = self.lock();
        if known.get(address).is_some_and(HashMap::is_empty) {
            known.remove(address);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerAddress, Connections>> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
