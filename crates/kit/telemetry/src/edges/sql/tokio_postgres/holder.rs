//! What leads to a client.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio_postgres::{Client, Transaction};

/// What holds a client: the client itself, a reference to one, one of a pool, a transaction.
pub trait Holder {
    /// What it holds.
    fn client(&self) -> &Client;
}

/// What holds a client for itself, so that it can begin transactions.
pub trait HolderMut: Holder {
    /// What it holds.
    fn client_mut(&mut self) -> &mut Client;
}

/// A client that a pool handed out. Made by [`TokioPostgres::wrap_pooled`](super::TokioPostgres::wrap_pooled).
#[derive(Debug)]
pub struct Pooled<P>(pub(super) P);

impl<P: Deref<Target = Client>> Holder for Pooled<P> {
    fn client(&self) -> &Client {
        &self.0
    }
}

impl<P: DerefMut<Target = Client>> HolderMut for Pooled<P> {
    fn client_mut(&mut self) -> &mut Client {
        &mut self.0
    }
}

impl Holder for Client {
    fn client(&self) -> &Client {
        self
    }
}

impl HolderMut for Client {
    fn client_mut(&mut self) -> &mut Client {
        self
    }
}

impl Holder for &Client {
    fn client(&self) -> &Client {
        self
    }
}

impl Holder for &mut Client {
    fn client(&self) -> &Client {
        self
    }
}

impl HolderMut for &mut Client {
    fn client_mut(&mut self) -> &mut Client {
        self
    }
}

impl Holder for Arc<Client> {
    fn client(&self) -> &Client {
        self
    }
}

impl Holder for Transaction<'_> {
    fn client(&self) -> &Client {
        Transaction::client(self)
    }
}
