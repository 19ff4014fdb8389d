//! Which holder of a lease somebody is.
//!
//! For work that one process at a time may do and others have to be told apart by: who takes it over gets the next
//! epoch, shows it with each request, and whoever is asked refuses what an earlier holder asks for. A clock cannot do
//! that: a process that slept past its lease does not know that it did.

use std::fmt;

/// The number of a holder of a lease: 1 for the first one, one more with each take-over.
///
/// ```
/// use waypost_durable::Epoch;
/// let (first, second) = (Epoch::FIRST, Epoch::FIRST.next());
/// assert!(first.is_overtaken_by(second) && !second.is_overtaken_by(second));
/// assert!(Epoch::NONE.is_overtaken_by(first), "who names no epoch is no holder");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Of whoever holds nothing. Lower than every holder's.
    pub const NONE: Epoch = Epoch(0);
    /// Of the first holder.
    pub const FIRST: Epoch = Epoch(1);

    /// An epoch by its number.
    pub const fn new(number: u64) -> Epoch {
        Epoch(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// That of the holder after this one.
    #[must_use]
    pub const fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }

    /// True when somebody who was seen holds the lease since: what is asked in this epoch is to be refused.
    pub fn is_overtaken_by(self, seen: Epoch) -> bool {
        self < seen
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
