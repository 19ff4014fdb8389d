//! What speaks for a trace.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, Status};

use super::super::ended::{ATTRIBUTES, EndedSpan};
use crate::base::attributes::SAMPLING_REASON;
use crate::base::config::TailSettings;
use crate::base::wire::attributes::{put_text_attribute, read_attribute};
use crate::base::wire::read::fields;
use crate::core::sampling::matches;

/// Names of which it is known when they were last kept; later ones are not rare.
const MAX_NAMES: usize = 1_000;

/// Why a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A span failed.
    Error,
    /// What a request is in this process took long.
    Slow,
    /// None of its kind was kept for a while.
    Rare,
    /// A span has an attribute that was asked for.
    Attribute,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Rare => "rare",
            Self::Attribute => "attribute",
        }
    }

    /// Appends it to a span's attributes.
    pub(super) fn put(self, attributes: &mut Vec<u8>) {
        put_text_attribute(attributes, ATTRIBUTES, SAMPLING_REASON, self.as_str(), usize::MAX);
    }
}

#[derive(Debug)]
pub(super) struct Reasons {
    errors: bool,
    /// Nanoseconds; `None` if nothing is slow.
    slow: Option<u64>,
    rare_interval: Duration,
    attributes: Vec<(String, String)>,
    last_kept: Mutex<HashMap<Box<str>, Instant>>,
}

impl Reasons {
    pub(super) fn new(settings: &TailSettings) -> Self {
        let slow = Some(settings.slow).filter(|slow| !slow.is_zero());
        Self {
            errors: settings.errors,
            slow: slow.map(|slow| u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX)),
            rare_interval: settings.rare_interval,
            attributes: settings.attributes.clone().into_iter().collect(),
            last_kept: Mutex::default(),
        }
    }

    /// Of one span that has ended. Slow and rare are only the spans by which a trace enters the process: what they stand on
    /// is slow with them.
    pub(super) fn of(&self, span: &EndedSpan<'_>, now: Instant) -> Option<Reason> {
        let is_entry = span.parent_is_remote || span.parent_id == SpanId::INVALID;
        if self.errors && matches!(span.status, Status::Error { .. }) {
            return Some(Reason::Error);
        }
        if self.has_attribute(span) {
            return Some(Reason::Attribute);
        }
        if is_entry && self.slow.is_some_and(|slow| span.end - span.start >= slow) {
            return Some(Reason::Slow);
        }
        (is_entry && self.is_rare(span.name, now)).then_some(Reason::Rare)
    }

    fn has_attribute(&self, span: &EndedSpan<'_>) -> bool {
        let wanted = |attribute: KeyValue| {
            let text = attribute.value.as_str();
            self.attributes
                .iter()
                .any(|(key, pattern)| key == attribute.key.as_str() && matches(pattern, &text))
        };
        !self.attributes.is_empty()
            && fields(span.attributes).any(|(_, attribute)| wanted(read_attribute(attribute.bytes())))
    }

    fn is_rare(&self, name: &str, now: Instant) -> bool {
        if self.rare_interval.is_zero() {
            return false;
        }
        let mut last_kept = self.last_kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last_kept.get_mut(name) {
            let is_rare = now.duration_since(*last) >= self.rare_interval;
            if is_rare {
                *last = now;
            }
            return is_rare;
        }
        let has_room = last_kept.len() < MAX_NAMES;
        if has_room {
            last_kept.insert(name.into(), now);
        }
        has_room
    }
}
