//! Spans of one id made two, as Jaeger's JSON has them.

use std::collections::{HashMap, HashSet};
use waypost_trace_model::{Kind, Span, SpanId, Text};

/// A span's own id and its parent's.
pub(crate) type Pair = (SpanId, Option<SpanId>);

/// The ids of these spans, with those of a server changed where its client has the same one.
///
/// Zipkin lets both sides of a call share an id; Jaeger UI wants every span to have its own. As in Jaeger, the server's
/// span gets the lowest id that is free, becomes the child of the client's, and takes over the children of the shared
/// id; but for those of the client's own service, which Jaeger hangs below the server too.
pub(crate) fn unshared(spans: &[Span]) -> Vec<Pair> {
    let mut ids: Vec<Pair> = spans.iter().map(|span| (span.span_id, span.parent_span_id)).collect();
    let clients: HashMap<SpanId, &Text> = spans
        .iter()
        .filter(|span| span.kind == Kind::Client)
        .map(|span| (span.span_id, span.service()))
        .collect();
    let is_shared = |span: &Span| span.kind == Kind::Server && clients.contains_key(&span.span_id);
    if !spans.iter().any(is_shared) {
        return ids;
    }
    let used: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let every = (1_u64..).filter_map(|number| SpanId::from_bytes(&number.to_be_bytes()));
    let mut free = every.filter(|id| !used.contains(id));
    let mut moved: HashMap<SpanId, (SpanId, &Text)> = HashMap::new();
    for (span, pair) in spans.iter().zip(&mut ids) {
        if is_shared(span)
            && let Some(new) = free.next()
        {
            moved.insert(span.span_id, (new, span.service()));
            *pair = (new, Some(span.span_id));
        }
    }
    for (span, (id, parent)) in spans.iter().zip(&mut ids) {
        let Some((shared, (new, server))) = parent.and_then(|old| Some((old, moved.get(&old)?))) else {
            continue;
        };
        let is_clients = clients.get(&shared) == Some(&span.service()) && *server != span.service();
        if new != id && !is_clients {
            *parent = Some(*new);
        }
    }
    ids
}
