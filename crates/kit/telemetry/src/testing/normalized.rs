//! Spans with ids and times that are the same in every run, for snapshots.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use crate::base::finished::FinishedSpan;

/// The spans as they would be under a clock and ids of their own: traces are numbered from 1 by their first start, spans from 1
/// in the order of their start, and each instant that occurs is a millisecond after the one before, from the first second of
/// 1970. Links keep the ids of what is not among the spans.
///
/// What runs at the same time may start in any order, and then so are the numbers: a snapshot is for work in a row. Durations
/// are no more than an order.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, normalized};
///
/// let run = || {
///     let telemetry = TestTelemetry::new("order-service");
///     telemetry.span("place").in_scope(|| waypost_telemetry::span("price").in_scope(|| ()));
///     format!("{:?}", normalized(&telemetry.finished_spans()))
/// };
/// assert_eq!(run(), run());
/// ```
pub fn normalized(spans: &[FinishedSpan]) -> Vec<FinishedSpan> {
    let mut sorted: Vec<&FinishedSpan> = spans.iter().collect();
    // A parent starts before its children or at the same moment; its depth tells then.
    sorted.sort_by_key(|span| (span.start, depth(span, spans)));
    let (mut traces, mut ids) = (HashMap::new(), HashMap::new());
    let mut instants = BTreeSet::new();
    for span in &sorted {
        let next = traces.len() as u128 + 1;
        traces.entry(span.trace_id()).or_insert(TraceId::from(next));
        let next = ids.len() as u64 + 1;
        ids.entry((span.trace_id(), span.span_id())).or_insert(SpanId::from(next));
        instants.extend([span.start, span.end]);
        instants.extend(span.events.iter().map(|event| event.time));
    }
    let order: HashMap<SystemTime, u64> = instants.into_iter().zip(1..).collect();
    let time = |instant: SystemTime| {
        UNIX_EPOCH + Duration::from_millis(order.get(&instant).copied().unwrap_or_default())
    };
    let context = |given: &SpanContext| {
        let trace = traces.get(&given.trace_id()).copied().unwrap_or(given.trace_id());
        let span = ids.get(&(given.trace_id(), given.span_id())).copied().unwrap_or(given.span_id());
        SpanContext::new(trace, span, given.trace_flags(), given.is_remote(), given.trace_state().clone())
    };
    let renumbered = sorted.into_iter().map(|span| {
        let mut renumbered = span.clone();
        renumbered.span_context = context(&span.span_context);
        let parent = (span.trace_id(), span.parent_id);
        renumbered.parent_id = ids.get(&parent).copied().unwrap_or(span.parent_id);
        (renumbered.start, renumbered.end) = (time(span.start), time(span.end));
        renumbered.events.iter_mut().for_each(|event| event.time = time(event.time));
        renumbered.links.iter_mut().for_each(|link| link.span = context(&link.span));
        renumbered
    });
    renumbered.collect()
}

/// How many spans stand above this one.
fn depth(span: &FinishedSpan, spans: &[FinishedSpan]) -> usize {
    let parent = |span: &FinishedSpan| {
        let (trace, parent) = (span.trace_id(), span.parent_id);
        spans.iter().find(move |other| other.trace_id() == trace && other.span_id() == parent)
    };
    std::iter::successors(parent(span), |span| parent(span)).take(spans.len()).count()
}
