//! The states of an alert. Pure: a state, a verdict and a time give the next state.

use serde::{Deserialize, Serialize};

/// What a measurement says of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Beyond the threshold.
    Beyond,
    /// No longer beyond the threshold, but not yet back at where the alert is resolved.
    Between,
    /// Where an alert is resolved.
    Within,
    /// Too few calls to say.
    Unknown,
}

/// The state of an alert. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Phase {
    /// Nothing is wrong.
    #[default]
    Inactive,
    /// Beyond the threshold, but not yet for long enough.
    Pending {
        /// Since when.
        since: u64,
    },
    /// Wrong for long enough.
    Firing {
        /// Since when it was beyond the threshold.
        since: u64,
        /// When it began to fire.
        fired: u64,
        /// Since when there are too few calls to say.
        unknown_since: Option<u64>,
    },
}

/// How long things must last, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Beyond the threshold before it fires.
    pub hold: u64,
    /// Too few calls before a firing alert is resolved.
    pub forget: u64,
}

/// What a step led to, when somebody is to be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It fires now.
    Fired,
    /// It does not fire any more: the figure is back.
    Resolved,
    /// It does not fire any more: for long nothing could be said.
    Forgotten,
}

/// The next state. A clock that was set back counts as no time.
pub fn step(phase: Phase, verdict: Verdict, now: u64, timing: Timing) -> (Phase, Option<Turn>) {
    match (phase, verdict) {
        (Phase::Inactive, Verdict::Beyond) => beyond_since(now, now, timing),
        (Phase::Pending { since }, Verdict::Beyond) => beyond_since(since, now, timing),
        (Phase::Inactive | Phase::Pending { .. }, _) => (Phase::Inactive, None),
        (Phase::Firing { since, fired, .. }, Verdict::Beyond | Verdict::Between) => {
            (Phase::Firing { since, fired, unknown_since: None }, None)
        }
        (Phase::Firing { .. }, Verdict::Within) => (Phase::Inactive, Some(Turn::Resolved)),
        (Phase::Firing { since, fired, unknown_since }, Verdict::Unknown) => {
            let begun = unknown_since.unwrap_or(now);
            if now.saturating_sub(begun) >= timing.forget {
                return (Phase::Inactive, Some(Turn::Forgotten));
            }
            (Phase::Firing { since, fired, unknown_since: Some(begun) }, None)
        }
    }
}

fn beyond_since(since: u64, now: u64, timing: Timing) -> (Phase, Option<Turn>) {
    if now.saturating_sub(since) < timing.hold {
        return (Phase::Pending { since }, None);
    }
    (Phase::Firing { since, fired: now, unknown_since: None }, Some(Turn::Fired))
}

impl Phase {
    /// Whether it fires.
    pub fn is_firing(&self) -> bool {
        matches!(self, Phase::Firing { .. })
    }

    /// `inactive`, `pending` or `firing`.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Inactive => "inactive",
            Phase::Pending { .. } => "pending",
            Phase::Firing { .. } => "firing",
        }
    }

    /// When it began to fire.
    pub fn fired(&self) -> Option<u64> {
        match self {
            Phase::Firing { fired, .. } => Some(*fired),
            Phase::Inactive | Phase::Pending { .. } => None,
        }
    }

    /// Since when it is not inactive.
    pub fn since(&self) -> Option<u64> {
        match self {
            Phase::Inactive => None,
            Phase::Pending { since } | Phase::Firing { since, .. } => Some(*since),
        }
    }
}
