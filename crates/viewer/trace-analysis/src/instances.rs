//! Whether one instance of many has most of what is wrong.
//!
//! Named is an instance that has at least 60 % of the bad calls and five of them, whose calls are bad at least three times as
//! often as those of all others together, and that has more of them than chance gives it: by four standard
//! deviations of the binomial distribution of as many bad calls over the instances' calls.

use std::collections::BTreeMap;

use waypost_trace_model::Text;

/// Instances that are told apart; calls of further ones count as those of others.
const MAX_INSTANCES: usize = 10_000;

const MIN_BAD: u64 = 5;
const MOST: f64 = 0.6;
const TIMES: f64 = 3.0;
const DEVIATIONS: f64 = 4.0;

/// Calls of instances, and how many of them are bad.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    counts: BTreeMap<Text, Counts>,
    all: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    calls: u64,
    bad: u64,
}

/// The instance that has most of what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInstance {
    /// Its name.
    pub name: Text,
    /// Its calls.
    pub calls: u64,
    /// Those of them that are bad.
    pub bad: u64,
    /// Calls of all other instances.
    pub other_calls: u64,
    /// Those of them that are bad.
    pub other_bad: u64,
}

impl Instances {
    /// Counts calls of an instance.
    pub fn add(&mut self, name: &Text, calls: u64, bad: u64) {
        self.all.calls += calls;
        self.all.bad += bad;
        if !self.counts.contains_key(name) {
            if self.counts.len() >= MAX_INSTANCES {
                return;
            }
            // A text of its own: one of a span may keep more in memory.
            self.counts.insert(Text::from(name.to_string()), Counts::default());
        }
        let Some(known) = self.counts.get_mut(name) else { return };
        known.calls += calls;
        known.bad += bad;
    }

    /// The one that has most of what is wrong, when there is such a one.
    #[expect(clippy::cast_precision_loss, reason = "shares are compared with a few digits")]
    pub fn worst(&self) -> Option<BadInstance> {
        let (name, own) =
            self.counts.iter().max_by_key(|(_, counts)| (counts.bad, u64::MAX - counts.calls))?;
        let others = Counts { calls: self.all.calls - own.calls, bad: self.all.bad - own.bad };
        let (bad, all_bad) = (own.bad as f64, self.all.bad as f64);
        if own.bad < MIN_BAD || others.calls == 0 || bad < MOST * all_bad {
            return None;
        }
        let (own_share, other_share) = (bad / own.calls as f64, others.bad as f64 / others.calls as f64);
        if own_share < TIMES * other_share {
            return None;
        }
        let part = own.calls as f64 / self.all.calls as f64;
        let deviation = (all_bad * part * (1.0 - part)).sqrt();
        (bad - all_bad * part >= DEVIATIONS * deviation).then(|| BadInstance {
            name: name.clone(),
            calls: own.calls,
            bad: own.bad,
            other_calls: others.calls,
            other_bad: others.bad,
        })
    }
}

impl BadInstance {
    /// `instance order-2: 48 of 52 failed, of all others 3 of 110`; `what` is what bad calls did.
    pub fn sentence(&self, what: &str) -> String {
        let BadInstance { name, calls, bad, other_calls, other_bad } = self;
        format!("instance {name}: {bad} of {calls} {what}, of all others {other_bad} of {other_calls}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(counts: &[(&'static str, u64, u64)]) -> Option<String> {
        let mut instances = Instances::default();
        for (name, calls, bad) in counts {
            instances.add(&Text::from(*name), *calls, *bad);
        }
        instances.worst().map(|worst| worst.sentence("failed"))
    }

    #[test]
    fn an_instance_is_named_when_it_has_most_of_what_is_wrong_and_not_by_chance() {
        let told = "instance b: 48 of 52 failed, of all others 3 of 110";
        assert_eq!(worst(&[("a", 60, 1), ("b", 52, 48), ("c", 50, 2)]).as_deref(), Some(told));
        assert!(worst(&[("a", 50, 0), ("b", 50, 20)]).is_some());
        // All fail alike; one alone; too few; many calls and so many failures; less than chance can do.
        assert_eq!(worst(&[("a", 50, 20), ("b", 50, 22)]), None);
        assert_eq!(worst(&[("a", 50, 50)]), None);
        assert_eq!(worst(&[("a", 50, 0), ("b", 50, 4)]), None);
        assert_eq!(worst(&[("a", 10, 2), ("b", 100, 22)]), None);
        assert_eq!(worst(&[("a", 50, 1), ("b", 50, 6)]), None);
    }
}
