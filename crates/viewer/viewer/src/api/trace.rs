//! `GET /traces/{id}`: a trace without attributes, as columns in the order of a depth-first walk.

use super::{Api, NoParameters, Path, values::Decimal};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::collections::HashMap;
use waypost_trace_analysis::{Completeness, CriticalPath, Overlap, Part, Repair, Row, Tree, completeness};
use waypost_trace_model::{Kind, Node, Skeleton, SpanId, StatusCode, Text, TraceId};

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TraceAnswer"))]
pub(super) struct Answer {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    start: Decimal,
    duration: u64,
    spans: usize,
    errors: usize,
    #[cfg_attr(test, ts(type = "Array<string>"))]
    services: Vec<Text>,
    #[cfg_attr(test, ts(type = "Array<string>"))]
    names: Vec<Text>,
    rows: Rows,
    roots: Vec<u32>,
    #[cfg_attr(test, ts(type = "Array<Repair>"))]
    repairs: Vec<Repair>,
    #[cfg_attr(test, ts(type = "Completeness"))]
    completeness: Completeness,
    critical_path: Option<Division>,
}

/// Columns of the same length.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TraceRows"))]
pub(super) struct Rows {
    #[cfg_attr(test, ts(type = "Array<SpanId>"))]
    id: Vec<SpanId>,
    parent: Vec<i64>,
    depth: Vec<u32>,
    descendants: Vec<u32>,
    service: Vec<usize>,
    name: Vec<usize>,
    #[cfg_attr(test, ts(type = "Array<Kind>"))]
    kind: Vec<Kind>,
    #[cfg_attr(test, ts(type = "Array<StatusCode>"))]
    status: Vec<StatusCode>,
    start: Vec<u64>,
    duration: Vec<u64>,
    attributes: Vec<u32>,
    events: Vec<u32>,
    links: Vec<u32>,
    logs: Vec<u32>,
    dropped: Vec<u32>,
    orphan: Vec<bool>,
}

/// The critical path.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TracePath"))]
pub(super) struct Division {
    root: u32,
    segments: Vec<Segment>,
    #[cfg_attr(test, ts(type = "Array<PathPart>"))]
    parts: Vec<Part>,
    slowest: Option<u32>,
    #[cfg_attr(test, ts(type = "Array<Overlap>"))]
    overlaps: Vec<Overlap>,
    outliving: Vec<u32>,
}

/// A stretch of the path, from the trace's start.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "PathSegment"))]
pub(super) struct Segment {
    row: u32,
    start: u64,
    duration: u64,
}

pub(super) async fn trace(State(api): State<Api>, path: Path, _: NoParameters) -> Result<Response, Problem> {
    let id = path.trace()?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let skeleton = store.skeleton(id)?;
        skeleton.map(answer).ok_or_else(|| Problem::not_found(format!("trace {id} is not kept here")))
    };
    api.reads.answer(read).await
}

fn answer(skeleton: Skeleton) -> Answer {
    let tree = Tree::new(&skeleton.nodes);
    let completeness = completeness(&skeleton, &tree);
    let Skeleton { id, nodes, .. } = skeleton;
    let start = nodes.iter().map(|node| node.start).min().unwrap_or_default();
    let end = nodes.iter().map(|node| node.start.max(node.end)).max().unwrap_or_default();
    let division = CriticalPath::of(&nodes, &tree).map(|path| division(path, start));
    let (mut services, mut names) = (Names::default(), Names::default());
    let mut rows = Rows::with_room_for(tree.rows.len());
    for row in &tree.rows {
        if let Some(node) = nodes.get(row.node as usize) {
            rows.push(row, node, start, services.place(&node.service), names.place(&node.name));
        }
    }
    Answer {
        trace_id: id,
        start: Decimal(start),
        duration: end.saturating_sub(start),
        spans: nodes.len(),
        errors: nodes.iter().filter(|node| node.status == StatusCode::Error).count(),
        services: services.names,
        names: names.names,
        completeness,
        rows,
        roots: tree.roots,
        repairs: tree.repairs,
        critical_path: division,
    }
}

fn division(path: CriticalPath, start: u64) -> Division {
    let segment = |segment: &waypost_trace_analysis::Segment| Segment {
        row: segment.row,
        start: segment.start.saturating_sub(start),
        duration: segment.end.saturating_sub(segment.start),
    };
    Division {
        root: path.root,
        segments: path.segments.iter().map(segment).collect(),
        parts: path.parts,
        slowest: path.slowest,
        overlaps: path.overlaps,
        outliving: path.outliving,
    }
}

impl Rows {
    fn with_room_for(rows: usize) -> Rows {
        Rows {
            id: Vec::with_capacity(rows),
            parent: Vec::with_capacity(rows),
            depth: Vec::with_capacity(rows),
            descendants: Vec::with_capacity(rows),
            service: Vec::with_capacity(rows),
            name: Vec::with_capacity(rows),
            kind: Vec::with_capacity(rows),
            status: Vec::with_capacity(rows),
            start: Vec::with_capacity(rows),
            duration: Vec::with_capacity(rows),
            attributes: Vec::with_capacity(rows),
            events: Vec::with_capacity(rows),
            links: Vec::with_capacity(rows),
            logs: Vec::with_capacity(rows),
            dropped: Vec::with_capacity(rows),
            orphan: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, row: &Row, node: &Node, trace_start: u64, service: usize, name: usize) {
        self.id.push(node.span_id);
        self.parent.push(row.parent.map_or(-1, i64::from));
        self.depth.push(row.depth);
        self.descendants.push(row.descendants);
        self.service.push(service);
        self.name.push(name);
        self.kind.push(node.kind);
        self.status.push(node.status);
        self.start.push(node.start.saturating_sub(trace_start));
        self.duration.push(node.duration());
        self.attributes.push(node.attributes);
        self.events.push(node.events);
        self.links.push(node.links);
        self.logs.push(node.logs);
        self.dropped.push(node.dropped);
        self.orphan.push(row.is_orphan);
    }
}

/// Names by their place, in order of appearance.
#[derive(Default)]
struct Names {
    names: Vec<Text>,
    places: HashMap<Text, usize>,
}

impl Names {
    fn place(&mut self, name: &Text) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.names.len();
        self.names.push(name.clone());
        self.places.insert(name.clone(), place);
        place
    }
}
