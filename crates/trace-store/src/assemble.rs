//! From the spans and log records of a trace to what the store returns of it.

use foldhash::{HashMap, HashMapExt, HashSet};
use std::collections::BTreeMap;
use waypost_trace_model::{
    Kind, LogRecord, Node, Skeleton, Span, SpanId, StatusCode, SummaryRoot, SummaryService, Text, Trace,
    TraceId, TraceLosses, TraceSummary, otlp,
};

/// What of a span is needed to say what its trace is.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) service: Text,
    pub(crate) name: Text,
    pub(crate) kind: Kind,
    pub(crate) status: StatusCode,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Line {
    pub(crate) fn of(span: &Span) -> Line {
        Line {
            span_id: span.span_id,
            parent: span.parent_span_id,
            service: span.resource.service.clone(),
            name: span.name.clone(),
            kind: span.kind,
            status: span.status.code,
            start: span.start,
            end: span.end,
        }
    }

    /// The order of spans in every answer: by start, then id; the rest decides between spans of the same id.
    pub(crate) fn key(&self) -> (u64, SpanId, u64, &str, &str) {
        (self.start, self.span_id, self.end, &self.service, &self.name)
    }
}

/// A span without its attributes; log records are counted later.
pub(crate) fn node(span: &Span) -> Node {
    let parts_dropped = span.events.iter().map(|event| event.dropped_attributes);
    let parts_dropped = parts_dropped.chain(span.links.iter().map(|link| link.dropped_attributes));
    let own_dropped = [span.dropped_attributes, span.dropped_events, span.dropped_links];
    Node {
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        service: span.resource.service.clone(),
        name: span.name.clone(),
        kind: span.kind,
        status: span.status.code,
        start: span.start,
        end: span.end,
        attributes: count(span.attributes.len()),
        events: count(span.events.len()),
        links: count(span.links.len()),
        follows_from_parent: span
            .links
            .iter()
            .any(|link| Some(link.span_id) == span.parent_span_id && link.trace_id == span.trace_id),
        logs: 0,
        dropped: own_dropped.into_iter().chain(parts_dropped).fold(0, u32::saturating_add),
    }
}

pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Puts spans in order.
pub(crate) fn sort_spans(spans: &mut [Span]) {
    spans.sort_by(|a, b| {
        let key = |span: &Span| (span.start, span.span_id, span.end);
        key(a).cmp(&key(b)).then_with(|| (a.service(), &a.name).cmp(&(b.service(), &b.name)))
    });
}

/// Of spans that are equal in everything, keeps one. `is_same` tells for two places of the list whether they
/// are; it is asked only about spans of the same id. Returns the places to keep.
pub(crate) fn distinct<E>(
    ids: &[SpanId],
    mut is_same: impl FnMut(usize, usize) -> Result<bool, E>,
) -> Result<Vec<usize>, E> {
    let mut kept = Vec::with_capacity(ids.len());
    let mut first: HashMap<SpanId, usize> = HashMap::with_capacity(ids.len());
    let mut more: HashMap<SpanId, Vec<usize>> = HashMap::new();
    for (place, id) in ids.iter().enumerate() {
        let Some(&earlier) = first.get(id) else {
            first.insert(*id, place);
            kept.push(place);
            continue;
        };
        let others = more.entry(*id).or_insert_with(|| vec![earlier]);
        let mut is_new = true;
        for other in others.iter() {
            if is_same(*other, place)? {
                is_new = false;
                break;
            }
        }
        if is_new {
            others.push(place);
            kept.push(place);
        }
    }
    Ok(kept)
}

/// Whether two spans are equal in everything, bit by bit (a NaN equals itself).
pub(crate) fn is_same(a: &Span, b: &Span) -> bool {
    a.span_id == b.span_id
        && a.start == b.start
        && a.end == b.end
        && otlp::traces_to_protobuf(std::slice::from_ref(a))
            == otlp::traces_to_protobuf(std::slice::from_ref(b))
}

/// [`distinct`] for spans in memory.
pub(crate) fn distinct_spans(spans: Vec<Span>) -> Vec<Span> {
    let ids: Vec<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let same = |a: usize, b: usize| Ok::<bool, std::convert::Infallible>(is_same(&spans[a], &spans[b]));
    let Ok(kept) = distinct(&ids, same);
    if kept.len() == spans.len() {
        return spans;
    }
    let kept: HashSet<usize> = kept.into_iter().collect();
    spans.into_iter().enumerate().filter(|(place, _)| kept.contains(place)).map(|(_, span)| span).collect()
}

/// A whole trace, of spans that are distinct.
pub(crate) fn trace(
    id: TraceId,
    mut spans: Vec<Span>,
    mut logs: Vec<LogRecord>,
    losses: TraceLosses,
) -> Trace {
    sort_spans(&mut spans);
    logs.sort_by_key(LogRecord::when);
    Trace { id, spans, logs, losses }
}

/// The trace without attributes, of nodes that are distinct.
pub(crate) fn skeleton(
    id: TraceId,
    mut nodes: Vec<Node>,
    logs: &[LogRecord],
    losses: TraceLosses,
) -> Skeleton {
    nodes.sort_by(|a, b| {
        let key = |node: &Node| (node.start, node.span_id, node.end);
        key(a).cmp(&key(b)).then_with(|| (&a.service, &a.name).cmp(&(&b.service, &b.name)))
    });
    let mut written: HashMap<SpanId, u32> = HashMap::new();
    for span_id in logs.iter().filter_map(|log| log.span_id) {
        *written.entry(span_id).or_default() += 1;
    }
    for node in &mut nodes {
        node.logs = written.get(&node.span_id).copied().unwrap_or_default();
    }
    Skeleton { id, nodes, losses }
}

/// One line for a trace; `None` when it has no spans.
pub(crate) fn summary(id: TraceId, lines: &[Line], losses: TraceLosses) -> Option<TraceSummary> {
    let there: HashSet<SpanId> = lines.iter().map(|line| line.span_id).collect();
    let is_orphan = |line: &Line| line.parent.is_some_and(|parent| !there.contains(&parent));
    let earliest =
        |wanted: &dyn Fn(&&Line) -> bool| lines.iter().filter(wanted).min_by(|a, b| a.key().cmp(&b.key()));
    // Without a root and without an orphan there are only cycles; then the earliest span has to do.
    let root = earliest(&|line| line.parent.is_none())
        .or_else(|| earliest(&|line| is_orphan(line)))
        .or_else(|| earliest(&|_| true))?;
    let mut services: BTreeMap<&Text, SummaryService> = BTreeMap::new();
    for line in lines {
        let empty = || SummaryService { name: line.service.clone(), spans: 0, errors: 0 };
        let service = services.entry(&line.service).or_insert_with(empty);
        service.spans += 1;
        service.errors += u64::from(line.status == StatusCode::Error);
    }
    Some(TraceSummary {
        id,
        root: SummaryRoot {
            span_id: root.span_id,
            is_root: root.parent.is_none(),
            service: root.service.clone(),
            name: root.name.clone(),
            kind: root.kind,
            status: root.status,
        },
        start: lines.iter().map(|line| line.start).min()?,
        end: lines.iter().map(|line| line.end).max()?,
        spans: lines.len() as u64,
        errors: services.values().map(|service| service.errors).sum(),
        orphans: lines.iter().filter(|line| is_orphan(line)).count() as u64,
        services: services.into_values().collect(),
        losses,
    })
}
