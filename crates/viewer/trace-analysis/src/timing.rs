//! When each row can be waited for.
//!
//! A row's window is its time as recorded, clipped to the window of its parent. One case uses adjusted times: the server
//! side of a call that lies outside of its client side altogether can only be there because of its clock, so it is moved
//! into the middle of the call, with everything below it. Segments therefore lie within the times that a page draws,
//! except below such a row.

use waypost_trace_model::{Kind, Node};

use crate::{Tree, skew};

/// The time of a row as the path sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Its start, clipped to its ancestors.
    pub(crate) start: u64,
    /// Its end, clipped to its ancestors; not before `start`.
    pub(crate) end: u64,
    /// Whether the root can have waited for it: it blocks its parent, and so does each ancestor.
    pub(crate) is_awaited: bool,
    /// Whether it blocks its parent and ends after it.
    pub(crate) outlives: bool,
    /// Nanoseconds added to its recorded times.
    shift: i128,
}

impl Timing {
    /// How long the root can have waited for it, in nanoseconds.
    pub(crate) fn length(self) -> u64 {
        self.end - self.start
    }
}

/// Of the main root's rows, which come first in a tree.
pub(crate) fn timings(nodes: &[Node], tree: &Tree) -> Vec<Timing> {
    let Some(root) = tree.rows.first() else { return Vec::new() };
    let mut timings: Vec<Timing> = Vec::with_capacity(root.descendants as usize + 1);
    for row in tree.rows.iter().take(root.descendants as usize + 1) {
        let node = &nodes[row.node as usize];
        timings.push(match row.parent {
            None => Timing {
                start: node.start,
                end: node.start + node.duration(),
                is_awaited: true,
                outlives: false,
                shift: 0,
            },
            Some(parent) => {
                below(&nodes[tree.rows[parent as usize].node as usize], timings[parent as usize], node)
            }
        });
    }
    timings
}

fn below(parent: &Node, within: Timing, node: &Node) -> Timing {
    let shift = within.shift + skew::needed_offset(parent, node).unwrap_or(0);
    let start = i128::from(node.start) + shift;
    let end = start + i128::from(node.duration());
    let parent_end = i128::from(parent.start) + i128::from(parent.duration()) + within.shift;

    let is_message = parent.kind == Kind::Producer && node.kind == Kind::Consumer;
    let blocks = !is_message && !node.follows_from_parent && start < parent_end;
    let clip = |time: i128| {
        let within = time.clamp(i128::from(within.start), i128::from(within.end));
        u64::try_from(within).unwrap_or_default()
    };
    let is_awaited = within.is_awaited && blocks;
    Timing { start: clip(start), end: clip(end), is_awaited, outlives: is_awaited && end > parent_end, shift }
}
