//! The map: who calls whom.
//!
//! What a span's own attributes make certain (databases, caches, brokers) is an edge at once. A request to another
//! service is an edge when both halves have come, and a call to an outside host when the other half has not come within
//! [`PATIENCE`](crate::pending::PATIENCE). Each call is counted once: a half that comes after its call was decided is
//! forgotten.
//!
//! A SERVER span whose parent is no CLIENT span is a call too, when the parent is of another service: by the callee's own
//! figures, as nobody measured it at the caller. So is what a consumer takes from nowhere that is known.

use crate::{
    Bounds, Edge, NAME_BYTES, OTHER, Peer, PeerKind,
    peer::Hints,
    pending::{By, Callee, Caller, Key, Pending, Way},
    seen::Seen,
    series::{Bucket, Call, Series},
};
use foldhash::fast::RandomState;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
};
use waypost_trace_model::{Attribute, Kind, Span, Text, Value, zipkin};

/// The name of whoever calls a service and sends no spans.
const OUTSIDE: &str = "outside";
/// Producers that a consumer of many messages is matched with.
const LINKS: usize = 32;
const KINDS: usize = 6;

/// Peers, edges, and halves of edges.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    bounds: Bounds,
    peers: Vec<Peer>,
    numbers: [HashMap<Text, u32, RandomState>; KINDS],
    edges: HashMap<(u32, u32), Series, RandomState>,
    pub(crate) pending: Pending,
    pub(crate) seen: Seen,
    /// A peer's name while it is put together.
    name: String,
}

impl Graph {
    pub(crate) fn new(bounds: &Bounds) -> Graph {
        Graph {
            bounds: bounds.clone(),
            peers: Vec::new(),
            numbers: std::array::from_fn(|_| HashMap::default()),
            edges: HashMap::default(),
            pending: Pending::new(bounds.pending),
            seen: Seen::new(bounds.pending),
            name: String::new(),
        }
    }

    /// The number of a peer. Services are bounded where they are counted; all other names together are bounded here.
    pub(crate) fn peer(&mut self, kind: PeerKind, name: &str) -> u32 {
        if let Some(number) = self.numbers[kind as usize].get(name) {
            return *number;
        }
        let services = self.numbers[PeerKind::Service as usize].len();
        let is_full = self.peers.len() - services >= self.bounds.edges.max(KINDS);
        let is_beyond = is_full && kind != PeerKind::Service || name.len() > NAME_BYTES;
        if is_beyond && name != OTHER {
            return self.peer(kind, OTHER);
        }
        let number = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        let name = Text::from(name);
        self.peers.push(Peer { kind, name: name.clone() });
        self.numbers[kind as usize].insert(name, number);
        number
    }

    pub(crate) fn has(&self, kind: PeerKind, name: &str) -> bool {
        self.numbers[kind as usize].contains_key(name)
    }

    pub(crate) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    pub(crate) fn series(&self) -> impl Iterator<Item = (&(u32, u32), &Series)> {
        self.edges.iter()
    }

    /// The figures of an edge; beyond the bound those of an edge between others of the same kinds.
    pub(crate) fn edge(&mut self, from: u32, to: u32) -> &mut Series {
        let mut key = (from, to);
        if !self.edges.contains_key(&key) && self.edges.len() >= self.bounds.edges {
            let kind =
                |number: u32| self.peers.get(number as usize).map_or(PeerKind::External, |peer| peer.kind);
            let (from, to) = (kind(from), kind(to));
            key = (self.peer(from, OTHER), self.peer(to, OTHER));
        }
        self.edges.entry(key).or_default()
    }

    /// Takes the span's part in calls between peers; `service` is the number of its service's peer.
    pub(crate) fn observe(&mut self, span: &Span, service: u32, call: Call, now: u64) {
        let own = (span.trace_id, span.span_id);
        let parent = span.parent_span_id.map(|parent| (span.trace_id, parent));
        match span.kind {
            Kind::Client => {}
            // A consumer of its message is met below.
            Kind::Producer => self.called_by(own, service, |by| by == By::Request),
            _ => self.called_by(own, service, |by| matches!(by, By::Request | By::Message(None))),
        }
        match span.kind {
            Kind::Client => self.client(&Hints::read(&span.attributes), own, service, call, now),
            Kind::Server => self.server(own, parent, is_shared(span), service, call, now),
            Kind::Producer => self.producer(&Hints::read(&span.attributes), own, service, call, now),
            Kind::Consumer => {
                let links = span.links.iter().take(LINKS).map(|link| (link.trace_id, link.span_id));
                let producers = parent.into_iter().chain(links);
                self.consumer(&Hints::read(&span.attributes), producers, service, call, now);
            }
            Kind::Internal | Kind::Unspecified => {
                let hints = Hints::read(&span.attributes);
                let named = hints.cache(&mut self.name);
                if let Some(cache) = self.named(named) {
                    self.edge(service, cache).record(now, &call);
                }
            }
        }
        if self.pending.len() > self.bounds.pending {
            self.expire(now);
        }
    }

    /// Decides what has waited long enough at `now`.
    pub(crate) fn expire(&mut self, now: u64) {
        while let Some(caller) = self.pending.next_expired(now) {
            if let Way::Request { host: Some(host) } = &caller.way {
                let host = self.peer(PeerKind::External, host);
                self.edge(caller.from, host).record(caller.arrival, &caller.call);
            }
        }
    }

    /// Forgets what is too old.
    pub(crate) fn roll(&mut self, now: u64) {
        self.edges.values_mut().for_each(|series| series.roll(now));
        self.edges.retain(|_, series| series.buckets().next().is_some());
    }

    /// Edges with calls in the window, by name. Calls that have waited long enough at its end are counted as they would be
    /// decided, but not decided: no time passes by being asked.
    pub(crate) fn sum(&self, window: &Range<u64>) -> Vec<Edge> {
        let mut sums: BTreeMap<(&Peer, &Peer), Bucket> = BTreeMap::new();
        let peer = |number: u32| self.peers.get(number as usize);
        for ((from, to), series) in &self.edges {
            let sum = series.sum(window);
            if let (Some(from), Some(to), true) = (peer(*from), peer(*to), sum.calls > 0) {
                sums.insert((from, to), sum);
            }
        }
        let overdue: Vec<(Peer, Peer, Series)> = self.overdue(window);
        for (from, to, series) in &overdue {
            let sum = series.sum(window);
            if sum.calls > 0 {
                sums.entry((from, to)).or_default().merge(&sum);
            }
        }
        let edges = sums.into_iter().map(|((from, to), sum)| Edge {
            from: from.clone(),
            to: to.clone(),
            red: sum.red(),
        });
        edges.collect()
    }

    /// What is known of the calls between two points, as [`Graph::sum`] counts them.
    pub(crate) fn of_edge(&self, from: &Peer, to: &Peer, window: &Range<u64>) -> Vec<Cow<'_, Series>> {
        let number = |peer: &Peer| self.numbers[peer.kind as usize].get(&peer.name).copied();
        let ends = number(from).zip(number(to));
        let decided = ends.and_then(|ends| self.edges.get(&ends)).map(Cow::Borrowed);
        let overdue = if to.kind == PeerKind::External { self.overdue(window) } else { Vec::new() };
        let overdue = overdue.into_iter().filter(|(source, target, _)| source == from && target == to);
        decided.into_iter().chain(overdue.map(|(_, _, series)| Cow::Owned(series))).collect()
    }

    /// Edges with at least so many calls in the window that are decided.
    pub(crate) fn busy(&self, window: &Range<u64>, min_calls: u64) -> Vec<(Peer, Peer)> {
        let peer = |number: u32| self.peers.get(number as usize).cloned();
        let busy = self.edges.iter().filter(|(_, series)| series.calls(window) >= min_calls);
        busy.filter_map(|((from, to), _)| Some((peer(*from)?, peer(*to)?))).collect()
    }

    fn overdue(&self, window: &Range<u64>) -> Vec<(Peer, Peer, Series)> {
        let mut hosts: BTreeMap<(u32, &str), Series> = BTreeMap::new();
        let mut overdue: Vec<&Caller> = self.pending.overdue(window.end).collect();
        overdue.sort_by_key(|caller| caller.arrival);
        for caller in overdue {
            if let Way::Request { host: Some(host) } = &caller.way {
                hosts.entry((caller.from, host)).or_default().record(caller.arrival, &caller.call);
            }
        }
        let external = |name: &str| Peer { kind: PeerKind::External, name: Text::from(name) };
        let known = hosts.into_iter().filter_map(|((from, host), series)| {
            Some((self.peers.get(from as usize)?.clone(), external(host), series))
        });
        known.collect()
    }

    fn named(&mut self, kind: Option<PeerKind>) -> Option<u32> {
        let name = std::mem::take(&mut self.name);
        let number = kind.map(|kind| self.peer(kind, &name));
        self.name = name;
        number
    }

    fn client(&mut self, hints: &Hints<'_>, own: Key, service: u32, call: Call, now: u64) {
        let certain = hints.certain(&mut self.name);
        if let Some(peer) = self.named(certain) {
            let (from, to) = if hints.is_receive { (peer, service) } else { (service, peer) };
            self.edge(from, to).record(now, &call);
            return;
        }
        let shared = self.pending.take_callee(&own, |by| by == By::Shared);
        let callee = shared.or_else(|| self.pending.take_callee(&own, |by| by == By::Request));
        if let Some(Callee { to, .. }) = callee {
            self.edge(service, to).record(now, &call);
        } else {
            let kept = |host: &str| Box::from(if host.len() > NAME_BYTES { OTHER } else { host });
            let way = Way::Request { host: hints.host().map(kept) };
            self.pending.add_caller(own, Caller { arrival: now, from: service, call, way });
        }
    }

    fn server(&mut self, own: Key, parent: Option<Key>, is_shared: bool, service: u32, call: Call, now: u64) {
        // Both halves have one id; not every tracer says so.
        let is_shared = is_shared
            || self.pending.caller(&own).is_some_and(|caller| matches!(caller.way, Way::Request { .. }));
        let caller = if is_shared { Some(own) } else { parent };
        let Some(caller) = caller else {
            let outside = self.peer(PeerKind::Caller, OUTSIDE);
            self.edge(outside, service).record(now, &call);
            return;
        };
        match self.pending.caller(&caller) {
            Some(Caller { arrival, from, call, way: Way::Request { .. } }) => {
                let (arrival, from, call) = (*arrival, *from, *call);
                self.pending.remove_caller(&caller);
                self.edge(from, service).record(arrival, &call);
                return;
            }
            Some(Caller { from, way: Way::Message { .. }, .. }) => {
                let from = *from;
                self.direct(from, service, call, now);
                return;
            }
            None => {}
        }
        if let Some(from) = self.seen.service(caller).filter(|_| !is_shared) {
            self.direct(from, service, call, now);
        } else {
            let by = if is_shared { By::Shared } else { By::Request };
            self.pending.add_callee(caller, Callee { arrival: now, to: service, call, by });
        }
    }

    /// Counts what waited for a caller that turns out to be no CLIENT span.
    fn called_by(&mut self, own: Key, from: u32, is_direct: impl Fn(By) -> bool) {
        while let Some(callee) = self.pending.take_callee(&own, &is_direct) {
            self.direct(from, callee.to, callee.call, callee.arrival);
        }
    }

    /// A call that only the callee has a span of its own for. Within a service it is none.
    fn direct(&mut self, from: u32, to: u32, call: Call, arrival: u64) {
        if from != to {
            self.edge(from, to).record(arrival, &call);
        }
    }

    fn producer(&mut self, hints: &Hints<'_>, own: Key, service: u32, call: Call, now: u64) {
        let named = hints.messaging(&mut self.name);
        let destination = self.named(named);
        if let Some(destination) = destination {
            self.edge(service, destination).record(now, &call);
        }
        let way = Way::Message { to: destination, is_decided: destination.is_some() };
        let mut caller = Caller { arrival: now, from: service, call, way };
        while let Some(callee) = self.pending.take_callee(&own, |by| matches!(by, By::Message(_))) {
            self.meet(&mut caller, &callee);
        }
        // It goes on waiting: a message may have several consumers.
        self.pending.add_caller(own, caller);
    }

    fn consumer(
        &mut self,
        hints: &Hints<'_>,
        producers: impl Iterator<Item = Key>,
        service: u32,
        call: Call,
        now: u64,
    ) {
        let named = hints.messaging(&mut self.name);
        let destination = self.named(named);
        if let Some(destination) = destination {
            self.edge(destination, service).record(now, &call);
        }
        let callee = Callee { arrival: now, to: service, call, by: By::Message(destination) };
        let mut first = None;
        for producer in producers {
            first = first.or(Some(producer));
            let known =
                self.pending.caller(&producer).filter(|caller| matches!(caller.way, Way::Message { .. }));
            if let Some(mut caller) = known.cloned() {
                self.meet(&mut caller, &callee);
                if let Some(known) = self.pending.caller(&producer) {
                    *known = caller;
                }
                return;
            }
        }
        let Some(first) = first else { return };
        match self.seen.service(first).filter(|_| destination.is_none()) {
            Some(from) => self.direct(from, service, call, now),
            None => self.pending.add_callee(first, callee),
        }
    }

    /// Counts what neither half of a message could know alone.
    fn meet(&mut self, producer: &mut Caller, consumer: &Callee) {
        let Way::Message { to, is_decided } = &mut producer.way else { return };
        let By::Message(through) = consumer.by else { return };
        match (*to, through) {
            (Some(_), Some(_)) => {}
            (Some(destination), None) => {
                self.edge(destination, consumer.to).record(consumer.arrival, &consumer.call);
            }
            (None, Some(destination)) => {
                if !std::mem::replace(is_decided, true) {
                    self.edge(producer.from, destination).record(producer.arrival, &producer.call);
                }
            }
            (None, None) => self.edge(producer.from, consumer.to).record(consumer.arrival, &consumer.call),
        }
    }
}

/// Whether the span is the server's half of a call whose halves have one id.
fn is_shared(span: &Span) -> bool {
    let is_flag =
        |attribute: &Attribute| &*attribute.key == "zipkin.shared" && attribute.value == Value::Bool(true);
    span.scope.schema_url == zipkin::SCHEMA_URL && span.attributes.iter().any(is_flag)
}
