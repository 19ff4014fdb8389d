//! A Zipkin span of either format, and what it is in our terms.

use super::SCHEMA_URL;
use crate::{
    Attribute, Event, Kind, RefusalReason, Resource, Scope, Span, SpanId, Status, StatusCode, Text, TraceId,
    Value,
    admission::{Admission, Signal},
};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// What was read of a span.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) trace_id: Option<TraceId>,
    pub(super) id: Option<SpanId>,
    pub(super) parent_id: Option<SpanId>,
    pub(super) kind: Kind,
    pub(super) name: Text,
    /// In microseconds since 1970.
    pub(super) timestamp: u64,
    /// In microseconds.
    pub(super) duration: u64,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
    pub(super) annotations: Vec<Event>,
    pub(super) tags: Vec<Attribute>,
    pub(super) debug: bool,
    pub(super) shared: bool,
}

/// One side of a conversation.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    pub(super) service: Text,
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
    pub(super) port: u16,
}

impl Endpoint {
    /// Takes an address in whichever field it came; an IPv4 address within an IPv6 one is the former.
    pub(super) fn set_address(&mut self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.ipv4 = Some(address),
            IpAddr::V6(address) => self.ipv6 = Some(address),
        }
    }
}

/// A name for a part of an endpoint, and the one that it has when a tag took the first.
pub(super) struct PartName {
    pub(super) plain: &'static str,
    pub(super) own: &'static str,
}

pub(super) const LOCAL_ADDRESS: PartName =
    PartName { plain: "network.local.address", own: "zipkin.local.address" };
pub(super) const LOCAL_PORT: PartName = PartName { plain: "network.local.port", own: "zipkin.local.port" };
pub(super) const LOCAL_IPV6: &str = "zipkin.local.ipv6";
pub(super) const REMOTE_SERVICE: PartName = PartName { plain: "peer.service", own: "zipkin.remote.service" };
pub(super) const REMOTE_ADDRESS: PartName =
    PartName { plain: "network.peer.address", own: "zipkin.remote.address" };
pub(super) const REMOTE_PORT: PartName = PartName { plain: "network.peer.port", own: "zipkin.remote.port" };
pub(super) const REMOTE_IPV6: &str = "zipkin.remote.ipv6";
pub(super) const DEBUG: &str = "zipkin.debug";
pub(super) const SHARED: &str = "zipkin.shared";
/// The timestamp as it was sent, where the span's start is not that: 0 when there was none.
pub(super) const TIMESTAMP: &str = "zipkin.timestamp";

/// Microseconds that cannot be told in nanoseconds: beyond the year 2554. A tracer that sends so many means nanoseconds.
const MOST_MICROSECONDS: u64 = u64::MAX / 1000;

/// The spans of one request as they come out of a decoder.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) kept: Vec<Span>,
    /// Places in `kept` of spans that do not say when they began.
    unplaced: Vec<usize>,
    resources: HashMap<Text, Arc<Resource>>,
    scopes: HashMap<(Text, Text), Arc<Scope>>,
}

impl Spans {
    /// Keeps a span, or accounts for it if it is, or was, refused. `before` is what there was room for before it.
    pub(super) fn take(
        &mut self,
        fields: Fields,
        refused: Option<RefusalReason>,
        before: usize,
        admission: &mut Admission<'_>,
    ) {
        let (trace_id, service) = (fields.trace_id, fields.local.service.clone());
        let span = refused.map_or_else(|| self.span(fields, admission), Err);
        match span {
            Ok(span) => {
                if span.start == 0 {
                    self.unplaced.push(self.kept.len());
                }
                self.kept.push(span);
            }
            Err(reason) => {
                admission.give_back(before);
                let unknown = Text::from_static(Resource::UNKNOWN_SERVICE);
                let service = if service.is_empty() { unknown } else { service };
                admission.refuse(&service, trace_id, reason, Signal::Span);
            }
        }
    }

    fn span(&mut self, mut fields: Fields, admission: &mut Admission<'_>) -> Result<Span, RefusalReason> {
        let trace_id = fields.trace_id.ok_or(RefusalReason::InvalidId)?;
        let span_id = fields.id.ok_or(RefusalReason::InvalidId)?;
        let status = status(&fields.tags, admission.limits.text_length);
        let scope = self.scope(&fields.tags, admission.limits.text_length);
        let start = start(&fields);
        for (key, value) in parts(&fields) {
            admission.attribute(fields.tags.len())?;
            fields.tags.push(Attribute { key: Text::from_static(key), value });
        }
        Ok(Span {
            trace_id,
            span_id,
            parent_span_id: fields.parent_id,
            trace_state: Text::new(),
            flags: 0,
            name: fields.name,
            kind: fields.kind,
            start,
            end: start.saturating_add(fields.duration.saturating_mul(1000)),
            status,
            attributes: fields.tags,
            dropped_attributes: 0,
            events: fields.annotations,
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            resource: self.resource(fields.local.service, admission)?,
            scope,
        })
    }

    /// All that are kept. The time of a span is optional; one that neither it nor its annotations say is taken from the
    /// other half of the call, else from the parent, else from the earliest span of the trace, as far as this request has
    /// them. What is left begins at 0.
    pub(super) fn finish(mut self) -> Vec<Span> {
        if self.unplaced.is_empty() {
            return self.kept;
        }
        let mut starts: HashMap<(TraceId, SpanId), u64> = HashMap::new();
        let mut earliest: HashMap<TraceId, u64> = HashMap::new();
        for span in self.kept.iter().filter(|span| span.start > 0) {
            starts.entry((span.trace_id, span.span_id)).or_insert(span.start);
            let first = earliest.entry(span.trace_id).or_insert(span.start);
            *first = span.start.min(*first);
        }
        for place in self.unplaced {
            let Some(span) = self.kept.get_mut(place) else { continue };
            let of = |id: SpanId| starts.get(&(span.trace_id, id)).copied();
            let start = of(span.span_id).or_else(|| of(span.parent_span_id?));
            let start = start.or_else(|| earliest.get(&span.trace_id).copied()).unwrap_or(0);
            span.end = start.saturating_add(span.duration());
            span.start = start;
        }
        self.kept
    }

    fn resource(
        &mut self,
        service: Text,
        admission: &mut Admission<'_>,
    ) -> Result<Arc<Resource>, RefusalReason> {
        if let Some(resource) = self.resources.get(&service) {
            return Ok(Arc::clone(resource));
        }
        let mut attributes = Vec::new();
        if !service.is_empty() {
            admission.attribute(0)?;
            let value = Value::Text(service.clone());
            attributes.push(Attribute { key: Text::from_static("service.name"), value });
        }
        let resource = Arc::new(Resource::new(attributes, 0, Text::new()));
        self.resources.insert(service, Arc::clone(&resource));
        Ok(resource)
    }

    fn scope(&mut self, tags: &[Attribute], longest: usize) -> Arc<Scope> {
        let named = |key| tag(tags, key).filter(|name| name.len() <= longest).cloned().unwrap_or_default();
        let names = (named("otel.scope.name"), named("otel.scope.version"));
        let scope = self.scopes.entry(names).or_insert_with_key(|(name, version)| {
            let schema_url = Text::from_static(SCHEMA_URL);
            Arc::new(Scope { name: name.clone(), version: version.clone(), schema_url, ..Scope::default() })
        });
        Arc::clone(scope)
    }
}

/// When it began, in nanoseconds since 1970: as it says, else its first annotation; 0 when neither is known.
fn start(fields: &Fields) -> u64 {
    match fields.timestamp {
        0 => fields.annotations.iter().map(|event| event.time).filter(|time| *time > 0).min().unwrap_or(0),
        nanoseconds if nanoseconds > MOST_MICROSECONDS => nanoseconds,
        microseconds => microseconds * 1000,
    }
}

fn tag<'a>(tags: &'a [Attribute], key: &str) -> Option<&'a Text> {
    tags.iter().find(|tag| &*tag.key == key).and_then(|tag| match &tag.value {
        Value::Text(text) => Some(text),
        _ => None,
    })
}

fn status(tags: &[Attribute], longest: usize) -> Status {
    let message = match tag(tags, "error") {
        Some(error) if &**error == "true" => Some(Text::new()),
        Some(error) if &**error != "false" => {
            Some(error.slice_ref(&error[..error.floor_char_boundary(longest)]))
        }
        _ => None,
    };
    match (message, tag(tags, "otel.status_code").map(|code| &**code)) {
        (Some(message), _) => Status { code: StatusCode::Error, message },
        (None, Some("ERROR")) => Status { code: StatusCode::Error, message: Text::new() },
        (None, Some("OK")) => Status { code: StatusCode::Ok, message: Text::new() },
        (None, _) => Status::default(),
    }
}

/// What is not a tag, as attributes.
fn parts(fields: &Fields) -> Vec<(&'static str, Value)> {
    let mut parts = Vec::new();
    let mut push = |name: PartName, value: Option<Value>| match (tag(&fields.tags, name.plain), value) {
        (None, None) => {}
        (None, Some(value)) => parts.push((name.plain, value)),
        // Says that the tag is not this part, also when there is no such part.
        (Some(_), value) => parts.push((name.own, value.unwrap_or_default())),
    };
    let Fields { local, remote, .. } = fields;
    push(LOCAL_ADDRESS, address(local));
    push(LOCAL_PORT, port(local));
    push(REMOTE_SERVICE, Some(&remote.service).filter(|name| !name.is_empty()).cloned().map(Value::Text));
    push(REMOTE_ADDRESS, address(remote));
    push(REMOTE_PORT, port(remote));
    for (name, endpoint) in [(LOCAL_IPV6, local), (REMOTE_IPV6, remote)] {
        if let (Some(_), Some(address)) = (endpoint.ipv4, endpoint.ipv6) {
            parts.push((name, Value::Text(Text::from(address.to_string()))));
        }
    }
    if fields.timestamp == 0 || fields.timestamp > MOST_MICROSECONDS {
        parts.push((TIMESTAMP, i64::try_from(fields.timestamp).map_or(Value::Empty, Value::Int)));
    }
    for (name, is_set) in [(DEBUG, fields.debug), (SHARED, fields.shared)] {
        if is_set {
            parts.push((name, Value::Bool(true)));
        }
    }
    parts
}

fn address(endpoint: &Endpoint) -> Option<Value> {
    let ipv6 = endpoint.ipv6.map(IpAddr::V6);
    let address = endpoint.ipv4.map(IpAddr::V4).or(ipv6)?;
    Some(Value::Text(Text::from(address.to_string())))
}

fn port(endpoint: &Endpoint) -> Option<Value> {
    (endpoint.port != 0).then(|| Value::Int(i64::from(endpoint.port)))
}
