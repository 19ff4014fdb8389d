//! What is odd about a trace, in sentences on the trace and on its spans: what Jaeger's adjusters would warn of, and
//! what the store knows to be missing.
//!
//! Times are never changed here; a clock that is off is said and not corrected, which is Jaeger's default too.

use super::ids::Pair;
use crate::{load::Loaded, parameters::time_text};
use std::{collections::HashMap, time::Duration};
use waypost_trace_model::{Span, SpanId, Value};

/// Warnings on the trace as a whole.
pub(crate) fn of_trace(loaded: &Loaded) -> Vec<String> {
    let losses = &loaded.trace.losses;
    let refused =
        losses.refused.iter().filter(|(_, spans)| **spans > 0).map(|(reason, spans)| {
            format!("spans of this trace that were refused ({}): {spans}", reason.name())
        });
    let evicted = (losses.evicted > 0)
        .then(|| format!("spans of this trace that were dropped since to make room: {}", losses.evicted));
    loaded.cut.clone().into_iter().chain(refused).chain(evicted).collect()
}

/// Warnings on each span, in the order of the spans. `is_cut` says that spans were left out of the answer, so that a
/// missing parent means nothing.
pub(crate) fn of_spans(spans: &[Span], ids: &[Pair], is_cut: bool) -> Vec<Vec<String>> {
    let mut by_id: HashMap<SpanId, &Span> = HashMap::with_capacity(spans.len());
    let mut warnings = Vec::with_capacity(spans.len());
    for (span, (id, _)) in spans.iter().zip(ids) {
        let repeated =
            by_id.contains_key(id).then(|| "another span of this trace has the same id".to_owned());
        by_id.entry(*id).or_insert(span);
        warnings.push(Vec::from_iter(repeated));
    }
    for ((span, (_, parent)), warnings) in spans.iter().zip(ids).zip(&mut warnings) {
        match parent.map(|parent| (parent, by_id.get(&parent))) {
            Some((parent, None)) if !is_cut => {
                warnings.push(format!("its parent {parent} is not in this trace"));
            }
            Some((_, Some(parent))) => warnings.extend(skew(span, parent)),
            _ => {}
        }
        warnings.extend(own(span));
    }
    warnings
}

/// A span that begins before its parent on another host: one of the clocks is off.
fn skew(span: &Span, parent: &Span) -> Option<String> {
    let early = parent.start.checked_sub(span.start).filter(|early| *early > 0)?;
    let (own, other) = (host(span), host(parent));
    let is_same_host = own.is_some() && own == other;
    (!is_same_host).then(|| {
        let early = Duration::from_nanos(early);
        format!("clock skew: it begins {early:?} before its parent; its times are as they were received")
    })
}

/// What a span says about itself.
fn own(span: &Span) -> impl Iterator<Item = String> {
    let backwards = (span.end < span.start)
        .then(|| format!("it ended before it began, at {}; its duration is shown as 0", time_text(span.end)));
    let dropped = [
        ("attributes", span.dropped_attributes),
        ("events", span.dropped_events),
        ("links", span.dropped_links),
    ];
    let dropped = dropped.into_iter().filter(|(_, count)| *count > 0);
    backwards
        .into_iter()
        .chain(dropped.map(|(what, count)| format!("{what} that the client dropped: {count}")))
}

/// What tells one host from another: its id, or else its first address, or else its name.
fn host(span: &Span) -> Option<String> {
    ["host.id", "host.ip", "host.name"].iter().find_map(|key| {
        let found = span.resource.attributes.iter().find(|attribute| &*attribute.key == *key)?;
        match &found.value {
            Value::Array(values) => values.first().map(ToString::to_string),
            value => Some(value.to_string()),
        }
    })
}
