//! `GET /search`: traces, a page at a time.

use super::{Api, filter, parameters::Parameters, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::{collections::HashMap, ops::RangeInclusive};
use waypost_trace_analysis::is_complete;
use waypost_trace_model::{Kind, SpanId, StatusCode, Text, TraceId, TraceSummary};
use waypost_trace_store::{Cursor, Match, Order, Query, SpanFilter};

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
struct Page {
    traces: Vec<Line>,
    next: Option<String>,
    scanned_to: Option<Decimal>,
}

#[derive(Serialize)]
struct Line {
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
}

#[derive(Serialize)]
struct RootSpan {
    span_id: SpanId,
    service: Text,
    name: Text,
    kind: Kind,
    status: StatusCode,
    is_root: bool,
}

#[derive(Serialize)]
struct Service {
    name: Text,
    spans: u64,
    errors: u64,
}

#[derive(Serialize)]
struct Matched {
    span_id: SpanId,
    start: Decimal,
    duration: u64,
    status: StatusCode,
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
        let lines =
            found.matches.iter().filter_map(|found| Some(line(by_id.remove(&found.trace_id)?, found)));
        Ok(Page {
            traces: lines.collect(),
            next: found.next.map(|cursor| cursor.0),
            scanned_to: found.scanned_to.map(Decimal),
        })
    };
    api.reads.answer(read).await
}

fn line(summary: TraceSummary, found: &Match) -> Line {
    let complete = is_complete(summary.orphans, &summary.losses);
    let duration = summary.duration();
    let services = summary.services.into_iter();
    let root = summary.root;
    Line {
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
        r#match: Matched {
            span_id: found.span_id,
            start: Decimal(found.start),
            duration: found.duration,
            status: found.status,
        },
    }
}
