//! What happens often and is said once in a while.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// After this time it is news again.
const NEWS_AGAIN_AFTER: Duration = Duration::from_mins(10);
/// Different things that are remembered; what comes beyond them is not said.
const MAX_REMEMBERED: usize = 256;

/// Remembers what was said. Bounded, whoever makes things happen.
#[derive(Debug)]
pub(crate) struct Once<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for Once<K> {
    fn default() -> Self {
        Once(Mutex::default())
    }
}

impl<K: Eq + Hash> Once<K> {
    /// Whether it is worth a line in the log.
    pub(crate) fn is_news(&self, what: K) -> bool {
        self.is_news_at(what, Instant::now())
    }

    fn is_news_at(&self, what: K, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < NEWS_AGAIN_AFTER;
        if said.get(&what).is_some_and(is_recent) {
            return false;
        }
        said.retain(|_, at| is_recent(at));
        if said.len() >= MAX_REMEMBERED {
            return false;
        }
        said.insert(what, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_said_once_in_a_while() {
        let (once, now) = (Once::default(), Instant::now());
        assert!(once.is_news_at("a", now) && once.is_news_at("b", now));
        assert!(!once.is_news_at("a", now + NEWS_AGAIN_AFTER / 2));
        assert!(once.is_news_at("a", now + NEWS_AGAIN_AFTER));
    }

    #[test]
    fn a_flood_of_different_things_is_not_remembered_without_bound() {
        let (once, now) = (Once::default(), Instant::now());
        let said = (0..10_000).filter(|what| once.is_news_at(*what, now)).count();
        assert_eq!(said, MAX_REMEMBERED);
        assert!(once.is_news_at(20_000, now + NEWS_AGAIN_AFTER));
    }
}
