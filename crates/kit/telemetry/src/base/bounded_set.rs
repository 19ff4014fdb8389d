//! Texts that are shown by themselves until there are too many.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// The first so many different texts.
#[derive(Debug)]
pub(crate) struct BoundedSet {
    texts: RwLock<HashSet<Box<str>>>,
    max: usize,
}

impl BoundedSet {
    pub(crate) fn new(max: usize) -> Self {
        Self { texts: RwLock::default(), max }
    }

    /// Whether a text is one of them; it becomes one if there is room.
    pub(crate) fn takes(&self, text: &str) -> bool {
        if self.texts.read().unwrap_or_else(PoisonError::into_inner).contains(text) {
            return true;
        }
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.contains(text) || texts.len() < self.max && texts.insert(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_texts_stay_and_later_ones_are_too_many() {
        let set = BoundedSet::new(2);
        assert!(set.takes("a") && set.takes("b") && set.takes("a"));
        assert!(!set.takes("c") && set.takes("b"));
    }
}
