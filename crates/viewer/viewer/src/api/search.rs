//! `GET /search`: traces, a page at a time.

use super::{Api, filter, groups, parameters::Parameters, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::{collections::HashMap, ops::RangeInclusive};
use waypost_trace_analysis::is_complete;
use waypost_trace_model::{Attribute, Kind, Span, SpanId, StatusCode, Text, TraceId, TraceSummary};
use waypost_trace_store::{Cursor, Field, Match, Order, Query, SpanFilter, TraceStore};

/// Columns of a list.
const MAX_COLUMNS: usize = 16;

/// Failed spans of a trace among which the last is looked for.
const MAX_FAILED: usize = 1000;

/// The last of them are read for why they failed.
const MAX_READ: usize = 8;

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
    /// The failed span that says most of why: of those whose status has a message the last to begin, which is where a failure
    /// comes from rather than where it was passed on; else the last of all.
    error: Option<Failed>,
    /// For each column that was asked for its value: of the span that was matched, else of the root, else of `error`.
    #[cfg_attr(test, ts(type = "Array<string | null>"))]
    columns: Vec<Option<Text>>,
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
    /// What says most of why: the message, else the message or the type of its last exception, else its `error.type`; may be
    /// empty.
    #[cfg_attr(test, ts(type = "string"))]
    reason: Text,
}

pub(super) async fn search(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let columns = parameters.repeated("column", MAX_COLUMNS)?;
    let columns = columns.iter().map(|name| groups::field("column", name)).collect::<Result<Vec<_>, _>>()?;
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
                lines.push(line(store, summary, found, &columns)?);
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

fn line(
    store: &dyn TraceStore,
    summary: TraceSummary,
    found: &Match,
    columns: &[Field],
) -> Result<Line, Problem> {
    let told = Told::read(store, &summary, found, !columns.is_empty())?;
    let matched = told.matched(&summary, found);
    let error = told.failed().map(|span| Failed {
        span_id: span.span_id,
        service: span.service().clone(),
        name: span.name.clone(),
        message: span.status.message.clone(),
        reason: reason(span),
    });
    let columns = columns.iter().map(|field| told.column(&summary, found, field)).collect();
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
        columns,
    })
}

/// Why a span failed, as far as it says.
fn reason(span: &Span) -> Text {
    let event = span.events.iter().rev().find(|event| *event.name == *"exception");
    let raised = event.map(|event| event.attributes.as_slice()).unwrap_or_default();
    let words = attribute(raised, "exception.message")
        .or_else(|| attribute(raised, "exception.type"))
        .or_else(|| attribute(&span.attributes, "error.type"));
    match words {
        Some(attribute) if span.status.message.is_empty() => Text::from(&*attribute.value.display()),
        _ => span.status.message.clone(),
    }
}

fn attribute<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| *attribute.key == *key)
}

/// The spans of a trace that a row tells of, as far as the summary does not know what is told.
struct Told {
    spans: Vec<Span>,
    /// By start; the last [`MAX_READ`] of them.
    failed: Vec<SpanId>,
}

impl Told {
    /// With the attributes of the span that was matched and of the root, or only what else must be read: a root that went
    /// well is in the summary.
    fn read(
        store: &dyn TraceStore,
        summary: &TraceSummary,
        found: &Match,
        has_attributes: bool,
    ) -> Result<Told, Problem> {
        let failing = SpanFilter { status: Some(StatusCode::Error), ..SpanFilter::default() };
        let mut failed = match summary.errors {
            0 => Vec::new(),
            _ => store.matching(summary.id, &failing, MAX_FAILED)?,
        };
        failed.drain(..failed.len().saturating_sub(MAX_READ));
        let root = summary.root.span_id;
        let is_known = found.span_id == root && found.status != StatusCode::Error;
        let mut wanted = failed.clone();
        wanted.extend((has_attributes || !is_known).then_some(found.span_id));
        wanted.extend(has_attributes.then_some(root));
        wanted.sort_unstable();
        wanted.dedup();
        let spans = if wanted.is_empty() { Vec::new() } else { store.spans(summary.id, &wanted)?.0 };
        Ok(Told { spans, failed })
    }

    /// Clients may give one id to several spans: the status tells them apart.
    fn find(&self, id: SpanId, status: StatusCode) -> Option<&Span> {
        self.spans.iter().find(|span| span.span_id == id && span.status.code == status)
    }

    /// The failed span that says most of why: the last to begin of those whose status has a message, else of all.
    fn failed(&self) -> Option<&Span> {
        let last_first = || self.failed.iter().rev().filter_map(|id| self.find(*id, StatusCode::Error));
        last_first().find(|span| !span.status.message.is_empty()).or_else(|| last_first().next())
    }

    fn matched(&self, summary: &TraceSummary, found: &Match) -> Matched {
        let root = &summary.root;
        let (service, name, message) = match self.find(found.span_id, found.status) {
            Some(span) => (span.service().clone(), span.name.clone(), span.status.message.clone()),
            None => (root.service.clone(), root.name.clone(), Text::new()),
        };
        Matched {
            span_id: found.span_id,
            start: Decimal(found.start),
            duration: found.duration,
            status: found.status,
            service,
            name,
            message,
        }
    }

    fn column(&self, summary: &TraceSummary, found: &Match, field: &Field) -> Option<Text> {
        let root = self.find(summary.root.span_id, summary.root.status);
        let spans = [self.find(found.span_id, found.status), root, self.failed()];
        spans.into_iter().flatten().find_map(|span| field.value(span)).map(|text| Text::from(&*text))
    }
}
