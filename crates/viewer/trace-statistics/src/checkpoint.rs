//! Everything as bytes and back.
//!
//! Names are read back through the same doors that spans come through, so that whatever the bytes say the bounds hold.

use crate::{
    AttributeScope, Bounds, Deployment, Examples, OTHER, PeerKind, RestoreError,
    deployments::Deployments,
    hours::Hour,
    names::{SCOPES, Values},
    pending::{By, Callee, Caller, Half, Key, Pending, Way},
    series::{Bucket, Call, Level, Series},
    sketch::Sketch,
    state::{Figures, State},
    wire::{Reader, Writer, error},
};
use waypost_trace_model::{Kind, TraceId};

/// Of this form. Another form is not read: figures begin anew.
const MAGIC: &[u8] = b"WPST3";

pub(crate) fn write(state: &State) -> Vec<u8> {
    let mut to = Writer::default();
    to.bytes(MAGIC);
    to.number(state.minute);
    to.number(state.first.unwrap_or(0));
    to.count(state.services.len());
    for service in &state.services {
        to.text(&service.name);
        write_deployments(&mut to, &service.deployments);
        to.flag(matches!(service.figures, Figures::Entries(_)));
        write_series(&mut to, service.figures.series());
    }
    to.count(state.operations.len());
    for operation in &state.operations {
        to.count(operation.service);
        to.text(&operation.name);
        to.number(operation.kind as u64);
        write_series(&mut to, &operation.series);
    }
    write_graph(&mut to, state);
    write_names(&mut to, state);
    write_seen(&mut to, state);
    to.0
}

pub(crate) fn read(bounds: Bounds, bytes: &[u8]) -> Result<State, RestoreError> {
    let mut from = Reader(bytes);
    if from.take(MAGIC.len())? != MAGIC {
        return Err(error("it has another form"));
    }
    let mut state = State::new(bounds);
    state.minute = from.number()?;
    state.first = Some(from.number()?).filter(|first| *first > 0);
    let mut services = Vec::new();
    for _ in 0..from.count()? {
        let number = state.service(from.text()?);
        services.push(number);
        read_deployments(&mut from, &mut state, number)?;
        let is_entries = from.flag()?;
        let mut series = Series::default();
        read_series(&mut from, &mut series)?;
        restore_figures(&mut state, number, is_entries, &series);
    }
    for _ in 0..from.count()? {
        let at: usize = from.small()?;
        let service = *services.get(at).ok_or_else(|| error("an operation has no service"))?;
        let name = from.text()?;
        let kind = Kind::from_number(from.number()?);
        let number = state.operation(service, name, kind);
        let operation = state.operations.get_mut(number).ok_or_else(|| error("an operation is lost"))?;
        read_series(&mut from, &mut operation.series)?;
    }
    let peers = read_graph(&mut from, &mut state)?;
    read_names(&mut from, &mut state)?;
    read_seen(&mut from, &peers, &mut state)?;
    if from.0.is_empty() { Ok(state) } else { Err(error("something follows its end")) }
}

fn restore_figures(state: &mut State, number: usize, is_entries: bool, series: &Series) {
    let Some(service) = state.services.get_mut(number) else { return };
    match (&mut service.figures, is_entries) {
        (Figures::Entries(_), false) => {}
        (figures @ Figures::Roots(_), true) => *figures = Figures::Entries(series.clone()),
        (Figures::Roots(known), false) | (Figures::Entries(known), true) => {
            series.buckets().for_each(|(level, bucket)| known.insert(level, bucket));
            known.add_past(series.past());
            series.past_hours().iter().for_each(|hour| known.add_past_hour(&hour));
        }
    }
}

/// Those of several services that are one now, beyond a smaller bound, are not told apart: only one's are kept.
fn write_deployments(to: &mut Writer, deployments: &Deployments) {
    to.count(deployments.list().len());
    for deployment in deployments.list() {
        to.text(&deployment.version);
        to.number(deployment.first);
        to.number(deployment.last);
    }
}

fn read_deployments(from: &mut Reader<'_>, state: &mut State, number: usize) -> Result<(), RestoreError> {
    let mut list = Vec::new();
    for _ in 0..from.count()? {
        let version = from.owned()?;
        list.push(Deployment { version, first: from.number()?, last: from.number()? });
    }
    if let Some(service) = state.services.get_mut(number) {
        service.deployments.restore(list);
    }
    Ok(())
}

fn write_series(to: &mut Writer, series: &Series) {
    write_bucket(to, series.past());
    to.count(series.past_hours().iter().count());
    for hour in series.past_hours().iter() {
        let Hour { start, calls, errors, p50, p95, p99 } = hour;
        for number in [start, calls, errors, p50, p95, p99] {
            to.number(number);
        }
    }
    to.count(series.buckets().count());
    for (level, bucket) in series.buckets() {
        to.number(level as u64);
        write_bucket(to, bucket);
    }
}

fn write_bucket(to: &mut Writer, bucket: &Bucket) {
    to.number(bucket.start);
    to.number(bucket.end - bucket.start);
    to.number(bucket.calls);
    to.number(bucket.errors);
    to.number(bucket.duration);
    to.number(bucket.slowest);
    let Examples { recent, slowest, failed } = bucket.examples;
    write_trace(to, recent, None);
    write_trace(to, slowest, recent);
    write_trace(to, failed, recent);
    write_sketch(to, &bucket.sketch);
    write_sketch(to, &bucket.failed);
}

fn write_sketch(to: &mut Writer, sketch: &Sketch) {
    to.count(sketch.bins().len());
    let mut before = 0;
    for bin in sketch.bins() {
        to.number(u64::from(bin.step - before));
        to.number(u64::from(bin.count));
        before = bin.step;
    }
}

fn read_series(from: &mut Reader<'_>, series: &mut Series) -> Result<(), RestoreError> {
    series.add_past(&read_bucket(from)?);
    for _ in 0..from.count()? {
        let (start, calls, errors) = (from.number()?, from.number()?, from.number()?);
        let (p50, p95, p99) = (from.number()?, from.number()?, from.number()?);
        series.add_past_hour(&Hour { start, calls, errors, p50, p95, p99 });
    }
    for _ in 0..from.count()? {
        let level = match from.number()? {
            0 => Level::Minutes,
            1 => Level::Tens,
            2 => Level::Hours,
            3 => Level::Days,
            _ => return Err(error("a bucket has no such width")),
        };
        series.insert(level, &read_bucket(from)?);
    }
    Ok(())
}

fn read_bucket(from: &mut Reader<'_>) -> Result<Bucket, RestoreError> {
    let start = from.number()?;
    let mut bucket = Bucket { start, end: start.saturating_add(from.number()?), ..Bucket::default() };
    bucket.calls = from.number()?;
    bucket.errors = from.number()?;
    bucket.duration = from.number()?;
    bucket.slowest = from.number()?;
    let recent = read_trace(from, None)?;
    bucket.examples =
        Examples { recent, slowest: read_trace(from, recent)?, failed: read_trace(from, recent)? };
    read_sketch(from, &mut bucket.sketch)?;
    read_sketch(from, &mut bucket.failed)?;
    Ok(bucket)
}

fn read_sketch(from: &mut Reader<'_>, sketch: &mut Sketch) -> Result<(), RestoreError> {
    let mut step = 0_u16;
    for _ in 0..from.count()? {
        step = step.saturating_add(from.small()?);
        sketch.add(step, from.small()?);
    }
    Ok(())
}

/// A trace, or a sign that there is none, or that it is one that was just written.
fn write_trace(to: &mut Writer, trace: Option<TraceId>, written: Option<TraceId>) {
    match trace {
        None => to.number(0),
        Some(_) if trace == written => to.number(1),
        Some(id) => {
            to.number(2);
            to.bytes(id.as_bytes());
        }
    }
}

fn read_trace(from: &mut Reader<'_>, written: Option<TraceId>) -> Result<Option<TraceId>, RestoreError> {
    match from.number()? {
        0 => Ok(None),
        1 => Ok(written),
        _ => from.trace_id().map(Some),
    }
}

fn write_graph(to: &mut Writer, state: &State) {
    let graph = &state.graph;
    to.count(graph.peers().len());
    for peer in graph.peers() {
        to.number(peer.kind as u64);
        to.text(&peer.name);
    }
    // Those between others come last, as they are what is beyond the bound.
    let is_other = |number: u32| graph.peers().get(number as usize).is_some_and(|peer| &*peer.name == OTHER);
    let mut edges: Vec<_> = graph.series().collect();
    edges.sort_by_key(|((source, target), _)| (is_other(*source) && is_other(*target), *source, *target));
    to.count(edges.len());
    for ((source, target), series) in edges {
        to.number(u64::from(*source));
        to.number(u64::from(*target));
        write_series(to, series);
    }
    let waiting = graph.pending.waiting();
    to.count(waiting.len());
    for (key, half) in waiting {
        write_half(to, key, half);
    }
}

fn read_graph(from: &mut Reader<'_>, state: &mut State) -> Result<Peers, RestoreError> {
    let mut peers = Vec::new();
    for _ in 0..from.count()? {
        let kind: usize = from.small()?;
        let kind = *PeerKind::ALL.get(kind).ok_or_else(|| error("a peer has no such kind"))?;
        let name = from.text()?;
        let is_known = kind != PeerKind::Service || state.graph.has(kind, name);
        // All services were read before; what is none of them now is beyond the bound.
        peers.push(state.graph.peer(kind, if is_known { name } else { OTHER }));
    }
    let peers = Peers(peers);
    for _ in 0..from.count()? {
        let (source, target) = (peers.read(from)?, peers.read(from)?);
        read_series(from, state.graph.edge(source, target))?;
    }
    for _ in 0..from.count()? {
        read_half(from, &peers, &mut state.graph.pending)?;
    }
    Ok(peers)
}

/// Numbers of peers as they were written, to those that they have now.
struct Peers(Vec<u32>);

impl Peers {
    fn get(&self, written: usize) -> Result<u32, RestoreError> {
        self.0.get(written).copied().ok_or_else(|| error("there is no such peer"))
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<u32, RestoreError> {
        self.get(from.small()?)
    }

    fn read_optional(&self, from: &mut Reader<'_>) -> Result<Option<u32>, RestoreError> {
        let number: usize = from.small()?;
        number.checked_sub(1).map(|number| self.get(number)).transpose()
    }
}

fn write_peer(to: &mut Writer, peer: Option<u32>) {
    to.number(peer.map_or(0, |peer| u64::from(peer) + 1));
}

fn write_half(to: &mut Writer, (trace, span): &Key, half: Half<'_>) {
    to.bytes(trace.as_bytes());
    to.bytes(span.as_bytes());
    let (arrival, peer, call) = match half {
        Half::Caller(Caller { arrival, from, call, .. }) => (arrival, from, call),
        Half::Callee(Callee { arrival, to, call, .. }) => (arrival, to, call),
    };
    to.number(*arrival);
    to.number(u64::from(*peer));
    write_trace(to, Some(call.trace), Some(*trace));
    to.number(call.duration);
    to.flag(call.is_error);
    match half {
        Half::Caller(Caller { way: Way::Request { host: None }, .. }) => to.number(0),
        Half::Caller(Caller { way: Way::Request { host: Some(host) }, .. }) => {
            to.number(1);
            to.text(host);
        }
        Half::Caller(Caller { way: Way::Message { to: destination, is_decided }, .. }) => {
            to.number(2 + u64::from(*is_decided));
            write_peer(to, *destination);
        }
        Half::Callee(Callee { by: By::Request, .. }) => to.number(4),
        Half::Callee(Callee { by: By::Shared, .. }) => to.number(6),
        Half::Callee(Callee { by: By::Message(through), .. }) => {
            to.number(5);
            write_peer(to, *through);
        }
    }
}

fn read_half(from: &mut Reader<'_>, peers: &Peers, pending: &mut Pending) -> Result<(), RestoreError> {
    let key = (from.trace_id()?, from.span_id()?);
    let arrival = from.number()?;
    let peer = peers.read(from)?;
    let trace = read_trace(from, Some(key.0))?.ok_or_else(|| error("a call has no trace"))?;
    let call = Call { trace, duration: from.number()?, is_error: from.flag()? };
    let caller = |way| Caller { arrival, from: peer, call, way };
    let callee = |by| Callee { arrival, to: peer, call, by };
    match from.number()? {
        0 => pending.add_caller(key, caller(Way::Request { host: None })),
        1 => pending.add_caller(key, caller(Way::Request { host: Some(from.text()?.into()) })),
        form @ (2 | 3) => {
            let destination = peers.read_optional(from)?;
            pending.add_caller(key, caller(Way::Message { to: destination, is_decided: form == 3 }));
        }
        4 => pending.add_callee(key, callee(By::Request)),
        5 => pending.add_callee(key, callee(By::Message(peers.read_optional(from)?))),
        6 => pending.add_callee(key, callee(By::Shared)),
        _ => return Err(error("half a call has no such form")),
    }
    Ok(())
}

fn write_seen(to: &mut Writer, state: &State) {
    for half in state.graph.seen.halves() {
        to.count(half.len());
        for (((trace, span), is_client), (service, digest)) in half {
            to.bytes(trace.as_bytes());
            to.bytes(span.as_bytes());
            to.flag(*is_client);
            to.number(u64::from(*service));
            to.bytes(&digest.to_le_bytes());
        }
    }
}

fn read_seen(from: &mut Reader<'_>, peers: &Peers, state: &mut State) -> Result<(), RestoreError> {
    for is_newer in [false, true] {
        for _ in 0..from.count()? {
            let id = ((from.trace_id()?, from.span_id()?), from.flag()?);
            let service = peers.read(from)?;
            let mut digest = [0; 8];
            digest.copy_from_slice(from.take(8)?);
            state.graph.seen.restore(is_newer, id, (service, u64::from_le_bytes(digest)));
        }
    }
    Ok(())
}

fn write_names(to: &mut Writer, state: &State) {
    for (_, scope) in state.names.scopes() {
        to.flag(scope.is_partial);
        to.count(scope.keys.len());
        for (key, values) in &scope.keys {
            to.text(key);
            to.number(values.count);
            to.flag(values.is_partial);
            to.count(values.counts.len());
            for (value, count) in &values.counts {
                to.text(value);
                to.number(*count);
            }
        }
    }
}

fn read_names(from: &mut Reader<'_>, state: &mut State) -> Result<(), RestoreError> {
    for scope in SCOPES {
        read_scope(from, state, scope)?;
    }
    Ok(())
}

fn read_scope(from: &mut Reader<'_>, state: &mut State, scope: AttributeScope) -> Result<(), RestoreError> {
    if from.flag()? {
        state.names.restore_partial(scope);
    }
    for _ in 0..from.count()? {
        let key = from.text()?;
        let mut values = Values { count: from.number()?, is_partial: from.flag()?, ..Values::default() };
        for _ in 0..from.count()? {
            let value = from.owned()?;
            values.counts.insert(value, from.number()?);
        }
        state.names.restore(scope, key, values);
    }
    Ok(())
}
