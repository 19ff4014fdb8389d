//! What a journal says of a saga to somebody who looks from outside.

use super::{Ending, Entry, Shape};

impl Shape {
    /// How a saga with these durable facts ends if it ends now; `None` while it has not turned back.
    pub fn turned_ending<O, R: Clone>(&self, facts: &[Entry<O, R>]) -> Option<Ending<R>> {
        let view = self.view(facts, &[]);
        view.has_turned().then(|| view.ending())
    }
}
