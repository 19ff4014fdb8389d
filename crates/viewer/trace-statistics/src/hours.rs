//! What stays of an hour when it became part of a day: how many calls, how many failed, and three percentiles.
//!
//! Invariant: at most [`MAX`] hours of one thing, 20 bytes each.

use crate::{
    series::HOUR,
    sketch::{middle, step},
};
use std::collections::VecDeque;

/// A week of hours.
const MAX: usize = 7 * 24;

/// One hour of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Latencies in nanoseconds, within 2 %.
    pub p50: u64,
    /// As `p50`.
    pub p95: u64,
    /// As `p50`.
    pub p99: u64,
}

/// Hours by their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PastHours(VecDeque<Packed>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    /// Hours since 1970.
    number: u32,
    calls: u32,
    errors: u32,
    /// Steps of a sketch.
    percentiles: [u16; 3],
}

impl PastHours {
    /// Adds an hour. Of an hour that is there already, which a clock that was set back makes, the counts are added and the
    /// percentiles are those of the part with more calls.
    pub(crate) fn push(&mut self, hour: &Hour) {
        let packed = Packed::of(hour);
        match self.0.binary_search_by_key(&packed.number, |known| known.number) {
            Ok(at) => {
                if let Some(known) = self.0.get_mut(at) {
                    let more = if packed.calls > known.calls { packed } else { *known };
                    known.percentiles = more.percentiles;
                    known.calls = known.calls.saturating_add(packed.calls);
                    known.errors = known.errors.saturating_add(packed.errors);
                }
            }
            Err(at) => self.0.insert(at, packed),
        }
        while self.0.len() > MAX {
            self.0.pop_front();
        }
    }

    /// The hour that began at this moment.
    pub(crate) fn get(&self, start: u64) -> Option<Hour> {
        let number = u32::try_from(start / HOUR).ok()?;
        let at = self.0.binary_search_by_key(&number, |known| known.number).ok()?;
        self.0.get(at).map(|packed| packed.hour())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Hour> {
        self.0.iter().map(|packed| packed.hour())
    }
}

impl Packed {
    fn of(hour: &Hour) -> Packed {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Packed {
            number: small(hour.start / HOUR),
            calls: small(hour.calls),
            errors: small(hour.errors),
            percentiles: [hour.p50, hour.p95, hour.p99].map(step),
        }
    }

    fn hour(self) -> Hour {
        let [p50, p95, p99] = self.percentiles.map(middle);
        let start = u64::from(self.number) * HOUR;
        Hour { start, calls: self.calls.into(), errors: self.errors.into(), p50, p95, p99 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: u64, calls: u64) -> Hour {
        Hour { start: number * HOUR, calls, errors: 1, p50: 40, p95: 50, p99: 60 }
    }

    #[test]
    fn a_week_is_kept_in_order_and_an_hour_that_comes_again_is_added() {
        let mut hours = PastHours::default();
        for number in (0..400).rev().chain(100..500) {
            hours.push(&hour(number, 2));
        }
        let kept: Vec<Hour> = hours.iter().collect();
        assert_eq!(kept.len(), MAX);
        assert!(kept.windows(2).all(|two| two[0].start < two[1].start));
        assert_eq!(hours.get(499 * HOUR), Some(hour(499, 2)));
        assert_eq!(hours.get(350 * HOUR), Some(Hour { errors: 2, ..hour(350, 4) }));
        assert_eq!(hours.get(HOUR), None);
    }
}
