//! Calls that run one after the other though nothing in the trace says that they must.
//!
//! A group is all children that one row waited for on the critical path and that make calls. A child makes calls when it,
//! or something below it that it waits for, is a client, a producer or a server: work that somebody else does, which
//! is what can overlap without another processor. Own work is left out, however long it takes.
//!
//! Whether a call needs the result of the one before it cannot be seen in a trace, so every group is a question: a
//! `SELECT` followed by an `INSERT` is one too.

use std::cmp::Reverse;

use serde::Serialize;
use waypost_trace_model::{Kind, Node};

use crate::Tree;
use crate::path::Wait;
use crate::timing::Timing;

/// Calls one after the other that the order of the trace would let overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// The row that makes the calls.
    pub parent: u32,
    /// The calls, by start: at least two, each on the critical path, none overlapping another.
    pub rows: Vec<u32>,
    /// The most that can be saved, in nanoseconds, if none needs another's result: the sum of their times on the path
    /// less the longest.
    pub saves_up_to: u64,
}

/// The groups among the rows that were waited for, the greatest saving first, then by row.
pub(crate) fn among(nodes: &[Node], tree: &Tree, timings: &[Timing], waits: &[Wait]) -> Vec<Overlap> {
    let calls = rows_with_calls(nodes, tree, timings);
    let mut overlaps: Vec<Overlap> = waits.iter().filter_map(|wait| group(wait, &calls, timings)).collect();
    overlaps.sort_by_key(|overlap| (Reverse(overlap.saves_up_to), overlap.parent));
    overlaps
}

fn group(wait: &Wait, calls: &[bool], timings: &[Timing]) -> Option<Overlap> {
    let rows: Vec<u32> = wait.children.iter().rev().copied().filter(|&row| calls[row as usize]).collect();
    if rows.len() < 2 {
        return None;
    }
    let time = |&row: &u32| timings[row as usize].length();
    let saves_up_to = rows.iter().map(time).sum::<u64>() - rows.iter().map(time).max().unwrap_or_default();
    Some(Overlap { parent: wait.row, rows, saves_up_to })
}

/// For each of the main root's rows, whether a call is made in it.
pub(crate) fn rows_with_calls(nodes: &[Node], tree: &Tree, timings: &[Timing]) -> Vec<bool> {
    let mut calls = vec![false; timings.len()];
    for (place, timing) in timings.iter().enumerate().rev() {
        let row = tree.rows[place];
        let kind = nodes[row.node as usize].kind;
        calls[place] |= matches!(kind, Kind::Client | Kind::Producer | Kind::Server);
        if let Some(parent) = row.parent.filter(|_| calls[place] && timing.is_awaited) {
            calls[parent as usize] = true;
        }
    }
    calls
}
