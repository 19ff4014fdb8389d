//! Commands that are under way: one a connection, from the event that begins it to the one that ends it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongodb::event::cmap::CmapEvent;
use mongodb::event::command::{CommandEvent, CommandStartedEvent, ConnectionInfo};
use mongodb::options::ServerAddress;

use super::Shared;
use super::operation::Operation;
use super::reply;

/// A connection of a client, whose number is that of its pool.
type Connection = (ServerAddress, u32);

/// What is under way. A connection has one command at a time, so there are no more than connections.
pub(super) struct Commands {
    shared: Arc<Shared>,
    open: Mutex<HashMap<Connection, Open>>,
}

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
        let connection = match event {
            CmapEvent::ConnectionCheckedIn(event) => (event.address.clone(), event.connection_id),
            CmapEvent::ConnectionClosed(event) => (event.address.clone(), event.connection_id),
            _ => return,
        };
        // Its span ends as cancelled, when the lock is free again.
        let given_up = self.lock().remove(&connection);
        drop(given_up);
    }

    fn begin(&self, event: &CommandStartedEvent) {
        let operation = Operation::start(&self.shared, event);
        let open = Open { request: event.request_id, operation };
        let before = self.lock().insert(key(&event.connection), open);
        drop(before);
    }

    fn take(&self, connection: &ConnectionInfo, request: i32) -> Option<Operation> {
        let mut open = self.lock();
        let key = key(connection);
        // That of another request is a later one.
        open.get(&key).filter(|open| open.request == request)?;
        open.remove(&key).map(|open| open.operation)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Connection, Open>> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(connection: &ConnectionInfo) -> Connection {
    (connection.address.clone(), connection.id)
}
