//! `Span` with its events, links and status.

use super::{
    Origin,
    attributes::Attributes,
    origin::{write_attributes, write_count, write_text},
    set_number, set_text,
};
use crate::{
    Attribute, Event, Kind, Link, RefusalReason, Span, SpanId, Status, StatusCode, Text, TraceId,
    json::{self, Context, Id, Items, Object, each, fill, fill_next, skip},
};
use serde::de::{MapAccess, SeqAccess};
use serde_json::{Map, json};
use std::sync::Arc;

/// What was read of a span.
#[derive(Debug, Default)]
pub(in crate::otlp) struct Fields {
    pub(super) trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    parent_span_id: Option<SpanId>,
    trace_state: Text,
    flags: u32,
    name: Text,
    kind: Kind,
    start: u64,
    end: u64,
    status: StatusFields,
    attributes: Vec<Attribute>,
    dropped_attributes: u32,
    events: Vec<Event>,
    dropped_events: u32,
    links: Links,
    dropped_links: u32,
}

impl Fields {
    /// The span; refused without valid ids.
    pub(super) fn into_span(self, origin: Origin<'_>) -> Result<Span, RefusalReason> {
        Ok(Span {
            trace_id: self.trace_id.ok_or(RefusalReason::InvalidId)?,
            span_id: self.span_id.ok_or(RefusalReason::InvalidId)?,
            parent_span_id: self.parent_span_id,
            trace_state: self.trace_state,
            flags: self.flags,
            name: self.name,
            kind: self.kind,
            start: self.start,
            end: self.end,
            status: self.status.0,
            attributes: self.attributes,
            dropped_attributes: self.dropped_attributes,
            events: self.events,
            dropped_events: self.dropped_events,
            links: self.links.valid,
            dropped_links: self.dropped_links.saturating_add(self.links.invalid),
            resource: Arc::clone(origin.resource),
            scope: Arc::clone(origin.scope),
        })
    }
}

impl Object for Fields {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "traceId" | "trace_id" => self.trace_id = trace_id(map)?,
            "spanId" | "span_id" => self.span_id = span_id(map)?,
            "parentSpanId" | "parent_span_id" => {
                if let Some(id) = json::id(map)? {
                    self.parent_span_id =
                        context.allow(optional(id)).and_then(|id: [u8; 8]| SpanId::from_bytes(&id));
                }
            }
            "traceState" | "trace_state" => set_text(&mut self.trace_state, map, context)?,
            "flags" => set_number(&mut self.flags, map)?,
            "name" => set_text(&mut self.name, map, context)?,
            "kind" => {
                if let Some(number) = json::word(map, kind_number)? {
                    self.kind = Kind::from_number(number);
                }
            }
            "startTimeUnixNano" | "start_time_unix_nano" => set_number(&mut self.start, map)?,
            "endTimeUnixNano" | "end_time_unix_nano" => set_number(&mut self.end, map)?,
            "status" => {
                fill(&mut self.status, map, context)?;
            }
            "attributes" => each(&mut Attributes(&mut self.attributes), map, context)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                set_number(&mut self.dropped_attributes, map)?;
            }
            "events" => each(&mut Events(&mut self.events), map, context)?,
            "droppedEventsCount" | "dropped_events_count" => set_number(&mut self.dropped_events, map)?,
            "links" => each(&mut self.links, map, context)?,
            "droppedLinksCount" | "dropped_links_count" => set_number(&mut self.dropped_links, map)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn is_wanted(&self, name: &str) -> bool {
        matches!(name, "traceId" | "trace_id")
    }
}

/// A trace id; `None` if it is not valid.
pub(super) fn trace_id<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<TraceId>, A::Error> {
    Ok(match json::id::<16, A>(map)? {
        Some(Id::Bytes(bytes)) => TraceId::from_bytes(&bytes),
        _ => None,
    })
}

fn span_id<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<SpanId>, A::Error> {
    Ok(match json::id::<8, A>(map)? {
        Some(Id::Bytes(bytes)) => SpanId::from_bytes(&bytes),
        _ => None,
    })
}

/// The bytes of an id that may be absent, which is the same as all zero.
pub(super) fn optional<const N: usize>(id: Id<N>) -> Result<[u8; N], RefusalReason> {
    match id {
        Id::Bytes(bytes) => Ok(bytes),
        Id::Absent => Ok([0; N]),
        Id::WrongLength => Err(RefusalReason::InvalidId),
    }
}

fn kind_number(name: &str) -> Option<u64> {
    let name = name.strip_prefix("SPAN_KIND_").unwrap_or(name).to_ascii_lowercase();
    Kind::from_name(&name).map(|kind| kind as u64)
}

#[derive(Debug, Default)]
struct StatusFields(Status);

impl Object for StatusFields {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "message" => set_text(&mut self.0.message, map, context)?,
            "code" => {
                if let Some(number) = json::word(map, status_number)? {
                    self.0.code = StatusCode::from_number(number);
                }
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The names of the protocol, and their short forms, which some clients send: a failure must not get lost.
fn status_number(name: &str) -> Option<u64> {
    let name = name.strip_prefix("STATUS_CODE_").unwrap_or(name).to_ascii_lowercase();
    StatusCode::from_name(&name).map(|code| code as u64)
}

struct Events<'a>(&'a mut Vec<Event>);

impl Items for Events<'_> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let event = Event { time: 0, name: Text::new(), attributes: Vec::new(), dropped_attributes: 0 };
        let mut event = EventFields(event);
        if !fill_next(&mut event, seq, context)? {
            return Ok(false);
        }
        let allowed = context.admission.event(self.0.len());
        if context.allow(allowed).is_some() {
            self.0.push(event.0);
        }
        Ok(true)
    }
}

struct EventFields(Event);

impl Object for EventFields {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        let event = &mut self.0;
        match name {
            "timeUnixNano" | "time_unix_nano" => set_number(&mut event.time, map),
            "name" => set_text(&mut event.name, map, context),
            "attributes" => each(&mut Attributes(&mut event.attributes), map, context),
            "droppedAttributesCount" | "dropped_attributes_count" => {
                set_number(&mut event.dropped_attributes, map)
            }
            _ => skip(map),
        }
    }
}

#[derive(Debug, Default)]
struct Links {
    valid: Vec<Link>,
    /// Those without valid ids, which lead nowhere.
    invalid: u32,
}

impl Items for Links {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let mut link = LinkFields::default();
        if !fill_next(&mut link, seq, context)? {
            return Ok(false);
        }
        let (Some(trace_id), Some(span_id)) = (link.trace_id, link.span_id) else {
            self.invalid = self.invalid.saturating_add(1);
            return Ok(true);
        };
        let allowed = context.admission.link(self.valid.len());
        if context.allow(allowed).is_some() {
            let LinkFields { trace_state, flags, attributes, dropped_attributes, .. } = link;
            self.valid.push(Link { trace_id, span_id, trace_state, flags, attributes, dropped_attributes });
        }
        Ok(true)
    }
}

#[derive(Debug, Default)]
struct LinkFields {
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    trace_state: Text,
    flags: u32,
    attributes: Vec<Attribute>,
    dropped_attributes: u32,
}

impl Object for LinkFields {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "traceId" | "trace_id" => self.trace_id = trace_id(map)?,
            "spanId" | "span_id" => self.span_id = span_id(map)?,
            "traceState" | "trace_state" => set_text(&mut self.trace_state, map, context)?,
            "flags" => set_number(&mut self.flags, map)?,
            "attributes" => each(&mut Attributes(&mut self.attributes), map, context)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                set_number(&mut self.dropped_attributes, map)?;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// A span as JSON.
pub(super) fn write(span: &Span) -> serde_json::Value {
    let mut status = Map::new();
    write_text(&mut status, "message", &span.status.message);
    write_count(&mut status, "code", span.status.code as u32);
    let mut object = Map::new();
    for (name, value) in [
        ("traceId", json!(span.trace_id)),
        ("spanId", json!(span.span_id)),
        ("name", json!(&*span.name)),
        ("kind", json!(span.kind as u8)),
        ("startTimeUnixNano", json!(span.start.to_string())),
        ("endTimeUnixNano", json!(span.end.to_string())),
        ("status", status.into()),
    ] {
        object.insert(name.to_owned(), value);
    }
    if let Some(parent) = span.parent_span_id {
        object.insert("parentSpanId".to_owned(), json!(parent));
    }
    write_text(&mut object, "traceState", &span.trace_state);
    write_count(&mut object, "flags", span.flags);
    write_attributes(&mut object, &span.attributes, span.dropped_attributes);
    if !span.events.is_empty() {
        object.insert("events".to_owned(), span.events.iter().map(write_event).collect());
    }
    write_count(&mut object, "droppedEventsCount", span.dropped_events);
    if !span.links.is_empty() {
        object.insert("links".to_owned(), span.links.iter().map(write_link).collect());
    }
    write_count(&mut object, "droppedLinksCount", span.dropped_links);
    object.into()
}

fn write_event(event: &Event) -> serde_json::Value {
    let mut object = Map::new();
    object.insert("timeUnixNano".to_owned(), json!(event.time.to_string()));
    object.insert("name".to_owned(), json!(&*event.name));
    write_attributes(&mut object, &event.attributes, event.dropped_attributes);
    object.into()
}

fn write_link(link: &Link) -> serde_json::Value {
    let mut object = Map::new();
    object.insert("traceId".to_owned(), json!(link.trace_id));
    object.insert("spanId".to_owned(), json!(link.span_id));
    write_text(&mut object, "traceState", &link.trace_state);
    write_count(&mut object, "flags", link.flags);
    write_attributes(&mut object, &link.attributes, link.dropped_attributes);
    object.into()
}
