//! A connection that a pool of any manager handed out.

use std::ops::{Deref, DerefMut};

use super::pool_metrics::{Asked, InUse};

/// What a pool handed out, until it is dropped and goes back. Leads to what the pool's own type leads to.
#[derive(Debug)]
pub struct Used<T> {
    taken: T,
    in_use: InUse,
}

impl<T> Used<T> {
    pub(super) fn new(taken: T, asked: Asked) -> Self {
        let (in_use, _) = asked.served();
        Self { taken, in_use }
    }

    /// The pool's own type. How long it is used from here on is not measured.
    pub fn into_inner(self) -> T {
        self.in_use.given_away();
        self.taken
    }
}

impl<T: Deref> Deref for Used<T> {
    type Target = T::Target;

    fn deref(&self) -> &T::Target {
        &self.taken
    }
}

impl<T: DerefMut> DerefMut for Used<T> {
    fn deref_mut(&mut self) -> &mut T::Target {
        &mut self.taken
    }
}
