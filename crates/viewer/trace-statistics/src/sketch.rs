//! Latencies in buckets whose width grows with the value.
//!
//! Every power of two is cut into 32 equal steps and a value is told by the middle of its step, so it is off by at most
//! 1/64 (1.6 %); values below 64 are exact. Only steps that occurred take memory, 8 bytes each, and there are 1,920 of
//! them for all of `u64`. This is smaller here than a general sketch, since most buckets of time hold few calls.

/// Bits of a value that are kept after its first one.
const PRECISION: u32 = 5;
const STEPS: u64 = 1 << PRECISION;
/// Steps that are one range of a histogram that is drawn.
pub(crate) const RANGE: u16 = 8;

/// How often each latency occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sketch {
    /// By step, ascending.
    bins: Vec<Bin>,
}

/// One step that occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bin {
    pub(crate) step: u16,
    pub(crate) count: u32,
}

impl Sketch {
    pub(crate) fn record(&mut self, value: u64) {
        self.add(step(value), 1);
    }

    /// Counts a step again; the number of a sketch that was written. A step beyond the last counts as the last.
    pub(crate) fn add(&mut self, step: u16, count: u32) {
        let step = step.min(LAST);
        match self.bins.binary_search_by_key(&step, |bin| bin.step) {
            Ok(at) => {
                if let Some(bin) = self.bins.get_mut(at) {
                    bin.count = bin.count.saturating_add(count);
                }
            }
            Err(at) => self.bins.insert(at, Bin { step, count }),
        }
    }

    pub(crate) fn merge(&mut self, other: &Sketch) {
        let mut merged: Vec<Bin> = Vec::with_capacity(self.bins.len().max(other.bins.len()));
        let (mut ours, mut theirs) = (self.bins.iter().peekable(), other.bins.iter().peekable());
        loop {
            let is_ours = match (ours.peek(), theirs.peek()) {
                (Some(our), Some(their)) => our.step <= their.step,
                (our, _) => our.is_some(),
            };
            let Some(bin) = (if is_ours { ours.next() } else { theirs.next() }) else { break };
            match merged.last_mut() {
                Some(last) if last.step == bin.step => last.count = last.count.saturating_add(bin.count),
                _ => merged.push(*bin),
            }
        }
        self.bins = merged;
    }

    pub(crate) fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// How many values are at most this, each told by the middle of its step.
    pub(crate) fn up_to(&self, limit: u64) -> u64 {
        let within = self.bins.iter().take_while(|bin| middle(bin.step) <= limit);
        within.map(|bin| u64::from(bin.count)).sum()
    }

    /// As [`Sketch::up_to`] for each of several limits, ascending.
    pub(crate) fn up_to_each(&self, limits: &[u64]) -> impl Iterator<Item = u64> {
        let mut bins = self.bins.iter().peekable();
        let mut sum = 0;
        limits.iter().map(move |limit| {
            while let Some(bin) = bins.next_if(|bin| middle(bin.step) <= *limit) {
                sum += u64::from(bin.count);
            }
            sum
        })
    }

    /// The value that this part of all (0 to 1, nearest rank) does not exceed; `None` when nothing was recorded.
    pub(crate) fn quantile(&self, part: f64) -> Option<u64> {
        let total: u64 = self.bins.iter().map(|bin| u64::from(bin.count)).sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank off by one of 2^53 calls is within the sketch's error"
        )]
        let rank = ((total as f64 * part.clamp(0.0, 1.0)).ceil() as u64).clamp(1, total.max(1));
        self.at_rank(rank)
    }

    fn at_rank(&self, rank: u64) -> Option<u64> {
        let mut seen = 0;
        let bin = self.bins.iter().find(|bin| {
            seen += u64::from(bin.count);
            seen >= rank
        });
        bin.map(|bin| middle(bin.step))
    }

    /// Values at these ranks (nearest rank, in percent, ascending); 0 when nothing was recorded.
    pub(crate) fn percentiles<const N: usize>(&self, percents: [u64; N]) -> [u64; N] {
        let total: u64 = self.bins.iter().map(|bin| u64::from(bin.count)).sum();
        percents.map(|percent| self.at_rank(total.saturating_mul(percent).div_ceil(100).max(1)).unwrap_or(0))
    }
}

/// The step of `u64::MAX`.
const LAST: u16 = 1919;

/// The step that a value is in.
pub(crate) fn step(value: u64) -> u16 {
    let step = if value < STEPS {
        value
    } else {
        let octave = value.ilog2();
        let within = (value >> (octave - PRECISION)) & (STEPS - 1);
        u64::from(octave - PRECISION + 1) * STEPS + within
    };
    u16::try_from(step).unwrap_or(LAST)
}

/// The least value of a step.
pub(crate) fn low(step: u16) -> u64 {
    let step = u64::from(step.min(LAST));
    if step < STEPS { step } else { (STEPS + step % STEPS) << (step / STEPS - 1) }
}

/// The value that stands for a step.
pub(crate) fn middle(step: u16) -> u64 {
    let width = u64::from(step)
        .checked_div(STEPS)
        .and_then(|octave| octave.checked_sub(1))
        .map_or(0, |shift| 1 << shift);
    low(step) + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_are_exact_and_the_largest_has_the_last_step() {
        for value in 0..64 {
            assert_eq!(middle(step(value)), value);
        }
        assert_eq!(step(u64::MAX), LAST);
        assert_eq!(Sketch::default().percentiles([50, 99]), [0, 0]);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_two_percent_of_the_exact_ones(
            values in prop::collection::vec((0_u32..64).prop_flat_map(|bits| 0..=(u64::MAX >> bits)), 1..400),
            split in any::<prop::sample::Index>(),
        ) {
            let (left, right) = values.split_at(split.index(values.len()));
            let mut sketch = Sketch::default();
            for value in left {
                sketch.record(*value);
            }
            let mut other = Sketch::default();
            for value in right {
                other.record(*value);
            }
            sketch.merge(&other);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            for (percent, told) in [1, 50, 95, 99, 100].into_iter().zip(sketch.percentiles([1, 50, 95, 99, 100])) {
                let exact = sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
                prop_assert!(told.abs_diff(exact) <= exact / 50, "p{percent}: {told} instead of {exact}");
            }
        }
    }
}
