//! The one line a minute about a receiver that does not take telemetry.
//!
//! Failing to send is counted in the ledger; the line only tells an operator where to look. The bound holds for
//! the process and a receiver, so that several handles with the same collector do not add up.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

const BETWEEN_LINES: Duration = Duration::from_mins(1);
/// Receivers remembered; more within a minute share one bound.
const MAX_RECEIVERS: usize = 256;

static LAST_LINES: LazyLock<Mutex<Bound>> = LazyLock::new(Mutex::default);

/// Logs that `receiver` cannot be reached, unless that was said less than a minute ago.
pub(crate) fn raise(receiver: &str, reason: &dyn Display) {
    say(receiver, &format_args!("telemetry cannot be sent: {reason}"));
}

/// Logs a warning that came with an answer, within the same bound.
pub(crate) fn pass_on(receiver: &str, warning: &dyn Display) {
    say(receiver, &format_args!("the receiver of telemetry warns: {warning}"));
}

/// Logs that nobody says how much is sampled, within the same bound.
#[cfg(feature = "jaeger-remote")]
pub(crate) fn no_strategy(receiver: &str, reason: &dyn Display) {
    say(receiver, &format_args!("no sampling strategy: {reason}; the last one stays in force"));
}

fn say(receiver: &str, text: &dyn Display) {
    let held_back = LAST_LINES.lock().unwrap_or_else(PoisonError::into_inner).allow(receiver, Instant::now());
    if let Some(held_back) = held_back {
        tracing::warn!(receiver, held_back, "{text}");
    }
}

#[derive(Debug, Default)]
struct Bound {
    receivers: HashMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    last: Instant,
    held_back: u64,
}

impl Bound {
    /// How many lines were held back since the last, if one may be written now.
    fn allow(&mut self, receiver: &str, now: Instant) -> Option<u64> {
        let is_full =
            |bound: &Self| bound.receivers.len() >= MAX_RECEIVERS && !bound.receivers.contains_key(receiver);
        if is_full(self) {
            // Whoever was quiet for so long may be named again at once, so nothing of them has to be known.
            self.receivers.retain(|_, said| now.duration_since(said.last) < BETWEEN_LINES);
        }
        let receiver = if is_full(self) { "" } else { receiver };
        let Some(said) = self.receivers.get_mut(receiver) else {
            self.receivers.insert(receiver.to_owned(), Said { last: now, held_back: 0 });
            return Some(0);
        };
        if now.duration_since(said.last) < BETWEEN_LINES {
            said.held_back += 1;
            return None;
        }
        said.last = now;
        Some(std::mem::take(&mut said.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_and_receiver() {
        let mut bound = Bound::default();
        let start = Instant::now();
        assert_eq!(bound.allow("a", start), Some(0));
        assert_eq!(bound.allow("b", start), Some(0));
        for second in 1..60 {
            assert_eq!(bound.allow("a", start + Duration::from_secs(second)), None);
        }
        assert_eq!(bound.allow("a", start + BETWEEN_LINES), Some(59));
        assert_eq!(bound.allow("a", start + BETWEEN_LINES), None);
    }

    #[test]
    fn many_receivers_do_not_take_memory_without_end() {
        let mut bound = Bound::default();
        let start = Instant::now();
        let lines = (0..1_000).filter_map(|n| bound.allow(&n.to_string(), start)).count();
        assert_eq!((lines, bound.receivers.len()), (MAX_RECEIVERS + 1, MAX_RECEIVERS + 1));
    }

    #[test]
    fn a_receiver_is_named_however_many_were_in_trouble_before() {
        let mut bound = Bound::default();
        let start = Instant::now();
        for n in 0..MAX_RECEIVERS {
            bound.allow(&n.to_string(), start);
        }
        let later = start + BETWEEN_LINES;
        assert_eq!((bound.allow("a", later), bound.allow("a", later)), (Some(0), None));
        assert_eq!((bound.allow("b", later), bound.receivers.len()), (Some(0), 2));
    }
}
