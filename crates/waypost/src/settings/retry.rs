//! The broker section's part about events whose handler fails.

use serde::{Deserialize, Serialize};
use waypost_durable::consume::RetryTopics;
use waypost_settings::{Complaint, Duration, settings};

/// Retry topics that there may be.
const MAX_TOPICS: usize = 8;

/// The longest pause.
const MAX_PAUSE: std::time::Duration = std::time::Duration::from_hours(24);

settings! {
    /// What becomes of an event whose handler fails on it, after `notification.attempts` tries where it stands. Processes with
    /// the order and the notification role have the same values.
    pub(crate) struct Retry {
        /// `in_place`: it is parked as a dead letter, and while it is tried the events behind it wait; events of an order are
        /// handled in their order. `topics`: it goes to topics of its own and is tried again after each of `pauses`; the events
        /// behind it go on, those of its own order as well, and may be handled before it.
        pub(crate) kind: RetryKind = RetryKind::InPlace,
        /// How long it waits before each further try, for `kind = "topics"`: one topic each, `order-events.retry.1` and so
        /// on. After the last one it is parked. Taking a pause away leaves what waits in its topic there.
        pub(crate) pauses: Vec<Duration> = [10, 60, 600].map(Duration::from_secs).into(),
    }
}

/// Where an event is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetryKind {
    /// Where it stands.
    #[default]
    InPlace,
    /// In topics for that.
    Topics,
}

impl Retry {
    /// The retry topics that there are to be.
    pub(crate) fn topics(&self) -> RetryTopics {
        match self.kind {
            RetryKind::InPlace => RetryTopics::default(),
            RetryKind::Topics => RetryTopics::after(self.pauses.iter().map(|pause| pause.get())),
        }
    }

    /// What cannot be used.
    pub(super) fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut complain = |reason: String| complaints.push(Complaint::new("pauses", reason));
        if self.kind == RetryKind::InPlace {
            return complaints;
        }
        if self.pauses.is_empty() || self.pauses.len() > MAX_TOPICS {
            complain(format!("must be 1 to {MAX_TOPICS} pauses"));
        }
        if self.pauses.iter().any(|pause| pause.is_zero() || pause.get() > MAX_PAUSE) {
            complain("each must be more than 0s and at most 24h".to_owned());
        }
        if !self.pauses.is_sorted() {
            complain("none may be shorter than the one before it".to_owned());
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(kind: RetryKind, pauses: &[u64]) -> usize {
        let pauses = pauses.iter().copied().map(Duration::from_secs).collect();
        Retry { kind, pauses }.check().len()
    }

    #[test]
    fn pauses_that_cannot_be_used_are_said() {
        assert_eq!(complaints(RetryKind::Topics, &[1, 1, 60]), 0);
        assert_eq!(complaints(RetryKind::Topics, &[]), 1);
        assert_eq!(complaints(RetryKind::Topics, &[1; 9]), 1);
        assert_eq!(complaints(RetryKind::Topics, &[0, 86_401]), 1);
        assert_eq!(complaints(RetryKind::Topics, &[60, 10]), 1);
        assert_eq!(complaints(RetryKind::InPlace, &[]), 0, "they have no effect");
    }

    #[test]
    fn there_are_no_retry_topics_unless_they_are_asked_for() {
        assert_eq!(Retry::default().topics().count(), 0);
        let asked = Retry { kind: RetryKind::Topics, ..Retry::default() };
        assert_eq!(asked.topics().names("t"), ["t.retry.1", "t.retry.2", "t.retry.3"]);
    }
}
