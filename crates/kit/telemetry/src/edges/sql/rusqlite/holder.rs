//! What leads to a connection.

use std::ops::{Deref, DerefMut};

use rusqlite::{Connection, Savepoint, Transaction};

/// What holds a connection: the connection itself, a reference to one, one of a pool, a transaction.
pub trait Holder {
    /// What it holds.
    fn connection(&self) -> &Connection;
}

/// What holds a connection for itself, so that it can begin transactions.
pub trait HolderMut: Holder {
    /// What it holds.
    fn connection_mut(&mut self) -> &mut Connection;
}

/// A connection that a pool handed out. Made by [`Rusqlite::wrap_pooled`](super::Rusqlite::wrap_pooled).
#[derive(Debug)]
pub struct Pooled<P>(pub(super) P);

impl<P: Deref<Target = Connection>> Holder for Pooled<P> {
    fn connection(&self) -> &Connection {
        &self.0
    }
}

impl<P: DerefMut<Target = Connection>> HolderMut for Pooled<P> {
    fn connection_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Holder for Connection {
    fn connection(&self) -> &Connection {
        self
    }
}

impl HolderMut for Connection {
    fn connection_mut(&mut self) -> &mut Connection {
        self
    }
}

impl Holder for &Connection {
    fn connection(&self) -> &Connection {
        self
    }
}

impl Holder for &mut Connection {
    fn connection(&self) -> &Connection {
        self
    }
}

impl HolderMut for &mut Connection {
    fn connection_mut(&mut self) -> &mut Connection {
        self
    }
}

impl Holder for Transaction<'_> {
    fn connection(&self) -> &Connection {
        self
    }
}

impl Holder for Savepoint<'_> {
    fn connection(&self) -> &Connection {
        self
    }
}
