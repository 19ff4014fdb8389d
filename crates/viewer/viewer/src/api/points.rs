//! `GET /points`: matches without their traces, for a scatter; and `GET /traces/{id}/matches`: those of one trace.

use super::{Api, Path, filter, parameters::Parameters, search, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::collections::HashSet;
use waypost_trace_model::{SpanId, StatusCode, TraceId};
use waypost_trace_store::{LogQuery, SpanFilter, TraceStore};

/// Matches of one trace in one answer.
const MAX_MATCHES: usize = 10_000;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Points"))]
pub(super) struct Scatter {
    points: Vec<Point>,
    next: Option<String>,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Point {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    start: Decimal,
    duration: u64,
    #[cfg_attr(test, ts(type = "StatusCode"))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Matches {
    #[cfg_attr(test, ts(type = "Array<SpanId>"))]
    span_ids: Vec<SpanId>,
    is_partial: bool,
}

/// Spans that meet the filter, by start. Text counts as well when a log record has it that was written during the span.
fn matching(store: &dyn TraceStore, trace: TraceId, filter: &SpanFilter) -> Result<Vec<SpanId>, Problem> {
    let found = store.matching(trace, filter, MAX_MATCHES + 1)?;
    if filter.text.is_none() {
        return Ok(found);
    }
    let query =
        LogQuery { trace: Some(trace), text: filter.text.clone(), limit: MAX_MATCHES, ..LogQuery::default() };
    let logged: HashSet<SpanId> = store.logs(&query)?.logs.iter().filter_map(|log| log.span_id).collect();
    if logged.is_empty() {
        return Ok(found);
    }
    let by_text: HashSet<SpanId> = found.into_iter().collect();
    // Everything else that is asked must hold of those too.
    let others = SpanFilter { text: None, ..filter.clone() };
    let mut ids = store.matching(trace, &others, usize::MAX)?;
    ids.retain(|id| by_text.contains(id) || logged.contains(id));
    ids.truncate(MAX_MATCHES + 1);
    Ok(ids)
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
        let mut span_ids = matching(store, trace, &filter)?;
        let is_partial = span_ids.len() > MAX_MATCHES;
        span_ids.truncate(MAX_MATCHES);
        Ok(Matches { span_ids, is_partial })
    };
    api.reads.answer(read).await
}
