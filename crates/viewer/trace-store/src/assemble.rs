//! From the spans and log records of a trace to what the store returns of it.

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::BTreeMap;
use waypost_trace_model::{
    Kind, LogRecord, Node, Skeleton, Span, SpanId, StatusCode, SummaryRoot, SummaryService, Text, Trace,
    TraceId, TraceLosses, TraceSummary, otlp,
};
use xxhash_rust::xxh3::xxh3_128;

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

/// The places of spans that are equal in everything to an earlier one. `digests` is asked once, for the places
/// (going up) of all spans whose id is not theirs alone, so that the work grows with their number even when a
/// client gives every span the same id.
pub(crate) fn repeats<E>(
    ids: &[SpanId],
    digests: impl FnOnce(&[usize]) -> Result<Vec<u128>, E>,
) -> Result<HashSet<usize>, E> {
    let mut counts: HashMap<SpanId, usize> = HashMap::with_capacity(ids.len());
    for id in ids {
        *counts.entry(*id).or_default() += 1;
    }
    if counts.len() == ids.len() {
        return Ok(HashSet::default());
    }
    let is_shared = |id: &SpanId| counts.get(id).is_some_and(|count| *count > 1);
    let places: Vec<usize> =
        ids.iter().enumerate().filter(|(_, id)| is_shared(id)).map(|(place, _)| place).collect();
    let mut seen: HashSet<u128> = HashSet::with_capacity(places.len());
    let digests = digests(&places)?;
    Ok(places
        .into_iter()
        .zip(digests)
        .filter(|(_, digest)| !seen.insert(*digest))
        .map(|(place, _)| place)
        .collect())
}

/// Stands for everything of a span, its id too, bit by bit (a NaN equals itself).
pub(crate) fn digest(span: &Span) -> u128 {
    xxh3_128(&otlp::traces_to_protobuf(std::slice::from_ref(span)))
}

/// Of spans that are equal in everything, the first.
pub(crate) fn distinct(mut spans: Vec<&Span>) -> Vec<&Span> {
    let ids: Vec<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let digests = |places: &[usize]| {
        let spans = places.iter().filter_map(|place| spans.get(*place));
        Ok::<_, std::convert::Infallible>(spans.map(|span| digest(span)).collect())
    };
    let Ok(repeats) = repeats(&ids, digests);
    let mut place = 0..;
    spans.retain(|_| place.next().is_some_and(|place| !repeats.contains(&place)));
    spans
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
