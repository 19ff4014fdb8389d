//! Who calls whom, in the forms that Jaeger and Zipkin give it.

use std::{collections::BTreeMap, ops::Range};
use waypost_trace_model::Text;
use waypost_trace_statistics::{Edge, PeerKind};
use waypost_trace_store::TraceStore;

/// Calls from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) parent: Text,
    pub(crate) child: Text,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
}

/// Jaeger's form: services only.
///
/// A queue has no place in it. What a service takes from a queue was sent by the services that send to that queue; when
/// only one does, it is the caller, and what was taken is counted. When several do, nobody knows whose messages were
/// taken, so the queue itself stands between them.
pub(crate) fn of_services(store: &dyn TraceStore, window: Range<u64>) -> Vec<Link> {
    services(&store.statistics().edges(window))
}

/// Zipkin's form: services with the brokers, databases and other hosts that they call.
pub(crate) fn of_everything(store: &dyn TraceStore, window: Range<u64>) -> Vec<Link> {
    let edges = store.statistics().edges(window);
    summed(
        edges
            .iter()
            .filter(|edge| edge.from.kind != PeerKind::Caller)
            .map(|edge| link(&edge.from.name, &edge.to.name, edge)),
    )
}

fn services(edges: &[Edge]) -> Vec<Link> {
    let mut senders: BTreeMap<&Text, Vec<&Edge>> = BTreeMap::new();
    for edge in edges.iter().filter(|edge| is_service(edge.from.kind) && is_queue(edge.to.kind)) {
        senders.entry(&edge.to.name).or_default().push(edge);
    }
    let mut links = Vec::new();
    for edge in edges.iter().filter(|edge| is_service(edge.to.kind)) {
        if is_service(edge.from.kind) {
            links.push(link(&edge.from.name, &edge.to.name, edge));
        } else if is_queue(edge.from.kind) {
            match senders.get(&edge.from.name).map(Vec::as_slice) {
                Some([only]) => links.push(link(&only.from.name, &edge.to.name, edge)),
                _ => links.push(link(&edge.from.name, &edge.to.name, edge)),
            }
        }
    }
    for several in senders.values().filter(|several| several.len() > 1) {
        links.extend(several.iter().map(|edge| link(&edge.from.name, &edge.to.name, edge)));
    }
    summed(links.into_iter())
}

fn is_service(kind: PeerKind) -> bool {
    kind == PeerKind::Service
}

fn is_queue(kind: PeerKind) -> bool {
    kind == PeerKind::Messaging
}

fn link(parent: &Text, child: &Text, edge: &Edge) -> Link {
    Link { parent: parent.clone(), child: child.clone(), calls: edge.red.calls, errors: edge.red.errors }
}

/// One link for each pair, by name; pairs without calls in the window are left out.
fn summed(links: impl Iterator<Item = Link>) -> Vec<Link> {
    let mut pairs: BTreeMap<(Text, Text), (u64, u64)> = BTreeMap::new();
    for link in links.filter(|link| link.calls > 0) {
        let (calls, errors) = pairs.entry((link.parent, link.child)).or_default();
        *calls += link.calls;
        *errors += link.errors;
    }
    let link = |((parent, child), (calls, errors))| Link { parent, child, calls, errors };
    pairs.into_iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_statistics::{Peer, Red};

    fn edge(from: (PeerKind, &str), to: (PeerKind, &str), calls: u64) -> Edge {
        let peer = |(kind, name): (PeerKind, &str)| Peer { kind, name: Text::from(name) };
        Edge { from: peer(from), to: peer(to), red: Red { calls, errors: 1, ..Red::default() } }
    }

    fn shown(links: &[Link]) -> Vec<String> {
        links
            .iter()
            .map(|link| format!("{}->{} {} {}", link.parent, link.child, link.calls, link.errors))
            .collect()
    }

    #[test]
    fn a_queue_with_one_sender_is_passed_over_and_one_with_several_stands_between() {
        use PeerKind::{Caller, Database, Messaging, Service};
        let edges = [
            edge((Caller, "outside"), (Service, "a"), 9),
            edge((Service, "a"), (Service, "b"), 5),
            edge((Service, "a"), (Database, "postgresql"), 7),
            edge((Service, "b"), (Messaging, "orders"), 4),
            edge((Messaging, "orders"), (Service, "c"), 3),
            edge((Service, "a"), (Messaging, "mail"), 2),
            edge((Service, "b"), (Messaging, "mail"), 2),
            edge((Messaging, "mail"), (Service, "c"), 4),
            edge((Messaging, "unknown"), (Service, "c"), 6),
            edge((Service, "c"), (Service, "a"), 0),
        ];
        let expected =
            ["a->b 5 1", "a->mail 2 1", "b->c 3 1", "b->mail 2 1", "mail->c 4 1", "unknown->c 6 1"];
        assert_eq!(shown(&services(&edges)), expected);
    }
}
