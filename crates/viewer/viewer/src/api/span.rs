//! `GET /traces/{id}/spans/{span_id}`: everything that is known about a span.

use super::{
    Api, NoParameters, Path,
    logs::LogDetails,
    values::{Attributes, Decimal},
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::{Serialize, Serializer};
use std::collections::HashSet;
use waypost_trace_model::{Event, Link, LogRecord, Resource, Scope, Span, SpanId, TraceId};
use waypost_trace_store::{Query, SpanFilter, TraceStore};

/// Traces whose links back are looked at.
const MAX_LINKING_TRACES: usize = 20;

/// Spans of one such trace that are looked at.
const MAX_LINKING_SPANS: usize = 100;

/// Linked traces of which it is said whether they are kept.
const MAX_LINKED_TRACES: usize = 256;

pub(super) async fn span(State(api): State<Api>, path: Path, _: NoParameters) -> Result<Response, Problem> {
    let (trace, span) = (path.trace()?, path.span()?);
    api.reads.answer(move |store| Details::read(store, trace, span)).await
}

/// What was read; borrowed from while it is written.
struct Details {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    /// Those of the linked traces that were looked for, and those of them that are kept.
    looked_for: HashSet<TraceId>,
    kept: HashSet<TraceId>,
    linked_from: Vec<LinkedFrom>,
    linked_from_is_partial: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SpanAddress"))]
pub(super) struct LinkedFrom {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
}

impl Details {
    fn read(store: &dyn TraceStore, trace: TraceId, span: SpanId) -> Result<Details, Problem> {
        let (spans, logs) = store.spans(trace, &[span])?;
        if spans.is_empty() {
            return Err(Problem::not_found(format!("span {span} of trace {trace} is not kept here")));
        }
        let links = spans.iter().flat_map(|span| &span.links);
        let mut linked: Vec<TraceId> = links.map(|link| link.trace_id).collect();
        linked.sort_unstable();
        linked.dedup();
        linked.truncate(MAX_LINKED_TRACES);
        let kept = store.summaries(&linked)?.into_iter().map(|summary| summary.id).collect();
        let (linked_from, linked_from_is_partial) = linked_from(store, trace, span)?;
        let looked_for = linked.into_iter().collect();
        Ok(Details { spans, logs, looked_for, kept, linked_from, linked_from_is_partial })
    }

    /// `None` when it was not looked for.
    fn is_kept(&self, trace: TraceId) -> Option<bool> {
        self.looked_for.contains(&trace).then(|| self.kept.contains(&trace))
    }
}

/// Spans whose links point to this one, and whether there may be more. The store finds those that point into the
/// trace; which of its spans they mean is in the links themselves.
fn linked_from(
    store: &dyn TraceStore,
    trace: TraceId,
    span: SpanId,
) -> Result<(Vec<LinkedFrom>, bool), Problem> {
    let filter = SpanFilter { linked_trace: Some(trace), ..SpanFilter::default() };
    let query = Query { spans: vec![filter.clone()], limit: MAX_LINKING_TRACES, ..Query::default() };
    let found = store.find(&query)?;
    let mut is_partial = found.next.is_some();
    let mut linking = Vec::new();
    for found in found.matches {
        let mut ids = store.matching(found.trace_id, &filter, MAX_LINKING_SPANS + 1)?;
        is_partial |= ids.len() > MAX_LINKING_SPANS;
        ids.truncate(MAX_LINKING_SPANS);
        let (spans, _) = store.spans(found.trace_id, &ids)?;
        let points_here = |link: &Link| link.trace_id == trace && link.span_id == span;
        let from = spans.iter().filter(|span| span.links.iter().any(points_here));
        linking.extend(from.map(|span| LinkedFrom { trace_id: span.trace_id, span_id: span.span_id }));
    }
    Ok((linking, is_partial))
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = Answer {
            spans: self.spans.iter().map(|span| SpanDetails::of(span, self)).collect(),
            logs: self.logs.iter().map(LogDetails::of).collect(),
            linked_from: &self.linked_from,
            linked_from_is_partial: self.linked_from_is_partial,
        };
        answer.serialize(serializer)
    }
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SpanAnswer"))]
pub(super) struct Answer<'a> {
    spans: Vec<SpanDetails<'a>>,
    logs: Vec<LogDetails<'a>>,
    linked_from: &'a [LinkedFrom],
    linked_from_is_partial: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct SpanDetails<'a> {
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    #[cfg_attr(test, ts(type = "SpanId | null"))]
    parent_span_id: Option<SpanId>,
    trace_state: &'a str,
    flags: u32,
    name: &'a str,
    #[cfg_attr(test, ts(type = "Kind"))]
    kind: &'static str,
    start: Decimal,
    end: Decimal,
    status: StatusDetails<'a>,
    #[cfg_attr(test, ts(type = "Array<Attribute>"))]
    attributes: Attributes<'a>,
    dropped_attributes: u32,
    events: Vec<EventDetails<'a>>,
    dropped_events: u32,
    links: Vec<LinkDetails<'a>>,
    dropped_links: u32,
    resource: ResourceDetails<'a>,
    scope: ScopeDetails<'a>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct StatusDetails<'a> {
    #[cfg_attr(test, ts(type = "StatusCode"))]
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct EventDetails<'a> {
    time: Decimal,
    name: &'a str,
    #[cfg_attr(test, ts(type = "Array<Attribute>"))]
    attributes: Attributes<'a>,
    dropped_attributes: u32,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct LinkDetails<'a> {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    trace_state: &'a str,
    flags: u32,
    #[cfg_attr(test, ts(type = "Array<Attribute>"))]
    attributes: Attributes<'a>,
    dropped_attributes: u32,
    kept: Option<bool>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ResourceDetails<'a> {
    service: &'a str,
    #[cfg_attr(test, ts(type = "Array<Attribute>"))]
    attributes: Attributes<'a>,
    dropped_attributes: u32,
    schema_url: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ScopeDetails<'a> {
    name: &'a str,
    version: &'a str,
    #[cfg_attr(test, ts(type = "Array<Attribute>"))]
    attributes: Attributes<'a>,
    dropped_attributes: u32,
    schema_url: &'a str,
}

impl<'a> SpanDetails<'a> {
    fn of(span: &'a Span, details: &Details) -> SpanDetails<'a> {
        let events = span.events.iter().map(EventDetails::of);
        let links = span.links.iter().map(|link| LinkDetails::of(link, details.is_kept(link.trace_id)));
        SpanDetails {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            trace_state: &span.trace_state,
            flags: span.flags,
            name: &span.name,
            kind: span.kind.name(),
            start: Decimal(span.start),
            end: Decimal(span.end),
            status: StatusDetails { code: span.status.code.name(), message: &span.status.message },
            attributes: Attributes(&span.attributes),
            dropped_attributes: span.dropped_attributes,
            events: events.collect(),
            dropped_events: span.dropped_events,
            links: links.collect(),
            dropped_links: span.dropped_links,
            resource: ResourceDetails::of(&span.resource),
            scope: ScopeDetails::of(&span.scope),
        }
    }
}

impl<'a> EventDetails<'a> {
    fn of(event: &'a Event) -> EventDetails<'a> {
        EventDetails {
            time: Decimal(event.time),
            name: &event.name,
            attributes: Attributes(&event.attributes),
            dropped_attributes: event.dropped_attributes,
        }
    }
}

impl<'a> LinkDetails<'a> {
    fn of(link: &'a Link, kept: Option<bool>) -> LinkDetails<'a> {
        LinkDetails {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: &link.trace_state,
            flags: link.flags,
            attributes: Attributes(&link.attributes),
            dropped_attributes: link.dropped_attributes,
            kept,
        }
    }
}

impl<'a> ResourceDetails<'a> {
    fn of(resource: &'a Resource) -> ResourceDetails<'a> {
        ResourceDetails {
            service: &resource.service,
            attributes: Attributes(&resource.attributes),
            dropped_attributes: resource.dropped_attributes,
            schema_url: &resource.schema_url,
        }
    }
}

impl<'a> ScopeDetails<'a> {
    fn of(scope: &'a Scope) -> ScopeDetails<'a> {
        ScopeDetails {
            name: &scope.name,
            version: &scope.version,
            attributes: Attributes(&scope.attributes),
            dropped_attributes: scope.dropped_attributes,
            schema_url: &scope.schema_url,
        }
    }
}
