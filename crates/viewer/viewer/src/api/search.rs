//! `GET /search`: traces, a page at a time.

use super::{Api, filter, parameters::Parameters, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::{collections::HashMap, ops::RangeInclusive};
use waypost_trace_analysis::is_complete;
use waypost_trace_model::{Kind, SpanId, StatusCode, Text, TraceId, TraceSummary};
use waypost_trace_store::{Cursor, Match, Order, Query, SpanFilter, TraceStore};

/// Failed spans of a trace among which the last is looked for.
const MAX_FAILED: usize = 1000;

const ORDERS: [(&str, Order); 4] = [
    ("newest", Order::Newest),
    ("oldest", Order::Oldest),
    ("longest", Order::Longest),
    ("shortest", Order::Shortest),
];

/// Takes every parameter of a search.
pub(super) fn query(
    mut parameters: Parameters,
    default_limit: usize,
    limits: RangeInclusive<usize>,
) -> Result<Query, Problem> {
    let filters = filters(&mut parameters)?;
    let order = parameters.choice("order", &ORDERS)?.unwrap_or_default();
    let limit = parameters.count("limit", default_limit, limits)?;
    let after = parameters.text("after")?.map(Cursor);
    parameters.finish()?;
    Ok(Query { order, limit, after, ..filters })
}

/// Takes the filters of a search and its time.
pub(super) fn filters(parameters: &mut Parameters) -> Result<Query, Problem> {
    let first = filter::span(parameters)?;
    let others = filter::others(parameters)?;
    let trace_duration = parameters.durations("min_trace_duration", "max_trace_duration")?;
    let (from, to) = parameters.times()?;
    let asks_nothing = first == SpanFilter::default() && others.is_empty();
    let spans = if asks_nothing { Vec::new() } else { std::iter::once(first).chain(others).collect() };
    let range = from.unwrap_or(0)..=to.unwrap_or(u64::MAX);
    Ok(Query { range, spans, trace_duration, ..Query::default() })
}

/// A page of traces.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SearchPage"))]
pub(super) struct Page {
    traces: Vec<Line>,
    next: Option<String>,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FoundTrace"))]
pub(super) struct Line {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    start: Decimal,
    duration: u64,
    spans: u64,
    errors: u64,
    orphans: u64,
    complete: bool,
    root: RootSpan,
    services: Vec<Service>,
    r#match: Matched,
    /// The failed span that began last: where a failure comes from rather than where it was passed on.
    error: Option<Failed>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FoundRoot"))]
pub(super) struct RootSpan {
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    #[cfg_attr(test, ts(type = "Kind"))]
    kind: Kind,
    #[cfg_attr(test, ts(type = "StatusCode"))]
    status: StatusCode,
    is_root: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FoundService"))]
pub(super) struct Service {
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    spans: u64,
    errors: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FoundMatch"))]
pub(super) struct Matched {
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    start: Decimal,
    duration: u64,
    #[cfg_attr(test, ts(type = "StatusCode"))]
    status: StatusCode,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    /// Of the status.
    #[cfg_attr(test, ts(type = "string"))]
    message: Text,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "FoundError"))]
pub(super) struct Failed {
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    /// Of the status.
    #[cfg_attr(test, ts(type = "string"))]
    message: Text,
}

pub(super) async fn search(State(api): State<Api>, parameters: Parameters) -> Result<Response, Problem> {
    let query = query(parameters, 20, 1..=200)?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let found = store.find(&query)?;
        let ids: Vec<TraceId> = found.matches.iter().map(|found| found.trace_id).collect();
        let summaries = store.summaries(&ids)?;
        let mut by_id: HashMap<TraceId, TraceSummary> =
            summaries.into_iter().map(|summary| (summary.id, summary)).collect();
        // A trace that was dropped between the two reads is left out.
        let mut lines = Vec::with_capacity(found.matches.len());
        for found in &found.matches {
            if let Some(summary) = by_id.remove(&found.trace_id) {
                lines.push(line(store, summary, found)?);
            }
        }
        Ok(Page {
            traces: lines,
            next: found.next.map(|cursor| cursor.0),
            scanned_to: found.scanned_to.map(Decimal),
        })
    };
    api.reads.answer(read).await
}

fn line(store: &dyn TraceStore, summary: TraceSummary, found: &Match) -> Result<Line, Problem> {
    let (matched, error) = told(store, &summary, found)?;
    let complete = is_complete(summary.orphans, &summary.losses);
    let duration = summary.duration();
    let services = summary.services.into_iter();
    let root = summary.root;
    Ok(Line {
        trace_id: summary.id,
        start: Decimal(summary.start),
        duration,
        spans: summary.spans,
        errors: summary.errors,
        orphans: summary.orphans,
        complete,
        root: RootSpan {
            span_id: root.span_id,
            service: root.service,
            name: root.name,
            kind: root.kind,
            status: root.status,
            is_root: root.is_root,
        },
        services: services
            .map(|service| Service { name: service.name, spans: service.spans, errors: service.errors })
            .collect(),
        r#match: matched,
        error,
    })
}

/// The span that was matched and the one that failed, as far as a row tells of them. Spans are only read where the summary
/// does not know: a root that went well is in it.
fn told(
    store: &dyn TraceStore,
    summary: &TraceSummary,
    found: &Match,
) -> Result<(Matched, Option<Failed>), Problem> {
    let failing = SpanFilter { status: Some(StatusCode::Error), ..SpanFilter::default() };
    let failed = match summary.errors {
        0 => None,
        _ => store.matching(summary.id, &failing, MAX_FAILED)?.pop(),
    };
    let root = &summary.root;
    let is_known = found.span_id == root.span_id && found.status != StatusCode::Error;
    let mut wanted: Vec<SpanId> = failed.into_iter().collect();
    if !is_known && failed != Some(found.span_id) {
        wanted.push(found.span_id);
    }
    let spans = if wanted.is_empty() { Vec::new() } else { store.spans(summary.id, &wanted)?.0 };
    let find = |id: SpanId, status: StatusCode| {
        spans.iter().find(|span| span.span_id == id && span.status.code == status)
    };
    let matched = find(found.span_id, found.status).filter(|_| !is_known);
    let (service, name, message) = match matched {
        Some(span) => (span.service().clone(), span.name.clone(), span.status.message.clone()),
        None => (root.service.clone(), root.name.clone(), Text::new()),
    };
    let (start, duration) = (Decimal(found.start), found.duration);
    let matched =
        Matched { span_id: found.span_id, start, duration, status: found.status, service, name, message };
    let failed = failed.and_then(|id| find(id, StatusCode::Error)).map(|span| Failed {
        span_id: span.span_id,
        service: span.service().clone(),
        name: span.name.clone(),
        message: span.status.message.clone(),
    });
    Ok((matched, failed))
}
