//! Findings in the traces of a window, for the rules about them.
//!
//! At most [`TRACES`] traces of a window are looked at and [`SPANS`] spans read. To look takes far longer than to
//! read a figure, so it is done beside the evaluation of the rules and rests nine times as long as it took.

use crate::{analysed::Analysed, sample};
use std::ops::RangeInclusive;
use waypost_trace_alerts::{Looked, Search};
use waypost_trace_analysis::{Sample, findings};
use waypost_trace_model::TraceId;
use waypost_trace_statistics::Subject;
use waypost_trace_store::{Query, ReadError, SpanFilter, TraceStore};

/// Traces that are looked at.
const TRACES: usize = 200;
/// Spans that are read for one look; further traces are left out.
const SPANS: usize = 200_000;
/// Spans of one trace whose attributes are read.
const DETAILED: usize = 4_000;
/// The window ends so many nanoseconds ago: before, the last spans of a trace may still be on their way, and one that is not whole
/// seems to have gaps.
const SETTLED: u64 = 10_000_000_000;

/// The traces that began in the window up to `now`, in nanoseconds since 1970.
pub(super) fn look(store: &dyn TraceStore, search: &Search, now: u64) -> Result<Looked, ReadError> {
    let until = now.saturating_sub(SETTLED);
    let range = until.saturating_sub(search.window)..=until;
    let (spans, from_match) = filter(search.subject.as_ref());
    let chosen = sample::sample(store, query(range, spans.clone()), TRACES)?;
    let mut looked = Looked::among(chosen.matching as u64);
    let mut read = 0;
    for id in &chosen.traces {
        let below = Some(&spans).filter(|_| from_match);
        // A trace that was dropped meanwhile is left out.
        let Some(trace) = Analysed::read_from(store, *id, DETAILED, below)? else { continue };
        read += trace.skeleton.nodes.len();
        if read > SPANS && read > trace.skeleton.nodes.len() {
            break;
        }
        add(&mut looked, *id, &trace, search);
    }
    Ok(looked)
}

fn add(looked: &mut Looked, id: TraceId, trace: &Analysed, search: &Search) {
    let (nodes, tree, facts) = (&trace.skeleton.nodes[..], &trace.tree, &trace.facts[..]);
    let mut found = findings(nodes, tree, facts);
    found.retain(|finding| search.kinds.is_empty() || search.kinds.contains(&finding.kind));
    looked.add(id, &found, Sample { id, nodes, tree, facts }.instances());
}

/// Which spans are looked for, and whether a trace is looked at from there on.
fn filter(subject: Option<&Subject>) -> (SpanFilter, bool) {
    match subject {
        None | Some(Subject::Edge { .. }) => {
            (SpanFilter { is_root: Some(true), ..SpanFilter::default() }, false)
        }
        Some(Subject::Service(service)) => {
            (SpanFilter { service: Some(service.clone()), ..SpanFilter::default() }, false)
        }
        Some(Subject::Operations { service, name, kinds }) => {
            let filter = SpanFilter {
                service: Some(service.clone()),
                operation: name.clone(),
                kind: kinds.first().copied(),
                ..SpanFilter::default()
            };
            (filter, true)
        }
    }
}

fn query(range: RangeInclusive<u64>, spans: SpanFilter) -> Query {
    Query { range, spans: vec![spans], ..Query::default() }
}
