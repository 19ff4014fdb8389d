//! Shapes on which a recursive or quadratic algorithm would not end.

use std::sync::LazyLock;

use waypost_trace_analysis::{CriticalPath, FindingKind, Tree, findings};
use waypost_trace_model::{Kind, Node, SpanId};

use crate::picture::draw;

const SPANS: u64 = 200_000;

fn span(id: u64, parent: u64, start: u64, end: u64) -> Node {
    static ANY: LazyLock<Node> = LazyLock::new(|| draw("r client #").nodes.remove(0));
    let mut node = ANY.clone();
    node.span_id = SpanId::from_bytes(&id.to_be_bytes()).unwrap();
    node.parent_span_id = SpanId::from_bytes(&parent.to_be_bytes());
    (node.start, node.end) = (start, end);
    node
}

fn analysed(nodes: &[Node]) -> (Tree, CriticalPath) {
    let tree = Tree::new(nodes);
    assert_eq!(tree.rows.len(), nodes.len());
    findings(nodes, &tree, &[]);
    let path = CriticalPath::of(nodes, &tree).unwrap();
    (tree, path)
}

#[test]
fn a_chain_of_two_hundred_thousand_spans() {
    let nodes: Vec<Node> = (1..=SPANS).map(|id| span(id, id - 1, id, 3 * SPANS - id)).collect();
    let (tree, path) = analysed(&nodes);
    assert_eq!(u64::from(tree.rows.last().unwrap().depth), SPANS - 1);
    assert_eq!(path.segments.len() as u64, 2 * SPANS - 1);
    assert_eq!(path.parts.iter().map(|part| part.time).sum::<u64>(), 3 * SPANS - 2);
}

#[test]
fn two_hundred_thousand_calls_one_after_the_other() {
    let calls = (2..=SPANS).map(|id| span(id, 1, 10 * id, 10 * id + 9));
    let nodes: Vec<Node> = std::iter::once(span(1, 0, 0, 20 * SPANS)).chain(calls).collect();
    let (tree, path) = analysed(&nodes);
    assert_eq!(u64::from(tree.rows[0].descendants), SPANS - 1);
    assert_eq!(path.overlaps[0].rows.len() as u64, SPANS - 1);
    assert_eq!(path.overlaps[0].saves_up_to, 9 * (SPANS - 2));
    let found = findings(&nodes, &tree, &[]);
    assert_eq!((found[0].kind, found[0].rows.len() as u64), (FindingKind::RepeatedCall, SPANS - 1));
}

#[test]
fn two_hundred_thousand_calls_at_once() {
    let calls = (2..=SPANS).map(|id| span(id, 1, id, 2 * SPANS - id));
    let nodes: Vec<Node> = std::iter::once(span(1, 0, 0, 2 * SPANS)).chain(calls).collect();
    let (_, path) = analysed(&nodes);
    assert_eq!(path.parts.iter().map(|part| part.time).collect::<Vec<_>>(), [2 * SPANS - 4, 4]);
}

#[test]
fn one_cycle_of_two_hundred_thousand_spans_and_one_id_for_all_of_them() {
    let ring: Vec<Node> = (1..=SPANS).map(|id| span(id, id % SPANS + 1, SPANS - id, 2 * SPANS)).collect();
    let (tree, _) = analysed(&ring);
    assert_eq!(tree.roots.len(), 1);
    assert_eq!(u64::from(tree.rows[0].node), SPANS - 1, "the earliest is the root");

    let one_id: Vec<Node> = (1..=SPANS).map(|start| span(1, 1, start, start + 2)).collect();
    let (tree, _) = analysed(&one_id);
    assert_eq!(tree.repairs.len() as u64, SPANS, "one cycle and duplicates");

    let halves = one_id.iter().cloned().enumerate().map(|(place, mut node)| {
        node.kind = if place % 2 == 0 { Kind::Client } else { Kind::Server };
        node
    });
    analysed(&halves.collect::<Vec<_>>());
}
