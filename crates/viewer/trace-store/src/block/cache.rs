//! Parts that were read and unpacked lately, so that a page of a search and the next one do not unpack them
//! again.
//!
//! Two generations: when the younger is full the older is forgotten. What is asked for in between moves to
//! the younger.

use foldhash::{HashMap, HashMapExt};
use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

/// A part: the number of its file, its block, and its id.
pub(crate) type Key = (u64, u32, u32);

type Entry = (Arc<dyn Any + Send + Sync>, usize);

/// A bounded number of unpacked parts.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Entry>,
    young_bytes: usize,
    old: HashMap<Key, Entry>,
}

impl Cache {
    /// Keeps at most so many bytes.
    pub(crate) fn new(bytes: usize) -> Cache {
        Cache { bytes, generations: Mutex::default() }
    }

    /// The part, if it is here.
    pub(crate) fn get<T: Any + Send + Sync>(&self, key: Key) -> Option<Arc<T>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let part = if let Some((part, _)) = generations.young.get(&key) {
            part.clone()
        } else {
            let (part, size) = generations.old.remove(&key)?;
            generations.insert(key, (part.clone(), size), self.bytes / 2);
            part
        };
        part.downcast().ok()
    }

    /// Keeps the part for a while.
    pub(crate) fn insert<T: Any + Send + Sync>(&self, key: Key, part: Arc<T>, size: usize) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(key, (part, size), self.bytes / 2);
    }
}

impl Generations {
    fn insert(&mut self, key: Key, entry: Entry, max: usize) {
        // What an entry takes beside its own bytes.
        let size = entry.1 + 128;
        if size > max {
            return;
        }
        if self.young_bytes + size > max {
            self.old = std::mem::replace(&mut self.young, HashMap::new());
            self.young_bytes = 0;
        }
        self.young_bytes += size;
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let cache = Cache::new(4000);
        for id in 0..20 {
            cache.insert((0, 0, id), Arc::new(id), 500);
            assert_eq!(cache.get::<u32>((0, 0, 0)).as_deref(), Some(&0), "used all the time");
        }
        assert_eq!(cache.get::<u32>((0, 0, 5)), None);
        assert_eq!(cache.get::<u32>((0, 0, 19)).as_deref(), Some(&19));
        assert_eq!(cache.get::<u64>((0, 0, 19)), None, "another type");
    }
}
