//! A trace with its tree and what its spans say, read for the analyses.
//!
//! Bound: attributes are read of at most [`MAX_DETAILED`] spans of a trace, those on its critical path first, some thousands at a
//! time; of the others only names and times are known. Memory is that of one such part.

use std::collections::{HashMap, HashSet};
use waypost_trace_analysis::{CriticalPath, Facts, Row, Tree};
use waypost_trace_model::{Node, Skeleton, Span, SpanId, TraceId};
use waypost_trace_store::{ReadError, SpanFilter, TraceStore};

/// Spans of a trace whose attributes are read.
pub(crate) const MAX_DETAILED: usize = 20_000;

/// Spans that are read at once.
const PART: usize = 4_000;

pub(crate) struct Analysed {
    pub(crate) skeleton: Skeleton,
    pub(crate) tree: Tree,
    /// For each node of the skeleton.
    pub(crate) facts: Vec<Facts>,
    /// Spans whose attributes were read.
    pub(crate) detailed: usize,
}

impl Analysed {
    /// `None` when the trace is not kept.
    pub(crate) fn read(
        store: &dyn TraceStore,
        id: TraceId,
        max: usize,
    ) -> Result<Option<Analysed>, ReadError> {
        let Some(skeleton) = store.skeleton(id)? else { return Ok(None) };
        let tree = Tree::new(&skeleton.nodes);
        let wanted = wanted(&skeleton, &tree, max);
        let mut places: HashMap<SpanId, Vec<usize>> = HashMap::new();
        for (place, node) in skeleton.nodes.iter().enumerate() {
            places.entry(node.span_id).or_default().push(place);
        }
        let mut facts = vec![Facts::default(); skeleton.nodes.len()];
        for part in wanted.chunks(PART) {
            for span in store.spans(id, part)?.0 {
                let place = places.get(&span.span_id).and_then(|places| {
                    places
                        .iter()
                        .find(|&&place| skeleton.nodes.get(place).is_some_and(|node| is_of(node, &span)))
                });
                if let Some(known) = place.and_then(|place| facts.get_mut(*place)) {
                    *known = Facts::of(&span);
                }
            }
        }
        Ok(Some(Analysed { skeleton, tree, facts, detailed: wanted.len() }))
    }

    /// A trace, or what lies below its first span that meets the filter.
    pub(crate) fn read_from(
        store: &dyn TraceStore,
        id: TraceId,
        max: usize,
        filter: Option<&SpanFilter>,
    ) -> Result<Option<Analysed>, ReadError> {
        let Some(trace) = Analysed::read(store, id, max)? else { return Ok(None) };
        let Some(filter) = filter else { return Ok(Some(trace)) };
        let first = store.matching(id, filter, 1)?;
        Ok(first.first().and_then(|span| trace.below(*span)))
    }

    /// The id of the span in a row.
    pub(crate) fn span_id(&self, row: u32) -> Option<SpanId> {
        let node = self.tree.rows.get(row as usize)?.node;
        self.skeleton.nodes.get(node as usize).map(|node| node.span_id)
    }
}

impl Analysed {
    /// What lies below a span, which is the root then. `None` when it is not there.
    pub(crate) fn below(&self, span: SpanId) -> Option<Analysed> {
        let node = |row: &Row| self.skeleton.nodes.get(row.node as usize);
        let rows = &self.tree.rows;
        let first = rows.iter().position(|row| node(row).is_some_and(|node| node.span_id == span))?;
        let count = rows.get(first)?.descendants as usize + 1;
        let places: Vec<usize> =
            rows.get(first..first + count)?.iter().map(|row| row.node as usize).collect();
        let mut nodes: Vec<Node> =
            places.iter().filter_map(|place| self.skeleton.nodes.get(*place).cloned()).collect();
        if let Some(root) = nodes.first_mut() {
            root.parent_span_id = None;
        }
        let facts: Vec<Facts> = places.iter().filter_map(|place| self.facts.get(*place).cloned()).collect();
        let tree = Tree::new(&nodes);
        let skeleton = Skeleton { id: self.skeleton.id, nodes, losses: self.skeleton.losses.clone() };
        let detailed = self.detailed.min(facts.len());
        Some(Analysed { skeleton, tree, facts, detailed })
    }
}

/// Ids of the spans whose attributes are read, each once.
fn wanted(skeleton: &Skeleton, tree: &Tree, max: usize) -> Vec<SpanId> {
    let path = if skeleton.nodes.len() > max { CriticalPath::of(&skeleton.nodes, tree) } else { None };
    let on_path = path.map(|path| path.parts).unwrap_or_default();
    let first = on_path.iter().filter_map(|part| tree.rows.get(part.row as usize));
    let ids = first.chain(&tree.rows).filter_map(|row| skeleton.nodes.get(row.node as usize));
    let mut seen = HashSet::new();
    ids.map(|node| node.span_id).filter(|id| seen.insert(*id)).take(max).collect()
}

/// Whether a node is that of a span; ids may be there twice.
fn is_of(node: &Node, span: &Span) -> bool {
    (node.start, node.end, node.kind) == (span.start, span.end, span.kind)
        && node.service == *span.service()
        && node.name == span.name
}
