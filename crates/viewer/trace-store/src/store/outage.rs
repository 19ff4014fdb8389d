//! When to say that something fails: at once, then seldom. A line for every failure of a full disk would go to
//! the same disk.

use std::time::{Duration, Instant};

/// The least time between two lines about failures.
const EVERY: Duration = Duration::from_mins(1);

/// What was said of something that may fail over and over.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    told: Option<Instant>,
    untold: u64,
    /// It was said that it fails, and not yet that it works again.
    is_told: bool,
}

impl Outage {
    /// It failed. Returns how many failures to tell of, this one included, when it is time to.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        // Also across a recovery: what fails and works in turns is not told of each time.
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        self.told = Some(now);
        self.is_told = true;
        Some(std::mem::take(&mut self.untold))
    }

    /// It worked. Returns how many failures were not told of, when it is to be said that it works again.
    pub(crate) fn worked(&mut self) -> Option<u64> {
        std::mem::take(&mut self.is_told).then(|| std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told_at_once_then_one_a_minute_and_once_that_it_works() {
        let (mut outage, begin) = (Outage::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(outage.worked(), None, "nothing failed");
        assert_eq!(outage.failed(begin), Some(1));
        assert_eq!(outage.failed(after(1)), None);
        assert_eq!(outage.failed(after(59)), None);
        assert_eq!(outage.failed(after(60)), Some(3));
        assert_eq!(outage.failed(after(61)), None);
        assert_eq!(outage.worked(), Some(1));
        assert_eq!(outage.worked(), None);
        assert_eq!(outage.failed(after(62)), None, "a disk that fails in turns is not told of each time");
        assert_eq!(outage.worked(), None);
        assert_eq!(outage.failed(after(120)), Some(2));
    }
}
