//! Zipkin v2 protobuf, `zipkin.proto3.ListOfSpans`.

use super::span::{Endpoint, Fields, Spans};
use crate::{
    Attribute, Batch, Event, Kind, Limits, RefusalReason, SpanId, Text, TraceId, Value,
    admission::{Admission, Stop, text},
    otlp::DecodeError,
    wire::Reader,
};
use bytes::Bytes;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Every span of a request that is kept, and the account of the others.
pub(super) fn decode(bytes: &Bytes, limits: &Limits) -> Result<Batch, DecodeError> {
    let mut admission = Admission::new(limits);
    let mut spans = Spans::default();
    list(Reader::new(bytes), &mut admission, &mut spans)?;
    Ok(Batch { spans: spans.finish(), logs: Vec::new(), refused: admission.into_refusals(), wire: None })
}

fn list(mut reader: Reader<'_>, admission: &mut Admission<'_>, spans: &mut Spans) -> Result<(), Stop> {
    while let Some((number, raw)) = reader.next()? {
        if number != 1 {
            continue;
        }
        admission.record()?;
        let before = admission.parts();
        let mut fields = Fields::default();
        let mut refused = None;
        let mut message = reader.message(raw)?;
        while let Some((number, raw)) = message.next().map_err(|fault| fault.within("spans"))? {
            // The names in the account of a span that is refused may stand behind what it is refused for.
            if refused.is_some() && !matches!(number, 1 | 8) {
                continue;
            }
            match field(&mut fields, number, &message, raw, admission) {
                Err(Stop::Refused(reason)) => refused = refused.or(Some(reason)),
                other => other.map_err(|stop| stop.within("spans"))?,
            }
        }
        spans.take(fields, refused, before, admission);
    }
    Ok(())
}

fn field<'a>(
    fields: &mut Fields,
    number: u32,
    reader: &Reader<'a>,
    raw: crate::wire::Raw<'a>,
    admission: &mut Admission<'_>,
) -> Result<(), Stop> {
    let limits = admission.limits;
    match number {
        1 => fields.trace_id = trace_id(reader.bytes(raw)?),
        2 => {
            let bytes = reader.bytes(raw)?;
            if bytes.len() != 8 && !bytes.is_empty() {
                return Err(RefusalReason::InvalidId.into());
            }
            fields.parent_id = SpanId::from_bytes(bytes);
        }
        3 => fields.id = SpanId::from_bytes(reader.bytes(raw)?),
        4 => {
            fields.kind = match reader.varint_of(raw)? {
                1 => Kind::Client,
                2 => Kind::Server,
                3 => Kind::Producer,
                4 => Kind::Consumer,
                _ => Kind::Unspecified,
            }
        }
        5 => fields.name = text(reader, raw, limits.text_length)?,
        6 => fields.timestamp = reader.fixed64_of(raw)?,
        7 => fields.duration = reader.varint_of(raw)?,
        8 => endpoint(reader.message(raw)?, limits, &mut fields.local)
            .map_err(|stop| stop.within("local_endpoint"))?,
        9 => endpoint(reader.message(raw)?, limits, &mut fields.remote)
            .map_err(|stop| stop.within("remote_endpoint"))?,
        10 => {
            admission.event(fields.annotations.len())?;
            let annotation =
                annotation(reader.message(raw)?, limits).map_err(|stop| stop.within("annotations"))?;
            fields.annotations.push(annotation);
        }
        11 => {
            admission.attribute(fields.tags.len())?;
            if fields.tags.is_empty() {
                fields.tags.reserve_exact(reader.run(limits.attributes));
            }
            fields.tags.push(tag(reader.message(raw)?, limits).map_err(|stop| stop.within("tags"))?);
        }
        12 => fields.debug = reader.varint_of(raw)? != 0,
        13 => fields.shared = reader.varint_of(raw)? != 0,
        _ => {}
    }
    Ok(())
}

/// Of 16 bytes, or of 8 that are padded on the left.
fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let Ok(low) = <[u8; 8]>::try_from(bytes) else { return TraceId::from_bytes(bytes) };
    TraceId::from_bytes(&u128::from(u64::from_be_bytes(low)).to_be_bytes())
}

fn endpoint(mut reader: Reader<'_>, limits: &Limits, endpoint: &mut Endpoint) -> Result<(), Stop> {
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => endpoint.service = text(&reader, raw, limits.value_length)?,
            2 => {
                if let Ok(address) = <[u8; 4]>::try_from(reader.bytes(raw)?) {
                    endpoint.set_address(Ipv4Addr::from(address).into());
                }
            }
            3 => {
                if let Ok(address) = <[u8; 16]>::try_from(reader.bytes(raw)?) {
                    endpoint.set_address(Ipv6Addr::from(address).into());
                }
            }
            4 => endpoint.port = u16::try_from(reader.varint_of(raw)?).unwrap_or(0),
            _ => {}
        }
    }
    Ok(())
}

fn annotation(mut reader: Reader<'_>, limits: &Limits) -> Result<Event, Stop> {
    let mut event = Event { time: 0, name: Text::new(), attributes: Vec::new(), dropped_attributes: 0 };
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => event.time = reader.fixed64_of(raw)?.saturating_mul(1000),
            2 => event.name = text(&reader, raw, limits.text_length)?,
            _ => {}
        }
    }
    Ok(event)
}

fn tag(mut reader: Reader<'_>, limits: &Limits) -> Result<Attribute, Stop> {
    let mut tag = Attribute { key: Text::new(), value: Value::Text(Text::new()) };
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => tag.key = text(&reader, raw, limits.key_length)?,
            2 => tag.value = Value::Text(text(&reader, raw, limits.value_length)?),
            _ => {}
        }
    }
    Ok(tag)
}
