//! Memory of everything that is on its way to the store, as one sum.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The sum and its limit. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    limit: usize,
    taken: Arc<AtomicUsize>,
}

/// A part of the sum, given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    account: Account,
    bytes: usize,
}

impl Account {
    pub(crate) fn new(limit: usize) -> Account {
        Account { limit, taken: Arc::default() }
    }

    /// A part without a byte, which may grow.
    pub(crate) fn part(&self) -> Reservation {
        Reservation { account: self.clone(), bytes: 0 }
    }

    #[cfg(test)]
    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Takes more; false, and nothing taken, when there is no room for it.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let Account { limit, taken } = &self.account;
        // Only the sum matters; no other memory is ordered by it.
        let room = |sum: usize| sum.checked_add(bytes).filter(|sum| sum <= limit);
        let has_room = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if has_room {
            self.bytes += bytes;
        }
        has_room
    }

    /// How much it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.account.taken.fetch_sub(surplus, Ordering::Relaxed);
        self.bytes -= surplus;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_beyond_the_limit_and_everything_is_given_back() {
        let account = Account::new(100);
        let (mut first, mut second) = (account.part(), account.part());
        assert!(first.grow(60));
        assert!(!second.grow(41));
        assert!(second.grow(40));
        assert!(!first.grow(1));
        assert!(!first.grow(usize::MAX));
        first.shrink_to(10);
        assert!(second.grow(50));
        assert_eq!((first.bytes(), second.bytes(), account.taken()), (10, 90, 100));
        drop((first, second));
        assert_eq!(account.taken(), 0);
    }
}
