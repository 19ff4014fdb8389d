//! A small table that is filled once and then only read: what an edge would otherwise look up for every request.
//!
//! For the span names and metric series of one edge. Finding takes no lock and writes nothing, so that threads do not
//! wait for each other. Bounded: where there is no room a value is not kept, and its user does without. Nothing is
//! ever replaced or removed.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

/// A power of two.
const SLOTS: usize = 128;
/// Slots looked at for one key.
const TRIES: usize = 8;

/// At most 128 values, each found by its key.
#[derive(Debug)]
pub(crate) struct Slots<K, V>(Box<[Slot<K, V>]>);

/// Boxed, so that an empty table is small.
type Slot<K, V> = OnceLock<Box<(K, V)>>;

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(SLOTS).collect())
    }
}

impl<K: Eq, V> Slots<K, V> {
    /// The value of a key.
    pub(crate) fn find<Q: Eq + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.find_with(key, |known| known.borrow() == key)
    }

    /// The value of the key that `is_it`; `hashed` hashes as that key does.
    pub(crate) fn find_with(&self, hashed: &impl Hash, is_it: impl Fn(&K) -> bool) -> Option<&V> {
        self.find_entry(hashed, is_it).map(|(_, value)| value)
    }

    /// As [`find_with`](Self::find_with), with the key that was kept.
    pub(crate) fn find_entry(&self, hashed: &impl Hash, is_it: impl Fn(&K) -> bool) -> Option<&(K, V)> {
        for slot in self.slots_of(hashed) {
            let entry = &**slot.get()?;
            if is_it(&entry.0) {
                return Some(entry);
            }
        }
        None
    }

    /// Whether a value for this key could be kept.
    pub(crate) fn has_room(&self, key: &K) -> bool
    where
        K: Hash,
    {
        self.slots_of(key).any(|slot| slot.get().is_none())
    }

    /// Keeps a value, if there is room.
    pub(crate) fn keep(&self, key: K, value: V)
    where
        K: Hash,
    {
        let mut entry = Box::new((key, value));
        let hash = hash_of(&entry.0);
        for slot in self.slots_at(hash) {
            match slot.set(entry) {
                Ok(()) => return,
                Err(refused) => entry = refused,
            }
            // Somebody was faster with the same key.
            if slot.get().is_some_and(|known| known.0 == entry.0) {
                return;
            }
        }
    }

    fn slots_of(&self, hashed: &impl Hash) -> impl Iterator<Item = &Slot<K, V>> {
        self.slots_at(hash_of(hashed))
    }

    fn slots_at(&self, hash: u64) -> impl Iterator<Item = &Slot<K, V>> {
        let first = usize::try_from(hash >> (u64::BITS - SLOTS.trailing_zeros())).unwrap_or_default();
        (first..first + TRIES).filter_map(|index| self.0.get(index % SLOTS))
    }
}

/// Fast, for tables of few entries: the high bits are the good ones.
pub(crate) fn hash_of(key: &impl Hash) -> u64 {
    let mut hasher = Words(0);
    key.hash(&mut hasher);
    hasher.0
}

/// Eight bytes at a time; the high bits are the good ones. Keys are short, and nobody gains by choosing them, as a full
/// table only costs the way without it.
struct Words(u64);

impl Words {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        // The last word again, as far as it is not new.
        match (rest, bytes.last_chunk::<8>()) {
            ([], _) => {}
            (_, Some(last)) => self.add(u64::from_le_bytes(*last)),
            (_, None) => self.add(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_and_the_first_value_stays() {
        let slots = Slots::default();
        assert_eq!(slots.find(&"a"), None);
        slots.keep("a", 1);
        slots.keep("b", 2);
        slots.keep("a", 3);
        assert_eq!((slots.find(&"a"), slots.find(&"b"), slots.find(&"c")), (Some(&1), Some(&2), None));
    }

    #[test]
    fn a_full_table_keeps_no_more_and_still_finds() {
        let slots = Slots::default();
        for key in 0..10_000_u32 {
            slots.keep(key, key);
        }
        let kept = (0..10_000).filter(|key| slots.find(key) == Some(key)).count();
        assert_eq!(kept, SLOTS);
    }
}
