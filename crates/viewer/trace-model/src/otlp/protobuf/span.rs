//! `Span` with its events, links and status.

use super::{Origin, attributes};
use crate::{
    Event, Kind, Link, RefusalReason, Span, SpanId, Status, StatusCode, Text, TraceId,
    admission::{Admission, Stop, text},
    wire::{Reader, Writer},
};
use std::sync::Arc;

/// From a `Span` message.
pub(in crate::otlp) fn decode(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    origin: Origin<'_>,
) -> Result<Span, Stop> {
    let limits = admission.limits;
    let (mut trace_id, mut span_id, mut parent_span_id) = (None, None, None);
    let (mut trace_state, mut flags) = (Text::new(), 0);
    let (mut name, mut kind, mut start, mut end, mut status) =
        (Text::new(), Kind::default(), 0, 0, Status::default());
    let (mut attributes, mut dropped_attributes) = (Vec::new(), 0);
    let (mut events, mut dropped_events) = (Vec::new(), 0);
    let (mut links, mut dropped_links, mut invalid_links) = (Vec::new(), 0_u32, 0_u32);
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => trace_id = TraceId::from_bytes(reader.bytes(raw)?),
            2 => span_id = SpanId::from_bytes(reader.bytes(raw)?),
            3 => trace_state = text(&reader, raw, limits.text_length)?,
            4 => {
                let bytes = reader.bytes(raw)?;
                if bytes.len() != 8 && !bytes.is_empty() {
                    return Err(RefusalReason::InvalidId.into());
                }
                parent_span_id = SpanId::from_bytes(bytes);
            }
            5 => name = text(&reader, raw, limits.text_length)?,
            6 => kind = Kind::from_number(reader.varint_of(raw)?),
            7 => start = reader.fixed64_of(raw)?,
            8 => end = reader.fixed64_of(raw)?,
            9 => attributes::push(&mut attributes, &reader, raw, admission)?,
            10 => dropped_attributes = reader.uint32_of(raw)?,
            11 => {
                admission.event(events.len())?;
                if events.is_empty() {
                    events.reserve_exact(reader.run(limits.events));
                }
                events.push(event(reader.message(raw)?, admission).map_err(|stop| stop.within("events"))?);
            }
            12 => dropped_events = reader.uint32_of(raw)?,
            13 => match link(reader.message(raw)?, admission).map_err(|stop| stop.within("links"))? {
                Some(link) => {
                    admission.link(links.len())?;
                    links.push(link);
                }
                None => invalid_links = invalid_links.saturating_add(1),
            },
            14 => dropped_links = reader.uint32_of(raw)?,
            15 => decode_status(reader.message(raw)?, admission, &mut status)
                .map_err(|stop| stop.within("status"))?,
            16 => flags = reader.fixed32_of(raw)?,
            _ => {}
        }
    }
    let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else {
        return Err(RefusalReason::InvalidId.into());
    };
    Ok(Span {
        trace_id,
        span_id,
        parent_span_id,
        trace_state,
        flags,
        name,
        kind,
        start,
        end,
        status,
        attributes,
        dropped_attributes,
        events,
        dropped_events,
        links,
        dropped_links: dropped_links.saturating_add(invalid_links),
        resource: Arc::clone(origin.resource),
        scope: Arc::clone(origin.scope),
    })
}

fn event(mut reader: Reader<'_>, admission: &mut Admission<'_>) -> Result<Event, Stop> {
    let mut event = Event { time: 0, name: Text::new(), attributes: Vec::new(), dropped_attributes: 0 };
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => event.time = reader.fixed64_of(raw)?,
            2 => event.name = text(&reader, raw, admission.limits.text_length)?,
            3 => attributes::push(&mut event.attributes, &reader, raw, admission)?,
            4 => event.dropped_attributes = reader.uint32_of(raw)?,
            _ => {}
        }
    }
    Ok(event)
}

/// `None` for a link that leads nowhere: without valid ids.
fn link(mut reader: Reader<'_>, admission: &mut Admission<'_>) -> Result<Option<Link>, Stop> {
    let (mut trace_id, mut span_id, mut trace_state, mut flags) = (None, None, Text::new(), 0);
    let (mut attributes, mut dropped_attributes) = (Vec::new(), 0);
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => trace_id = TraceId::from_bytes(reader.bytes(raw)?),
            2 => span_id = SpanId::from_bytes(reader.bytes(raw)?),
            3 => trace_state = text(&reader, raw, admission.limits.text_length)?,
            4 => attributes::push(&mut attributes, &reader, raw, admission)?,
            5 => dropped_attributes = reader.uint32_of(raw)?,
            6 => flags = reader.fixed32_of(raw)?,
            _ => {}
        }
    }
    let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else { return Ok(None) };
    Ok(Some(Link { trace_id, span_id, trace_state, flags, attributes, dropped_attributes }))
}

fn decode_status(mut reader: Reader<'_>, admission: &Admission<'_>, status: &mut Status) -> Result<(), Stop> {
    while let Some((number, raw)) = reader.next()? {
        match number {
            2 => status.message = text(&reader, raw, admission.limits.text_length)?,
            3 => status.code = StatusCode::from_number(reader.varint_of(raw)?),
            _ => {}
        }
    }
    Ok(())
}

/// Writes the fields of a `Span`.
pub(in crate::otlp) fn encode(span: &Span, writer: &mut Writer) {
    writer.bytes(1, span.trace_id.as_bytes());
    writer.bytes(2, span.span_id.as_bytes());
    writer.bytes(3, span.trace_state.as_bytes());
    if let Some(parent) = &span.parent_span_id {
        writer.bytes(4, parent.as_bytes());
    }
    writer.bytes(5, span.name.as_bytes());
    writer.varint(6, span.kind as u64);
    writer.fixed64(7, span.start);
    writer.fixed64(8, span.end);
    attributes::encode(9, &span.attributes, writer);
    writer.varint(10, u64::from(span.dropped_attributes));
    for event in &span.events {
        writer.message(11, |writer| {
            writer.fixed64(1, event.time);
            writer.bytes(2, event.name.as_bytes());
            attributes::encode(3, &event.attributes, writer);
            writer.varint(4, u64::from(event.dropped_attributes));
        });
    }
    writer.varint(12, u64::from(span.dropped_events));
    for link in &span.links {
        writer.message(13, |writer| {
            writer.bytes(1, link.trace_id.as_bytes());
            writer.bytes(2, link.span_id.as_bytes());
            writer.bytes(3, link.trace_state.as_bytes());
            attributes::encode(4, &link.attributes, writer);
            writer.varint(5, u64::from(link.dropped_attributes));
            writer.fixed32(6, link.flags);
        });
    }
    writer.varint(14, u64::from(span.dropped_links));
    if span.status != Status::default() {
        writer.message(15, |writer| {
            writer.bytes(2, span.status.message.as_bytes());
            writer.varint(3, span.status.code as u64);
        });
    }
    writer.fixed32(16, span.flags);
}
