//! What one request may still bring, and the account of what it brought in vain.
//!
//! Every decoder passes each record, and each part of one, by here before it takes memory for it.
//!
//! Invariant: a record that was refused gives back the room that its parts took.

use crate::{
    Limits, Refusal, RefusalReason, Text, TraceId,
    otlp::DecodeError,
    wire::{Fault, Raw, Reader},
};
use std::collections::HashMap;

/// Why decoding of a record, or of the whole request, ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The request cannot be understood.
    Malformed(Fault),
    /// The request has more records than one may have.
    TooManyRecords { limit: usize },
    /// The record is not kept; the next one may be.
    Refused(RefusalReason),
}

impl Stop {
    /// The same, found within the message of this name.
    #[cold]
    pub(crate) fn within(self, name: &'static str) -> Stop {
        match self {
            Stop::Malformed(fault) => Stop::Malformed(fault.within(name)),
            other => other,
        }
    }
}

/// As the answer to a whole request. Every refusal is caught at its record, so that none is left here.
impl From<Stop> for DecodeError {
    fn from(stop: Stop) -> DecodeError {
        match stop {
            Stop::Malformed(fault) => DecodeError::Malformed(fault.to_string()),
            Stop::TooManyRecords { limit } => DecodeError::TooManyRecords { limit },
            Stop::Refused(reason) => DecodeError::Malformed(reason.name().to_owned()),
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Malformed(fault)
    }
}

impl From<RefusalReason> for Stop {
    fn from(reason: RefusalReason) -> Stop {
        Stop::Refused(reason)
    }
}

/// A text of at most `limit` bytes.
#[inline]
pub(crate) fn text<'a>(reader: &Reader<'a>, raw: Raw<'a>, limit: usize) -> Result<Text, Stop> {
    let bytes = reader.bytes(raw)?;
    if bytes.len() > limit {
        return Err(RefusalReason::AttributeLimit.into());
    }
    let text = reader.share_text(bytes);
    // Longer than its bytes when some of them were not UTF-8.
    if text.len() > limit {
        return Err(RefusalReason::AttributeLimit.into());
    }
    Ok(text)
}

/// Which of a [`Refusal`]'s counts a record is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Span,
    Log,
}

/// What one request may still bring.
#[derive(Debug)]
pub(crate) struct Admission<'l> {
    pub(crate) limits: &'l Limits,
    records: usize,
    parts: usize,
    refusals: Vec<Refusal>,
    /// Place of each refusal in the list.
    places: HashMap<(Text, Option<TraceId>, RefusalReason), usize>,
}

impl<'l> Admission<'l> {
    pub(crate) fn new(limits: &'l Limits) -> Admission<'l> {
        Admission {
            limits,
            records: limits.records,
            parts: limits.parts,
            refusals: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Takes room for one more record, kept or not.
    #[inline]
    pub(crate) fn record(&mut self) -> Result<(), Stop> {
        self.records =
            self.records.checked_sub(1).ok_or(Stop::TooManyRecords { limit: self.limits.records })?;
        Ok(())
    }

    /// How many more records there may be.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Takes room for one more attribute beside those that a list has.
    #[inline]
    pub(crate) fn attribute(&mut self, have: usize) -> Result<(), RefusalReason> {
        self.part(have, self.limits.attributes, RefusalReason::AttributeLimit)
    }

    /// Takes room for one more event beside those that a span has.
    #[inline]
    pub(crate) fn event(&mut self, have: usize) -> Result<(), RefusalReason> {
        self.part(have, self.limits.events, RefusalReason::PartLimit)
    }

    /// Takes room for one more link beside those that a span has.
    #[inline]
    pub(crate) fn link(&mut self, have: usize) -> Result<(), RefusalReason> {
        self.part(have, self.limits.links, RefusalReason::PartLimit)
    }

    #[inline]
    fn part(&mut self, have: usize, max: usize, reason: RefusalReason) -> Result<(), RefusalReason> {
        if have >= max {
            return Err(reason);
        }
        self.parts = self.parts.checked_sub(1).ok_or(reason)?;
        Ok(())
    }

    /// What there is room for now, for [`Admission::give_back`].
    #[inline]
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// Makes room again for everything that was taken since there was room for so many parts.
    #[inline]
    pub(crate) fn give_back(&mut self, parts: usize) {
        self.parts = parts;
    }

    /// Counts a record that is not kept.
    pub(crate) fn refuse(
        &mut self,
        service: &Text,
        trace_id: Option<TraceId>,
        reason: RefusalReason,
        signal: Signal,
    ) {
        let refusals = &mut self.refusals;
        let place = *self.places.entry((service.clone(), trace_id, reason)).or_insert_with(|| {
            refusals.push(Refusal { service: service.clone(), trace_id, reason, spans: 0, logs: 0 });
            refusals.len() - 1
        });
        if let Some(refusal) = refusals.get_mut(place) {
            match signal {
                Signal::Span => refusal.spans += 1,
                Signal::Log => refusal.logs += 1,
            }
        }
    }

    /// Everything that was not kept: one entry for each service, trace and reason, in order of appearance.
    pub(crate) fn into_refusals(self) -> Vec<Refusal> {
        self.refusals
    }
}

/// What one value may still hold, see [`Limits::value_length`] and [`Limits::depth`].
#[derive(Debug)]
pub(crate) struct Room {
    bytes: usize,
    depth: usize,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Room {
        Room { bytes: limits.value_length, depth: limits.depth.min(Limits::DEEPEST) }
    }

    /// How long a text, byte string or key may be.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes room for a text, a byte string, or a key.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), RefusalReason> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(RefusalReason::AttributeLimit)?;
        Ok(())
    }

    /// Takes room for one more part of an array or map.
    #[inline]
    pub(crate) fn part(&mut self, admission: &mut Admission<'_>) -> Result<(), RefusalReason> {
        self.take(8)?;
        admission.part(0, usize::MAX, RefusalReason::AttributeLimit)
    }

    /// Goes into an array or map.
    pub(crate) fn enter(&mut self) -> Result<(), RefusalReason> {
        self.depth = self.depth.checked_sub(1).ok_or(RefusalReason::AttributeLimit)?;
        Ok(())
    }

    /// Comes out of it.
    pub(crate) fn leave(&mut self) {
        self.depth += 1;
    }
}
