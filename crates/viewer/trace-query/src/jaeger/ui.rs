//! A trace in the JSON of Jaeger's UI.

use super::{
    ids::{self, Pair},
    tags::{self, Tag},
    warnings,
};
use crate::{answer::bytes, error::Error, load::Loaded, trace_id};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use waypost_trace_model::{Event, Link, Resource, Span, TraceId};

/// W3C's "sampled", which is Jaeger's too.
const SAMPLED: u32 = 1;

#[derive(Debug, Serialize)]
struct Trace<'a> {
    #[serde(rename = "traceID")]
    id: &'a str,
    spans: Vec<UiSpan<'a>>,
    processes: BTreeMap<String, Process<'a>>,
    /// Null when there are none, here and on spans.
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UiSpan<'a> {
    #[serde(rename = "traceID")]
    trace_id: &'a str,
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u32>,
    operation_name: &'a str,
    references: Vec<Reference>,
    /// Microseconds, as all times here.
    start_time: u64,
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    service_name: &'a str,
    tags: Vec<Tag<'a>>,
}

/// Writes a trace. Raw: as it was received, nothing sorted, split or warned of.
pub(crate) fn write(loaded: &Loaded, is_raw: bool) -> Result<Vec<u8>, Error> {
    let spans = &loaded.trace.spans;
    let id = trace_id::short(loaded.trace.id);
    let ids = if is_raw { received(spans) } else { ids::unshared(spans) };
    let of_spans = if is_raw {
        vec![Vec::new(); spans.len()]
    } else {
        warnings::of_spans(spans, &ids, loaded.cut.is_some())
    };
    let mut processes = Processes::new(is_raw);
    let spans = spans.iter().zip(&ids).zip(of_spans).map(|((span, pair), warnings)| UiSpan {
        trace_id: &id,
        span_id: pair.0.to_string(),
        flags: Some(span.flags & SAMPLED).filter(|flags| *flags != 0),
        operation_name: &span.name,
        references: references(span, *pair, loaded.trace.id),
        start_time: span.start / 1_000,
        duration: span.duration() / 1_000,
        tags: tags::of_span(span, is_raw),
        logs: span.events.iter().map(|event| log(event, is_raw)).collect(),
        process_id: processes.id_of(&span.resource),
        warnings: unless_empty(warnings),
    });
    let spans = spans.collect();
    let warnings = unless_empty(warnings::of_trace(loaded));
    bytes(&Trace { id: &id, spans, processes: processes.all, warnings })
}

fn received(spans: &[Span]) -> Vec<Pair> {
    spans.iter().map(|span| (span.span_id, span.parent_span_id)).collect()
}

fn unless_empty(warnings: Vec<String>) -> Option<Vec<String>> {
    Some(warnings).filter(|warnings| !warnings.is_empty())
}

/// The parent first, then the links. A link to the parent says what kind of reference the parent is.
fn references(span: &Span, (_, parent): Pair, trace: TraceId) -> Vec<Reference> {
    let reference = |ref_type, trace, span: &dyn ToString| Reference {
        ref_type,
        trace_id: trace_id::short(trace),
        span_id: span.to_string(),
    };
    let mut references = Vec::with_capacity(span.links.len() + 1);
    let to_parent = |link: &&Link| link.trace_id == trace && Some(link.span_id) == parent;
    if let Some(parent) = parent {
        let kind = span.links.iter().filter(to_parent).last().map_or("CHILD_OF", reference_type);
        references.push(reference(kind, trace, &parent));
    }
    let others = span.links.iter().filter(|link| !to_parent(link));
    references.extend(others.map(|link| reference(reference_type(link), link.trace_id, &link.span_id)));
    references
}

/// A link follows from its span unless OpenTracing said otherwise.
fn reference_type(link: &Link) -> &'static str {
    let said = link.attributes.iter().find(|attribute| &*attribute.key == "opentracing.ref_type");
    match said.and_then(|attribute| attribute.value.as_text()) {
        Some("child_of") => "CHILD_OF",
        _ => "FOLLOWS_FROM",
    }
}

/// An event: its name is the field `event`, unless it has such an attribute.
fn log(event: &Event, is_raw: bool) -> Log<'_> {
    let has_field = event.attributes.iter().any(|attribute| &*attribute.key == "event");
    let name = Some(&*event.name).filter(|name| !name.is_empty() && !has_field);
    let mut fields: Vec<Tag<'_>> = name.map(|name| Tag::text("event", name)).into_iter().collect();
    fields.extend(tags::of_attributes(event.attributes.iter(), is_raw));
    Log { timestamp: event.time / 1_000, fields }
}

/// The processes of a trace, each once: `p1`, `p2` and so on in the order in which the spans name them.
struct Processes<'a> {
    is_raw: bool,
    all: BTreeMap<String, Process<'a>>,
    by_resource: HashMap<*const Resource, String>,
    /// Processes by their JSON: resources of different messages often say the same.
    by_text: HashMap<Vec<u8>, String>,
}

impl<'a> Processes<'a> {
    fn new(is_raw: bool) -> Processes<'a> {
        Processes { is_raw, all: BTreeMap::new(), by_resource: HashMap::new(), by_text: HashMap::new() }
    }

    fn id_of(&mut self, resource: &'a Arc<Resource>) -> String {
        if let Some(id) = self.by_resource.get(&Arc::as_ptr(resource)) {
            return id.clone();
        }
        let others = resource.attributes.iter().filter(|attribute| &*attribute.key != "service.name");
        let process =
            Process { service_name: &resource.service, tags: tags::of_attributes(others, self.is_raw) };
        let next = format!("p{}", self.all.len() + 1);
        let id = match bytes(&process) {
            Ok(text) => self.by_text.entry(text).or_insert(next).clone(),
            Err(_) => next,
        };
        self.all.entry(id.clone()).or_insert(process);
        self.by_resource.insert(Arc::as_ptr(resource), id.clone());
        id
    }
}
