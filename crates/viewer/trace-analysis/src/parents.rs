//! Which span each span hangs under.
//!
//! Everything is found in sorted lists: ids come from outside, and a hash table of them could be made slow on purpose.

use waypost_trace_model::{Kind, Node, SpanId};

use crate::index;

/// Where a span hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// It names no parent.
    None,
    /// Below the span at this place.
    Is(u32),
    /// It names one that is not there.
    Missing,
    /// It was part of a cycle, which is cut above it.
    Cut,
}

/// Where every span hangs, in the order of the spans.
#[derive(Debug)]
pub(crate) struct Parents {
    /// No cycle is left in it.
    pub(crate) of: Vec<Parent>,
    /// Whether an earlier span has the same id; the two halves of a call that share one id are not duplicates.
    pub(crate) is_duplicate: Vec<bool>,
}

/// Finds the parents of spans that are sorted by start.
///
/// Zipkin's tracers may give both halves of a call one id and one parent. The server's half then hangs under the
/// client's, and the spans of the server's service that name this id hang under the server's half.
pub(crate) fn find(nodes: &[&Node]) -> Parents {
    let clients = Candidates::new(nodes, |_, node| (node.kind == Kind::Client).then_some(""));
    let client_halves: Vec<Option<u32>> =
        nodes.iter().map(|node| client_half(nodes, &clients, node)).collect();
    let is_half = |place: usize| client_halves[place].is_some();
    let server_halves = Candidates::new(nodes, |place, node| is_half(place).then_some(&*node.service));
    let all = Candidates::new(nodes, |_, _| Some(""));

    let mut of: Vec<Parent> = Vec::with_capacity(nodes.len());
    for (node, client_half) in nodes.iter().zip(&client_halves) {
        of.push(match (client_half, node.parent_span_id) {
            (Some(client), _) => Parent::Is(*client),
            (None, None) => Parent::None,
            (None, Some(id)) => server_halves
                .find(id, &node.service, node.start)
                .or_else(|| all.find(id, "", node.start))
                .map_or(Parent::Missing, Parent::Is),
        });
    }
    cut_cycles(&mut of);
    Parents { of, is_duplicate: duplicates(&all, is_half) }
}

/// The client's half of a call whose server half is `node`, when both have one id.
fn client_half(nodes: &[&Node], clients: &Candidates<'_>, node: &Node) -> Option<u32> {
    if node.kind != Kind::Server {
        return None;
    }
    let client = clients.find(node.span_id, "", node.start)?;
    let same_parent = match node.parent_span_id {
        None => true,
        Some(id) => id == node.span_id || nodes[client as usize].parent_span_id == Some(id),
    };
    same_parent.then_some(client)
}

/// Spans that could be a parent, by id and service.
struct Candidates<'a> {
    sorted: Vec<Candidate<'a>>,
}

struct Candidate<'a> {
    id: SpanId,
    service: &'a str,
    place: u32,
    start: u64,
    /// The latest end among the candidates of the same id and service up to this one.
    latest_end: u64,
}

impl<'a> Candidates<'a> {
    /// Of the nodes that `service` gives a service.
    fn new(nodes: &[&'a Node], service: impl Fn(usize, &'a Node) -> Option<&'a str>) -> Candidates<'a> {
        let candidate = |(place, node): (usize, &&'a Node)| {
            let service = service(place, node)?;
            let latest_end = node.start + node.duration();
            Some(Candidate { id: node.span_id, service, place: index(place), start: node.start, latest_end })
        };
        let mut sorted: Vec<Candidate<'a>> = nodes.iter().enumerate().filter_map(candidate).collect();
        sorted.sort_by_key(|candidate| (candidate.id, candidate.service, candidate.place));
        for place in 1..sorted.len() {
            let (before, from) = sorted.split_at_mut(place);
            if let (Some(previous), Some(this)) = (before.last(), from.first_mut())
                && (previous.id, previous.service) == (this.id, this.service)
            {
                this.latest_end = this.latest_end.max(previous.latest_end);
            }
        }
        Candidates { sorted }
    }

    /// The place of the earliest one in whose time `time` lies, else of the earliest one.
    fn find(&self, id: SpanId, service: &str, time: u64) -> Option<u32> {
        let key = (id, service);
        let first = self.sorted.partition_point(|candidate| (candidate.id, candidate.service) < key);
        let from = self.sorted.get(first..)?;
        let same = from.get(..from.partition_point(|candidate| (candidate.id, candidate.service) == key))?;
        // The first whose running maximum reaches `time` reaches it itself; all before it are over by then.
        let around = same.get(same.partition_point(|candidate| candidate.latest_end < time));
        let around = around.filter(|candidate| candidate.start <= time);
        around.or(same.first()).map(|candidate| candidate.place)
    }
}

/// Makes the earliest span of each cycle a root.
fn cut_cycles(of: &mut [Parent]) {
    const UNSEEN: usize = usize::MAX;
    let mut seen_from = vec![UNSEEN; of.len()];
    for begin in 0..of.len() {
        let mut here = begin;
        while seen_from[here] == UNSEEN {
            seen_from[here] = begin;
            let Parent::Is(parent) = of[here] else { break };
            here = parent as usize;
        }
        // Back at a span of this very walk, and it has a parent: it lies on a cycle.
        let Parent::Is(mut next) = of[here] else { continue };
        if seen_from[here] != begin {
            continue;
        }
        let mut earliest = here;
        while next as usize != here {
            earliest = earliest.min(next as usize);
            let Parent::Is(parent) = of[next as usize] else { break };
            next = parent;
        }
        of[earliest] = Parent::Cut;
    }
}

fn duplicates(all: &Candidates<'_>, is_half: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut is_duplicate = vec![false; all.sorted.len()];
    let (mut previous, mut previous_half) = (None, None);
    for candidate in &all.sorted {
        let place = candidate.place as usize;
        let previous = if is_half(place) { &mut previous_half } else { &mut previous };
        is_duplicate[place] = *previous == Some(candidate.id);
        *previous = Some(candidate.id);
    }
    is_duplicate
}
