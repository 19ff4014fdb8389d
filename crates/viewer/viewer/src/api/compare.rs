//! `GET /compare`: two traces side by side, or one beside what is typical of its root operation.

use super::{Api, parameters::Parameters, values::Decimal};
use crate::{problem::Problem, sample};
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::collections::BTreeMap;
use waypost_trace_analysis::{self as analysis, CriticalPath, Projection, Tree, quantile};
use waypost_trace_model::{Kind, Node, Skeleton, SpanId, StatusCode, Text, TraceId};
use waypost_trace_store::{Query, SpanFilter, TraceStore};

/// Lines of an answer; what follows is counted and left out.
const MAX_LINES: usize = 20_000;

/// Spans of a line that are named.
const MAX_SPANS: usize = 50;

/// Traces among which the typical one is looked for.
const CANDIDATES: usize = 50;

/// Spans of a trace that may be typical: larger ones are no candidates, to keep the time bounded.
const MAX_CANDIDATE: usize = 10_000;

/// What else came within this time before or after the trace is compared with it first.
const NEAR: u64 = 3_600_000_000_000;

/// Candidates that are enough to be near.
const ENOUGH: usize = 5;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ComparedTraces {
    left: ComparedTrace,
    right: ComparedTrace,
    /// How the right trace was chosen, when it was asked for what is typical.
    typical: Option<Typical>,
    /// The difference of the roots by service and operation: these add up to it. The largest first.
    changes: Vec<ComparedPlace>,
    lines: Vec<ComparedLine>,
    left_out: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ComparedTrace {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    start: Decimal,
    /// Of the main root.
    duration: u64,
    spans: usize,
    errors: usize,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
}

/// Among how many traces the typical one was found.
#[derive(Clone, Copy, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Typical {
    /// Traces of the same root operation that were looked at.
    of: usize,
    /// Those of them with the most common shape, the typical one among them.
    same_shape: usize,
    /// The middle of their durations.
    median: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ComparedPlace {
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    operation: Text,
    /// Nanoseconds of the left root that it takes itself.
    left: u64,
    right: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ComparedLine {
    /// Place of the line above.
    parent: Option<u32>,
    depth: u32,
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    #[cfg_attr(test, ts(type = "Kind"))]
    kind: Kind,
    left: Option<ComparedSide>,
    right: Option<ComparedSide>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct ComparedSide {
    spans: usize,
    errors: u32,
    /// Nanoseconds of the spans, added up.
    time: u64,
    /// Nanoseconds of the critical path in them and below them.
    on_path: u64,
    /// Nanoseconds of the critical path in them alone.
    self_on_path: u64,
    /// The first of them.
    #[cfg_attr(test, ts(type = "Array<SpanId>"))]
    span_ids: Vec<SpanId>,
}

/// A trace with its tree.
struct Read {
    skeleton: Skeleton,
    tree: Tree,
}

pub(super) async fn compare(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let left = trace_id("left", &parameters.required("left")?)?;
    let right = parameters.required("right")?;
    let right = if right == "typical" { None } else { Some(trace_id("right", &right)?) };
    parameters.finish()?;
    api.reads.answer(move |store| answer(store, left, right)).await
}

fn trace_id(parameter: &'static str, text: &str) -> Result<TraceId, Problem> {
    text.parse().map_err(|reason| Problem::parameter(parameter, format!("is no id of a trace: {reason}")))
}

fn answer(store: &dyn TraceStore, left: TraceId, right: Option<TraceId>) -> Result<ComparedTraces, Problem> {
    let left = Read::kept(store, left)?;
    let (right, typical) = match right {
        Some(right) => (Read::kept(store, right)?, None),
        None => typical_of(store, &left).map(|(right, typical)| (right, Some(typical)))?,
    };
    let mut lines = analysis::compared(left.parts(), right.parts());
    let changes = changes(&left, &right);
    let left_out = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    let line = |line: analysis::Line| ComparedLine {
        parent: line.parent,
        depth: line.depth,
        service: line.service,
        name: line.name,
        kind: line.kind,
        left: left.side(line.left),
        right: right.side(line.right),
    };
    let lines = lines.into_iter().map(line).collect();
    Ok(ComparedTraces { left: left.told(), right: right.told(), typical, changes, lines, left_out })
}

impl Read {
    fn new(skeleton: Skeleton) -> Read {
        let tree = Tree::new(&skeleton.nodes);
        Read { skeleton, tree }
    }

    fn kept(store: &dyn TraceStore, id: TraceId) -> Result<Read, Problem> {
        let skeleton = store.skeleton(id)?.filter(|skeleton| !skeleton.nodes.is_empty());
        let missing = || Problem::not_found(format!("trace {id} is not kept here"));
        skeleton.map(Read::new).ok_or_else(missing)
    }

    fn parts(&self) -> (&[Node], &Tree) {
        (&self.skeleton.nodes, &self.tree)
    }

    fn root(&self) -> Option<&Node> {
        self.skeleton.nodes.get(self.tree.rows.first()?.node as usize)
    }

    fn duration(&self) -> u64 {
        Projection::new(&self.skeleton.nodes, &self.tree).duration()
    }

    fn told(&self) -> ComparedTrace {
        let nodes = &self.skeleton.nodes;
        let root = self.root();
        ComparedTrace {
            trace_id: self.skeleton.id,
            start: Decimal(root.map_or(0, |root| root.start)),
            duration: self.duration(),
            spans: nodes.len(),
            errors: nodes.iter().filter(|node| node.status == StatusCode::Error).count(),
            service: root.map(|root| root.service.clone()).unwrap_or_default(),
            name: root.map(|root| root.name.clone()).unwrap_or_default(),
        }
    }

    fn side(&self, side: analysis::Side) -> Option<ComparedSide> {
        let analysis::Side { rows, time, on_path, self_on_path, errors } = side;
        let span_id = |row: &u32| {
            let node = self.tree.rows.get(*row as usize)?.node;
            self.skeleton.nodes.get(node as usize).map(|node| node.span_id)
        };
        let span_ids = rows.iter().take(MAX_SPANS).filter_map(span_id).collect();
        let spans = rows.len();
        (spans > 0).then_some(ComparedSide { spans, errors, time, on_path, self_on_path, span_ids })
    }

    /// What each service and operation takes of the root itself.
    fn times(&self) -> BTreeMap<(Text, Text), u64> {
        let mut times = BTreeMap::new();
        let path = CriticalPath::of(&self.skeleton.nodes, &self.tree);
        for part in path.map(|path| path.parts).unwrap_or_default() {
            let row = self.tree.rows.get(part.row as usize);
            if let Some(node) = row.and_then(|row| self.skeleton.nodes.get(row.node as usize)) {
                *times.entry((node.service.clone(), node.name.clone())).or_default() += part.time;
            }
        }
        times
    }
}

fn changes(left: &Read, right: &Read) -> Vec<ComparedPlace> {
    let mut places: BTreeMap<(Text, Text), [u64; 2]> = BTreeMap::new();
    for (side, read) in [left, right].into_iter().enumerate() {
        for (place, time) in read.times() {
            if let Some(sum) = places.entry(place).or_default().get_mut(side) {
                *sum = time;
            }
        }
    }
    let place = |((service, operation), [left, right]): (_, [u64; 2])| ComparedPlace {
        service,
        operation,
        left,
        right,
    };
    let mut changes: Vec<ComparedPlace> = places.into_iter().map(place).collect();
    changes.sort_by_key(|place| std::cmp::Reverse(place.left.abs_diff(place.right)));
    changes
}

/// The trace that stands for what the root operation of another usually does: of some traces with the same root, chosen evenly, those
/// with the most common shape, and among them the one whose root takes what is nearest to their median.
fn typical_of(store: &dyn TraceStore, left: &Read) -> Result<(Read, Typical), Problem> {
    let none = || Problem::not_found("there is no other trace with this root that could be typical of it");
    let root = left.root().ok_or_else(none)?;
    let near = root.start.saturating_sub(NEAR)..=root.start.saturating_add(NEAR);
    let mut candidates = candidates(store, left, root, near)?;
    if candidates.len() < ENOUGH {
        candidates = self::candidates(store, left, root, 0..=u64::MAX)?;
    }
    let of = candidates.len();
    let mut shapes: BTreeMap<_, Vec<(u64, Read)>> = BTreeMap::new();
    for read in candidates {
        let shape = analysis::shape(&read.skeleton.nodes, &read.tree);
        shapes.entry(shape).or_default().push((read.duration(), read));
    }
    // Of shapes that are as common the one that sorts first, so that the answer is the same each time.
    let shapes = shapes.into_values().rev();
    let mut same = shapes.max_by_key(Vec::len).ok_or_else(none)?;
    same.sort_by_key(|(duration, read)| (*duration, read.skeleton.id));
    let durations: Vec<u64> = same.iter().map(|(duration, _)| *duration).collect();
    let median = quantile(&durations, 50);
    let same_shape = same.len();
    let nearest = same.into_iter().min_by_key(|(duration, _)| duration.abs_diff(median));
    let (_, right) = nearest.ok_or_else(none)?;
    Ok((right, Typical { of, same_shape, median }))
}

/// Other traces whose root has the same service and name, with roots that began within a time.
fn candidates(
    store: &dyn TraceStore,
    left: &Read,
    root: &Node,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Vec<Read>, Problem> {
    let filter = SpanFilter {
        service: Some(root.service.clone()),
        operation: Some(root.name.clone()),
        is_root: Some(true),
        ..SpanFilter::default()
    };
    let query = Query { range, spans: vec![filter], ..Query::default() };
    let chosen = sample::sample(store, query, CANDIDATES + 1)?;
    let mut reads = Vec::new();
    for id in chosen.traces.into_iter().filter(|id| *id != left.skeleton.id).take(CANDIDATES) {
        let skeleton = store.skeleton(id)?.filter(|skeleton| skeleton.nodes.len() <= MAX_CANDIDATE);
        let same = skeleton.map(Read::new).filter(|read| {
            read.root().is_some_and(|other| (&other.service, &other.name) == (&root.service, &root.name))
        });
        reads.extend(same);
    }
    Ok(reads)
}
