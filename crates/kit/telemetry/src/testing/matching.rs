//! Comparing an expected tree with spans, and showing where they part.

use std::fmt::Write as _;

use super::expected::{Expected, ExpectedNode};
use super::tree::{self, Node};

/// Whether the order of siblings counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Any,
    /// By start time.
    Start,
}

/// `None` if they match.
pub(super) fn difference(expected: &Expected, nodes: &[Node], order: Order) -> Option<String> {
    if level_matches(expected, nodes, order) {
        return None;
    }
    let mut named = Vec::new();
    expected.nodes.iter().for_each(|node| node.named_attributes(&mut named));
    let mut text = "the spans are not as expected (- missing, + not expected, ~ differs)\n".to_owned();
    show_level(&mut text, expected, nodes, order, 0, &named);
    Some(text)
}

fn node_matches(expected: &ExpectedNode, node: &Node, order: Order) -> bool {
    expected.complaints(node).is_empty() && level_matches(&expected.below, &node.children, order)
}

fn level_matches(expected: &Expected, nodes: &[Node], order: Order) -> bool {
    if expected.nodes.len() > nodes.len() || (!expected.others && expected.nodes.len() < nodes.len()) {
        return false;
    }
    let fits: Vec<Vec<bool>> = expected
        .nodes
        .iter()
        .map(|expected| nodes.iter().map(|node| node_matches(expected, node, order)).collect())
        .collect();
    match order {
        Order::Any => assign(&fits, nodes.len()).iter().all(Option::is_some),
        Order::Start => {
            let mut next = 0;
            fits.iter().all(|fits| match (next..nodes.len()).find(|node| fits[*node]) {
                Some(node) => {
                    next = node + 1;
                    true
                }
                None => false,
            })
        }
    }
}

/// For each expected node a node of its own, for as many as possible (augmenting paths).
fn assign(fits: &[Vec<bool>], nodes: usize) -> Vec<Option<usize>> {
    fn place(expected: usize, fits: &[Vec<bool>], taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        for node in 0..taken.len() {
            if !fits[expected][node] || std::mem::replace(&mut tried[node], true) {
                continue;
            }
            if taken[node].is_none_or(|other| place(other, fits, taken, tried)) {
                taken[node] = Some(expected);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; nodes];
    for expected in 0..fits.len() {
        place(expected, fits, &mut taken, &mut vec![false; nodes]);
    }
    let mut assigned = vec![None; fits.len()];
    for (node, expected) in taken.into_iter().enumerate() {
        if let Some(expected) = expected {
            assigned[expected] = Some(node);
        }
    }
    assigned
}

/// Pairs what matches, then what is about the same span, then what at least has the name; shows the rest.
fn show_level(
    text: &mut String,
    expected: &Expected,
    nodes: &[Node],
    order: Order,
    depth: usize,
    attributes: &[&str],
) {
    let mut pairs: Vec<Option<usize>> = vec![None; expected.nodes.len()];
    let mut pair_up = |alike: &dyn Fn(&ExpectedNode, &Node) -> bool| {
        let used: Vec<usize> = pairs.iter().flatten().copied().collect();
        let free = |node: usize| !used.contains(&node);
        let fits: Vec<Vec<bool>> = expected
            .nodes
            .iter()
            .zip(&pairs)
            .map(|(expected, pair)| {
                let alike = |(place, node)| pair.is_none() && free(place) && alike(expected, node);
                nodes.iter().enumerate().map(alike).collect()
            })
            .collect();
        for (pair, found) in pairs.iter_mut().zip(assign(&fits, nodes.len())) {
            *pair = pair.or(found);
        }
    };
    pair_up(&|expected, node| node_matches(expected, node, order));
    pair_up(&|expected, node| expected.is_about(node) && expected.complaints(node).is_empty());
    pair_up(&|expected, node| expected.is_about(node));
    pair_up(&|expected, node| expected.has_name_of(node));

    for (expected, pair) in expected.nodes.iter().zip(&pairs) {
        match pair {
            Some(node) => show_pair(text, expected, &nodes[*node], order, depth, attributes),
            None => show_missing(text, expected, depth),
        }
    }
    for (place, node) in nodes.iter().enumerate() {
        if !pairs.contains(&Some(place)) {
            let mark = if expected.others { "  " } else { "+ " };
            tree::push_node(text, node, depth, mark, attributes);
        }
    }
    let in_order = pairs.iter().flatten().is_sorted();
    if order == Order::Start && !in_order {
        let _ = writeln!(text, "~ {:1$}(these started in another order)", "", depth * 2);
    }
}

fn show_pair(
    text: &mut String,
    expected: &ExpectedNode,
    node: &Node,
    order: Order,
    depth: usize,
    attributes: &[&str],
) {
    let complaints = expected.complaints(node);
    let mark = if complaints.is_empty() { "  " } else { "~ " };
    let _ = writeln!(text, "{mark}{:indent$}{}", "", tree::line(node, attributes), indent = depth * 2);
    for complaint in complaints {
        let _ = writeln!(text, "~ {:indent$}^ {complaint}", "", indent = depth * 2);
    }
    show_level(text, &expected.below, &node.children, order, depth + 1, attributes);
}

fn show_missing(text: &mut String, expected: &ExpectedNode, depth: usize) {
    let _ = writeln!(text, "- {:indent$}{}", "", expected.line, indent = depth * 2);
    for below in &expected.below.nodes {
        show_missing(text, below, depth + 1);
    }
}
