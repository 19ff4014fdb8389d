//! `GET /points`: matches without their traces, for a scatter; and `GET /traces/{id}/matches`: those of one trace.

use super::{Api, Path, filter, parameters::Parameters, search, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use waypost_trace_model::{SpanId, StatusCode, TraceId};

/// Matches of one trace in one answer.
const MAX_MATCHES: usize = 10_000;

#[derive(Serialize)]
struct Scatter {
    points: Vec<Point>,
    next: Option<String>,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
struct Point {
    trace_id: TraceId,
    span_id: SpanId,
    start: Decimal,
    duration: u64,
    status: StatusCode,
}

pub(super) async fn points(State(api): State<Api>, parameters: Parameters) -> Result<Response, Problem> {
    let query = search::query(parameters, 500, 1..=2000)?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let found = store.find(&query)?;
        let points = found.matches.into_iter().map(|found| Point {
            trace_id: found.trace_id,
            span_id: found.span_id,
            start: Decimal(found.start),
            duration: found.duration,
            status: found.status,
        });
        Ok(Scatter {
            points: points.collect(),
            next: found.next.map(|cursor| cursor.0),
            scanned_to: found.scanned_to.map(Decimal),
        })
    };
    api.reads.answer(read).await
}

#[derive(Serialize)]
struct Matches {
    span_ids: Vec<SpanId>,
    is_partial: bool,
}

pub(super) async fn matches(
    State(api): State<Api>,
    path: Path,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let trace = path.trace()?;
    let filter = filter::span(&mut parameters)?;
    parameters.finish()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let mut span_ids = store.matching(trace, &filter, MAX_MATCHES + 1)?;
        let is_partial = span_ids.len() > MAX_MATCHES;
        span_ids.truncate(MAX_MATCHES);
        Ok(Matches { span_ids, is_partial })
    };
    api.reads.answer(read).await
}
