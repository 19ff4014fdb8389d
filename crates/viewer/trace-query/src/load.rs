//! Whole traces, a bounded number of spans in one answer and a few traces in memory at once.

use crate::error::Error;
use waypost_trace_model::{SpanId, Trace, TraceId, TraceSummary};
use waypost_trace_store::TraceStore;

/// The most spans in one answer.
pub(crate) const MAX_SPANS: u64 = 100_000;

/// Spans that are loaded at once, unless one trace alone has more.
const SPANS_AT_ONCE: u64 = 5_000;

/// A trace as it goes into an answer.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) trace: Trace,
    /// A sentence when spans of it were left out.
    pub(crate) cut: Option<String>,
}

/// How many spans an answer has room for.
#[derive(Debug)]
pub(crate) struct Room(u64);

impl Room {
    /// That of a whole answer.
    pub(crate) fn new() -> Room {
        Room(MAX_SPANS)
    }
}

/// Calls `each` with the traces in their order, as far as there is room; those that are not kept are left out. Returns
/// a sentence when traces were left out because the answer would be too large.
///
/// Only a trace that is alone too large for any answer is cut: its earliest spans are given, if it comes first.
pub(crate) fn traces(
    store: &dyn TraceStore,
    ids: &[TraceId],
    room: &mut Room,
    mut each: impl FnMut(Loaded) -> Result<(), Error>,
) -> Result<Option<String>, Error> {
    let summaries = store.summaries(ids)?;
    let fitting = fitting(&summaries, room);
    if let (0, MAX_SPANS, Some(first)) = (fitting, room.0, summaries.first()) {
        if let Some(loaded) = beginning(store, first)? {
            each(loaded)?;
        }
        room.0 = 0;
        return Ok(left_out(summaries.len() - 1));
    }
    let (whole, rest) = summaries.split_at_checked(fitting).unwrap_or((&summaries, &[]));
    for part in parts(whole) {
        for trace in store.traces(&part)? {
            each(Loaded { trace, cut: None })?;
        }
    }
    room.0 = room.0.saturating_sub(whole.iter().map(|summary| summary.spans).sum());
    Ok(left_out(rest.len()))
}

/// One trace, cut to its earliest spans when it is too large.
pub(crate) fn trace(store: &dyn TraceStore, id: TraceId) -> Result<Loaded, Error> {
    let mut found = None;
    traces(store, &[id], &mut Room::new(), |loaded| {
        found = Some(loaded);
        Ok(())
    })?;
    found.filter(|loaded| !loaded.trace.spans.is_empty()).ok_or(Error::TraceNotFound)
}

/// How many of these traces fit into one answer, from the first on.
fn fitting(summaries: &[TraceSummary], room: &Room) -> usize {
    let mut spans = 0_u64;
    summaries
        .iter()
        .take_while(|summary| {
            spans = spans.saturating_add(summary.spans);
            spans <= room.0
        })
        .count()
}

/// The ids in groups that are loaded at once.
fn parts(summaries: &[TraceSummary]) -> Vec<Vec<TraceId>> {
    let mut parts: Vec<Vec<TraceId>> = Vec::new();
    let mut spans = u64::MAX;
    for summary in summaries {
        spans = spans.saturating_add(summary.spans);
        if spans > SPANS_AT_ONCE {
            parts.push(Vec::new());
            spans = summary.spans;
        }
        if let Some(part) = parts.last_mut() {
            part.push(summary.id);
        }
    }
    parts
}

/// The earliest spans of a trace.
fn beginning(store: &dyn TraceStore, summary: &TraceSummary) -> Result<Option<Loaded>, Error> {
    let Some(skeleton) = store.skeleton(summary.id)? else { return Ok(None) };
    let max = usize::try_from(MAX_SPANS).unwrap_or(usize::MAX);
    let ids: Vec<SpanId> = skeleton.nodes.iter().take(max).map(|node| node.span_id).collect();
    let all = skeleton.nodes.len();
    drop(skeleton.nodes);
    let (mut spans, _) = store.spans(summary.id, &ids)?;
    spans.sort_by_key(|span| (span.start, span.span_id));
    // An id that occurs twice brings both of its spans.
    spans.truncate(max);
    let cut = format!(
        "this trace has {all} spans; the first {} are given, which is the most in one answer",
        spans.len()
    );
    let trace = Trace { id: summary.id, spans, logs: Vec::new(), losses: skeleton.losses };
    Ok(Some(Loaded { trace, cut: Some(cut) }))
}

fn left_out(traces: usize) -> Option<String> {
    (traces > 0).then(|| {
        format!(
            "traces found and left out: {traces}; an answer has at most {MAX_SPANS} spans, ask for fewer traces"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_model::{Kind, StatusCode, SummaryRoot, Text, TraceLosses};

    fn summary(id: u8, spans: u64) -> TraceSummary {
        let root = SummaryRoot {
            span_id: SpanId::from_bytes(&[1; 8]).unwrap(),
            is_root: true,
            service: Text::from_static("a"),
            name: Text::from_static("b"),
            kind: Kind::Server,
            status: StatusCode::Unset,
        };
        let id = TraceId::from_bytes(&[id; 16]).unwrap();
        let losses = TraceLosses::default();
        TraceSummary {
            id,
            root,
            start: 1,
            end: 2,
            spans,
            errors: 0,
            orphans: 0,
            services: Vec::new(),
            losses,
        }
    }

    #[test]
    fn traces_fit_up_to_the_bound_and_are_loaded_in_parts() {
        let all = [summary(1, 3_000), summary(2, 2_000), summary(3, 1), summary(4, 94_999), summary(5, 1)];
        assert_eq!(fitting(&all, &Room::new()), 4);
        assert_eq!(fitting(&all, &Room(5_000)), 2);
        assert_eq!(fitting(&[summary(1, MAX_SPANS + 1), summary(2, 1)], &Room::new()), 0);
        let shape: Vec<Vec<u8>> =
            parts(&all).iter().map(|part| part.iter().map(|id| id.as_bytes()[0]).collect()).collect();
        assert_eq!(shape, [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(left_out(0), None);
        assert!(left_out(3).unwrap().starts_with("traces found and left out: 3;"));
    }
}
