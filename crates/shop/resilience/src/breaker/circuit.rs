//! The rule of a breaker as a state machine: time and randomness are arguments, nothing here waits or locks.
//!
//! ```text
//!            too many failures                   wait is over
//!   Open ------------------------> Shut ---------------------------> Probing
//!    ^                              ^                                  |  |
//!    |                              |        the probe fails           |  |
//!    |                              +----------------------------------+  |
//!    +---------------------------- the probe succeeds --------------------+
//! ```
//!
//! Invariant: while the breaker is not open, at most one admitted call is out whose result matters. Results of
//! calls admitted before the last change of state are ignored: they tell of the past.
//!
//! Failures of one cause count once. What fails many calls together, such as a connection that all of them were on or a
//! transaction that their target had put them into, is one thing that went wrong; so a failure tells nothing new when another
//! was counted a moment ago that this call was already under way at.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Random};

/// For so long after a failure those of calls that were under way at it are of the same cause. Short, so that a target that is
/// away is found out soon also where each call has waited for it in vain.
const SAME_CAUSE: Duration = Duration::from_millis(50);

/// When a breaker shuts, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Shuts after this many failures with no success between them. 0 means never.
    pub consecutive_failures: u32,
    /// The time over which the share of successes is looked at.
    pub window: Duration,
    /// Fewer calls than this in the window say nothing.
    pub min_calls: u32,
    /// Shuts when less than this share of the window's calls succeeded. 0 means never.
    pub min_success_rate: f64,
    /// How long it stays shut, longer after every failed probe.
    pub backoff: Backoff,
}

impl Default for Settings {
    /// 7 failures in a row, or less than half of at least 20 calls in 10 s; then shut for half a second to 15 s.
    fn default() -> Self {
        Self {
            consecutive_failures: 7,
            window: Duration::from_secs(10),
            min_calls: 20,
            min_success_rate: 0.5,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(15)),
        }
    }
}

/// How a call went, as far as it tells of the target's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered, if only to say no.
    Success,
    /// The target could not be reached, or failed on its own account.
    Failure,
    /// The target said that it has too much to do. No failure, but no reason to open either.
    Overloaded,
    /// The caller gave up first. Tells nothing.
    Abandoned,
}

/// Whether calls pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Open,
    /// Calls are refused, but for the one that is out.
    Probing,
    /// Calls are refused.
    Shut,
}

/// An admitted call.
#[derive(Debug)]
pub struct Ticket {
    generation: u64,
    is_probe: bool,
    admitted: Instant,
}

impl Ticket {
    /// True when the call's outcome decides whether the breaker opens.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }
}

/// See the module.
#[derive(Debug)]
pub struct Circuit {
    settings: Settings,
    phase: Phase,
    /// Rises with every change of state; tells old tickets from new ones.
    generation: u64,
    /// When a failure was last counted.
    failed: Option<Instant>,
    window: Window,
}

#[derive(Debug)]
enum Phase {
    Open { failures_in_a_row: u32 },
    Shut { until: Instant, failed_probes: u32 },
    Probing { failed_probes: u32 },
}

impl Circuit {
    /// A circuit that lets calls pass.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            phase: Phase::Open { failures_in_a_row: 0 },
            generation: 0,
            failed: None,
            window: Window::new(settings.window, now),
        }
    }

    /// The state as it is; a wait that is over shows at the next [`Circuit::admit`].
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Open { .. } => State::Open,
            Phase::Shut { .. } => State::Shut,
            Phase::Probing { .. } => State::Probing,
        }
    }

    /// Whether [`Circuit::admit`] would let a call through.
    pub fn admits(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Open { .. } => true,
            Phase::Shut { until, .. } => now >= until,
            Phase::Probing { .. } => false,
        }
    }

    /// Lets a call through, or says in how long it is worth asking again.
    pub fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        match self.phase {
            Phase::Open { .. } => Ok(Ticket { generation: self.generation, is_probe: false, admitted: now }),
            Phase::Shut { until, failed_probes } if now >= until => {
                self.enter(Phase::Probing { failed_probes });
                Ok(Ticket { generation: self.generation, is_probe: true, admitted: now })
            }
            Phase::Shut { until, .. } => Err(until - now),
            Phase::Probing { failed_probes } => Err(self.settings.backoff.ceiling(failed_probes)),
        }
    }

    /// Takes the outcome of an admitted call.
    #[expect(clippy::needless_pass_by_value, reason = "a call has one outcome, so its ticket is used up")]
    pub fn settle(&mut self, ticket: Ticket, outcome: Outcome, now: Instant, random: &Random) {
        if ticket.generation != self.generation {
            return;
        }
        match self.phase {
            Phase::Open { .. } if outcome == Outcome::Failure && self.is_of_one_cause(&ticket, now) => {}
            Phase::Open { failures_in_a_row } => self.settle_call(outcome, failures_in_a_row, now, random),
            Phase::Probing { failed_probes } => self.settle_probe(outcome, failed_probes, now, random),
            // A shut breaker has admitted nobody in this generation.
            Phase::Shut { .. } => {}
        }
    }

    fn settle_call(&mut self, outcome: Outcome, failures_in_a_row: u32, now: Instant, random: &Random) {
        let failures_in_a_row = match outcome {
            Outcome::Success => 0,
            Outcome::Failure => failures_in_a_row.saturating_add(1),
            Outcome::Overloaded | Outcome::Abandoned => return,
        };
        if outcome == Outcome::Failure {
            self.failed = Some(now);
        }
        self.window.count(outcome == Outcome::Success, now);
        if outcome == Outcome::Failure && self.is_too_much(failures_in_a_row, now) {
            let until = now + self.settings.backoff.half_jitter(0, random);
            self.enter(Phase::Shut { until, failed_probes: 0 });
        } else {
            self.phase = Phase::Open { failures_in_a_row };
        }
    }

    fn settle_probe(&mut self, outcome: Outcome, failed_probes: u32, now: Instant, random: &Random) {
        match outcome {
            Outcome::Success => {
                self.window = Window::new(self.settings.window, now);
                self.enter(Phase::Open { failures_in_a_row: 0 });
            }
            Outcome::Failure | Outcome::Overloaded => {
                let failed_probes = failed_probes.saturating_add(1);
                let until = now + self.settings.backoff.half_jitter(failed_probes, random);
                self.enter(Phase::Shut { until, failed_probes });
            }
            // Nothing was learnt, so the next call may try.
            Outcome::Abandoned => self.enter(Phase::Shut { until: now, failed_probes }),
        }
    }

    /// Whether a failure was counted a moment ago, while this call was under way.
    fn is_of_one_cause(&self, ticket: &Ticket, now: Instant) -> bool {
        self.failed.is_some_and(|failed| ticket.admitted < failed && now < failed + SAME_CAUSE)
    }

    fn is_too_much(&mut self, failures_in_a_row: u32, now: Instant) -> bool {
        let Settings { consecutive_failures, min_calls, min_success_rate, .. } = self.settings;
        if consecutive_failures > 0 && failures_in_a_row >= consecutive_failures {
            return true;
        }
        let (successes, calls) = self.window.totals(now);
        calls >= min_calls && f64::from(successes) < min_success_rate * f64::from(calls)
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

/// Successes and calls of the last while, in slices that are dropped as they get old.
#[derive(Debug)]
struct Window {
    start: Instant,
    slice: Duration,
    /// The number of the newest slice since `start`.
    newest: u128,
    counts: [(u32, u32); Window::SLICES],
}

impl Window {
    const SLICES: usize = 10;

    fn new(length: Duration, now: Instant) -> Self {
        let slice = (length / 10).max(Duration::from_millis(1));
        Self { start: now, slice, newest: 0, counts: [(0, 0); Self::SLICES] }
    }

    fn count(&mut self, success: bool, now: Instant) {
        self.advance(now);
        let (successes, calls) = &mut self.counts[0];
        *successes = successes.saturating_add(u32::from(success));
        *calls = calls.saturating_add(1);
    }

    fn totals(&mut self, now: Instant) -> (u32, u32) {
        self.advance(now);
        self.counts.iter().fold((0, 0), |(successes, calls), slice| {
            (slice.0.saturating_add(successes), slice.1.saturating_add(calls))
        })
    }

    /// Makes the slice of `now` the first one. A clock that stands still or goes back changes nothing.
    fn advance(&mut self, now: Instant) {
        let number = now.saturating_duration_since(self.start).as_nanos() / self.slice.as_nanos();
        let passed = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(usize::MAX);
        if passed > 0 {
            let passed = passed.min(Self::SLICES);
            self.counts.rotate_right(passed);
            self.counts[..passed].fill((0, 0));
            self.newest = number;
        }
    }
}

#[cfg(test)]
mod tests;
