//! `GET /traces/{id}/findings`: what is worth changing about a trace.

use super::{Api, NoParameters, Path};
use crate::{
    analysed::{Analysed, MAX_DETAILED},
    problem::Problem,
};
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_analysis::{Finding, FindingKind, Projection, findings};
use waypost_trace_model::{SpanId, Text, TraceId};
use waypost_trace_store::TraceStore;

/// Spans that are named as evidence of one finding.
const MAX_EVIDENCE: usize = 500;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct TraceFindings {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    /// Of the main root.
    duration: u64,
    spans: usize,
    /// Spans whose attributes were looked at.
    detailed: usize,
    /// Those that save most first.
    findings: Vec<TraceFinding>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct TraceFinding {
    #[cfg_attr(test, ts(type = "FindingKind"))]
    kind: FindingKind,
    sentence: String,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    place: String,
    /// Spans that show it.
    spans: usize,
    /// The first of them.
    #[cfg_attr(test, ts(type = "Array<SpanId>"))]
    span_ids: Vec<SpanId>,
    /// Nanoseconds of the critical path in these spans and below them.
    on_path: u64,
    /// Nanoseconds that the root would have taken less without it, at most.
    saves: u64,
}

pub(super) async fn of_trace(
    State(api): State<Api>,
    path: Path,
    _: NoParameters,
) -> Result<Response, Problem> {
    let id = path.trace()?;
    let read = move |store: &dyn TraceStore| {
        let trace = Analysed::read(store, id, MAX_DETAILED)?;
        let trace = trace.ok_or_else(|| Problem::not_found(format!("trace {id} is not kept here")))?;
        Ok(answer(&trace))
    };
    api.reads.answer(read).await
}

fn answer(trace: &Analysed) -> TraceFindings {
    let found = findings(&trace.skeleton.nodes, &trace.tree, &trace.facts);
    TraceFindings {
        trace_id: trace.skeleton.id,
        duration: Projection::new(&trace.skeleton.nodes, &trace.tree).duration(),
        spans: trace.skeleton.nodes.len(),
        detailed: trace.detailed,
        findings: found.into_iter().map(|finding| line(trace, finding)).collect(),
    }
}

fn line(trace: &Analysed, finding: Finding) -> TraceFinding {
    let Finding { kind, sentence, service, place, rows, on_path, saves } = finding;
    TraceFinding {
        kind,
        sentence,
        service,
        place,
        spans: rows.len(),
        span_ids: rows.iter().take(MAX_EVIDENCE).filter_map(|&row| trace.span_id(row)).collect(),
        on_path,
        saves,
    }
}
