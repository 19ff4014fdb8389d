//! What holds for any trace, however wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use waypost_trace_analysis::{
    Completeness, CriticalPath, Overlap, Part, Repair, Row, Segment, Tree, completeness,
};
use waypost_trace_model::{Kind, Node, Skeleton, SpanId, StatusCode, Text, TraceLosses};

/// Mostly moments near each other, so that spans touch and contain each other; sometimes the extremes.
fn moment() -> impl Strategy<Value = u64> {
    prop_oneof![
        30 => 1_000_u64..1_040,
        1 => prop::sample::select(vec![0, 1, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX]),
    ]
}

fn id(number: u64) -> Option<SpanId> {
    SpanId::from_bytes(&number.to_be_bytes())
}

/// A span of a forest: ids occur twice, parents are missing, themselves, or each other's, and any end is possible.
fn span() -> impl Strategy<Value = Node> {
    let service = prop::sample::select(vec!["web", "stock"]);
    let follows = prop::bool::weighted(0.1);
    (1_u64..30, 0_u64..32, service, 0_u64..6, moment(), moment(), follows, 0_u32..3).prop_map(
        |(number, parent, service, kind, start, end, follows_from_parent, dropped)| Node {
            span_id: id(number).unwrap(),
            parent_span_id: id(parent),
            service: Text::from_static(service),
            name: Text::from_static("name"),
            kind: Kind::from_number(kind),
            status: StatusCode::Unset,
            start,
            end,
            attributes: 0,
            events: 0,
            links: 0,
            follows_from_parent,
            logs: 0,
            dropped,
        },
    )
}

/// A forest as it comes, or one whose parents come first and whose ends come last: deep and mostly whole.
pub(crate) fn forest() -> impl Strategy<Value = Vec<Node>> {
    let wild = prop::collection::vec(span(), 0..60);
    let deep = prop::collection::vec((span(), any::<prop::sample::Index>()), 1..60).prop_map(|spans| {
        let mut nodes: Vec<Node> = Vec::new();
        for (place, (mut node, parent)) in (1..).zip(spans) {
            if nodes.is_empty() {
                node.parent_span_id = None;
                (node.start, node.end) = (1_000, 1_040);
            } else {
                node.parent_span_id = Some(parent.get(&nodes).span_id);
                node.span_id = id(100 + place).unwrap();
            }
            nodes.push(node);
        }
        nodes
    });
    prop_oneof![wild, deep]
}

fn forest_and_shuffled() -> impl Strategy<Value = (Vec<Node>, Vec<Node>)> {
    forest().prop_flat_map(|nodes| (Just(nodes.clone()), Just(nodes).prop_shuffle()))
}

/// Everything that is said about a trace, with nodes in the place of their indexes.
type Account = (Vec<(Node, Row)>, Vec<u32>, Vec<Repair>, Option<CriticalPath>, Completeness);

fn account(nodes: &[Node]) -> Account {
    let tree = Tree::new(nodes);
    let path = CriticalPath::of(nodes, &tree);
    let skeleton =
        Skeleton { id: "1".parse().unwrap(), nodes: nodes.to_vec(), losses: TraceLosses::default() };
    let completeness = completeness(&skeleton, &tree);
    let rows = tree.rows.iter().map(|&row| (nodes[row.node as usize].clone(), Row { node: 0, ..row }));
    (rows.collect(), tree.roots, tree.repairs, path, completeness)
}

/// Whether the rule says that a span waits for its child.
fn blocks(parent: &Node, child: &Node, skewed_outside: bool) -> bool {
    let is_message = parent.kind == Kind::Producer && child.kind == Kind::Consumer;
    let begins_in_time = child.start < parent.start + parent.duration();
    !is_message && !child.follows_from_parent && (begins_in_time || skewed_outside)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_node_is_in_the_tree_once_and_rows_are_a_walk(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let kept: BTreeSet<u32> = tree.rows.iter().map(|row| row.node).collect();
        prop_assert_eq!(kept, (0_u32..).zip(&nodes).map(|(node, _)| node).collect::<BTreeSet<_>>());
        prop_assert_eq!(tree.rows.len(), nodes.len());

        let mut open: Vec<u32> = Vec::new();
        for (place, row) in (0_u32..).zip(&tree.rows) {
            let end = |row: u32| row + tree.rows[row as usize].descendants;
            open.retain(|&above| end(above) >= place);
            prop_assert_eq!(open.last().copied(), row.parent, "the parent is the innermost row that is open");
            prop_assert_eq!(row.depth as usize, open.len());
            prop_assert!(open.iter().all(|&above| end(above) >= end(place)));
            open.push(place);
        }
        let parentless = (0_u32..).zip(&tree.rows).filter(|(_, row)| row.parent.is_none());
        prop_assert_eq!(&tree.roots, &parentless.map(|(row, _)| row).collect::<Vec<_>>());
    }

    #[test]
    fn a_row_hangs_below_a_span_with_the_id_that_it_names_unless_a_repair_says_otherwise(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let node = |row: u32| &nodes[tree.rows[row as usize].node as usize];
        for (place, row) in (0_u32..).zip(&tree.rows) {
            let here = node(place);
            let is_cut = tree.repairs.contains(&Repair::Cycle { row: place });
            let is_missing = tree.repairs.contains(&Repair::MissingParent { row: place });
            prop_assert_eq!(is_missing, row.is_orphan);
            prop_assert_eq!(is_missing, row.parent.is_none() && here.parent_span_id.is_some() && !is_cut);
            if let Some(parent) = row.parent.map(node) {
                let is_half = parent.span_id == here.span_id && parent.kind == Kind::Client && here.kind == Kind::Server;
                prop_assert!(Some(parent.span_id) == here.parent_span_id || is_half);
            } else if is_missing {
                prop_assert!(nodes.iter().all(|other| Some(other.span_id) != here.parent_span_id));
            }
        }
    }

    #[test]
    fn children_go_by_start_then_id_and_roots_by_start_after_the_main_one(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let mut siblings: BTreeMap<Option<u32>, Vec<(u64, SpanId)>> = BTreeMap::new();
        for row in &tree.rows {
            let node = &nodes[row.node as usize];
            siblings.entry(row.parent).or_default().push((node.start, node.span_id));
        }
        let roots = siblings.remove(&None).unwrap_or_default();
        prop_assert!(roots.iter().skip(1).map(|(start, _)| start).is_sorted());
        prop_assert!(siblings.values().all(|children| children.is_sorted()));
        let true_roots = nodes.iter().filter(|node| node.parent_span_id.is_none());
        let is_half = |node: &Node| node.kind == Kind::Server
            && nodes.iter().any(|other| other.kind == Kind::Client && other.span_id == node.span_id);
        if let Some(earliest) = true_roots.filter(|node| !is_half(node)).map(|node| node.start).min() {
            let main = &nodes[tree.rows[0].node as usize];
            prop_assert_eq!((main.parent_span_id, main.start), (None, earliest));
        }
    }

    #[test]
    fn segments_partition_the_root_and_parts_add_up_to_it(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let Some(path) = CriticalPath::of(&nodes, &tree) else {
            prop_assert!(nodes.is_empty());
            return Ok(());
        };
        let root = &nodes[tree.rows[path.root as usize].node as usize];
        let mut cursor = root.start;
        for segment in &path.segments {
            prop_assert_eq!(segment.start, cursor);
            prop_assert!(segment.end > segment.start);
            cursor = segment.end;
        }
        prop_assert_eq!(cursor, root.start + root.duration());
        prop_assert!(path.segments.windows(2).all(|pair| pair[0].row != pair[1].row));

        prop_assert_eq!(path.parts.iter().map(|part| part.time).sum::<u64>(), root.duration());
        prop_assert!(path.parts.is_sorted_by_key(|part| (std::cmp::Reverse(part.time), part.row)));
        for Part { row, time, .. } in &path.parts {
            let own = path.segments.iter().filter(|segment| segment.row == *row);
            prop_assert_eq!(own.map(|Segment { start, end, .. }| end - start).sum::<u64>(), *time);
        }
        let longest_other = path.parts.iter().find(|part| part.row != path.root);
        prop_assert_eq!(path.slowest, longest_other.map(|part| part.row));
    }

    #[test]
    fn the_path_never_enters_what_does_not_block(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let Some(path) = CriticalPath::of(&nodes, &tree) else { return Ok(()) };
        let node = |row: u32| &nodes[tree.rows[row as usize].node as usize];
        let is_skewed = |row: u32| tree.repairs.iter().any(|repair| matches!(repair, Repair::ClockSkew { row: skewed, .. } if *skewed == row));
        let named = path.parts.iter().map(|part| part.row).chain(path.outliving.iter().copied());
        for row in named.chain(path.overlaps.iter().flat_map(|overlap| overlap.rows.clone())) {
            let mut below = row;
            while let Some(parent) = tree.rows[below as usize].parent {
                prop_assert!(blocks(node(parent), node(below), is_skewed(below)), "{} below {}", below, parent);
                below = parent;
            }
            prop_assert_eq!(below, path.root);
        }
    }

    #[test]
    fn without_skew_a_segment_lies_within_its_row_and_all_rows_above(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let Some(path) = CriticalPath::of(&nodes, &tree) else { return Ok(()) };
        prop_assume!(!tree.repairs.iter().any(|repair| matches!(repair, Repair::ClockSkew { .. })));
        for segment in &path.segments {
            let mut above = Some(segment.row);
            while let Some(row) = above {
                let node = &nodes[tree.rows[row as usize].node as usize];
                prop_assert!(node.start <= segment.start && segment.end <= node.end);
                above = tree.rows[row as usize].parent;
            }
        }
    }

    #[test]
    fn without_skew_the_path_is_what_the_definition_says(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let Some(path) = CriticalPath::of(&nodes, &tree) else { return Ok(()) };
        prop_assume!(!tree.repairs.iter().any(|repair| matches!(repair, Repair::ClockSkew { .. })));
        let root = &nodes[tree.rows[0].node as usize];
        let mut expected = Vec::new();
        by_definition(&nodes, &tree, 0, (root.start, root.start + root.duration()), &mut expected);
        expected.reverse();
        prop_assert_eq!(path.segments, expected);
    }

    #[test]
    fn calls_of_a_group_follow_each_other_under_one_parent(nodes in forest()) {
        let tree = Tree::new(&nodes);
        let Some(path) = CriticalPath::of(&nodes, &tree) else { return Ok(()) };
        let end = |row: u32| row + tree.rows[row as usize].descendants;
        for Overlap { parent, rows, saves_up_to } in &path.overlaps {
            prop_assert!(rows.len() > 1);
            prop_assert!(rows.iter().all(|&row| tree.rows[row as usize].parent == Some(*parent)));
            let times = rows.iter().map(|&row| {
                let inside = path.segments.iter().filter(|segment| (row..=end(row)).contains(&segment.row));
                let inside: Vec<&Segment> = inside.collect();
                (inside[0].start, inside[inside.len() - 1].end)
            });
            let times: Vec<(u64, u64)> = times.collect();
            prop_assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "by start, none overlapping");
            let lengths = times.iter().map(|(start, end)| end - start);
            prop_assert_eq!(*saves_up_to, lengths.clone().sum::<u64>() - lengths.max().unwrap());
        }
    }

    #[test]
    fn the_order_of_the_input_changes_nothing((nodes, shuffled) in forest_and_shuffled()) {
        prop_assert_eq!(account(&nodes), account(&shuffled));
    }
}

/// The walk as it is defined: back from the end, each time the child that returned last before the cursor.
fn by_definition(nodes: &[Node], tree: &Tree, row: u32, window: (u64, u64), segments: &mut Vec<Segment>) {
    let node = |row: u32| &nodes[tree.rows[row as usize].node as usize];
    let (start, mut cursor) = window;
    let within = |child: u32| {
        let (from, to) = (node(child).start, node(child).start + node(child).duration());
        (from.clamp(window.0, window.1), to.clamp(window.0, window.1))
    };
    let children: Vec<u32> = (0_u32..)
        .zip(&tree.rows)
        .filter(|(_, below)| below.parent == Some(row))
        .map(|(child, _)| child)
        .filter(|&child| blocks(node(row), node(child), false) && within(child).0 < within(child).1)
        .collect();
    loop {
        let returned = children.iter().copied().filter(|&child| within(child).1 <= cursor);
        let last = returned.max_by_key(|&child| (within(child).1, within(child).0, std::cmp::Reverse(child)));
        let own_from = last.map_or(start, |child| within(child).1);
        if own_from < cursor {
            segments.push(Segment { row, start: own_from, end: cursor });
        }
        let Some(child) = last else { return };
        by_definition(nodes, tree, child, within(child), segments);
        cursor = within(child).0;
    }
}
