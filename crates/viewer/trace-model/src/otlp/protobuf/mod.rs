//! OTLP protobuf.
//!
//! Decoding walks the request once, and once more over the heads of each group: a group's resource and schema may stand
//! behind its records. Texts are slices of the request. What is repeated although it is single is taken as protobuf
//! demands: messages (resource, scope, status) are merged, of numbers and texts the last counts. One deviation: of a
//! value that is set twice to an array or map the last counts.

mod attributes;
pub(super) mod log;
pub(super) mod origin;
pub(super) mod span;

use super::{
    DecodeError,
    group::by_origin,
    record::{Origin, Record},
};
use crate::{
    Limits, Refusal, RefusalReason, Resource, Scope, Text, TraceId,
    admission::{Admission, Stop, text},
    wire::{Reader, Writer},
};
use bytes::Bytes;
use origin::{ResourceParts, decode_resource, decode_scope, encode_resource, encode_scope, named_service};
use std::sync::Arc;

/// Every record of a request that is kept, and the account of the others.
pub(super) fn decode<R: Record>(
    bytes: &Bytes,
    limits: &Limits,
) -> Result<(Vec<R>, Vec<Refusal>), DecodeError> {
    let mut admission = Admission::new(limits);
    let mut records = Vec::new();
    request(Reader::new(bytes), &mut admission, &mut records)?;
    Ok((records, admission.into_refusals()))
}

fn request<R: Record>(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    records: &mut Vec<R>,
) -> Result<(), Stop> {
    while let Some((number, raw)) = reader.next()? {
        if number == 1 {
            let group = reader.message(raw)?;
            resource_records(group, admission, records).map_err(|stop| stop.within(R::PATH[0]))?;
        }
    }
    Ok(())
}

/// What the records of a group are recorded with, or why none of them is kept.
struct Head {
    service: Text,
    refused: Option<RefusalReason>,
}

fn resource_records<R: Record>(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    records: &mut Vec<R>,
) -> Result<(), Stop> {
    let mut groups = reader.clone();
    let before = admission.parts();
    let mut parts = ResourceParts::default();
    let mut schema_url = Text::new();
    let mut named = None;
    let mut refused = None;
    while let Some((number, raw)) = reader.next()? {
        let read = match number {
            1 => {
                let resource = reader.message(raw)?;
                named = named_service(resource.clone(), admission)?.or(named);
                decode_resource(resource, admission, &mut parts).map_err(|stop| stop.within("resource"))
            }
            3 => text(&reader, raw, admission.limits.text_length).map(|text| schema_url = text),
            _ => Ok(()),
        };
        match read {
            Err(Stop::Refused(reason)) => refused = Some(reason),
            other => other?,
        }
    }
    if refused.is_some() {
        admission.give_back(before);
        parts = ResourceParts::default();
    }
    let resource = Arc::new(Resource::new(parts.attributes, parts.dropped, schema_url));
    let service = named.filter(|_| refused.is_some()).unwrap_or_else(|| resource.service.clone());
    let mut head = Head { service, refused };
    while let Some((number, raw)) = groups.next()? {
        if number == 2 {
            let group = groups.message(raw)?;
            scope_records(group, admission, &mut head, &resource, records)
                .map_err(|stop| stop.within(R::PATH[1]))?;
        }
    }
    Ok(())
}

fn scope_records<R: Record>(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    head: &mut Head,
    resource: &Arc<Resource>,
    records: &mut Vec<R>,
) -> Result<(), Stop> {
    let mut members = reader.clone();
    let before = admission.parts();
    let mut scope = Scope::default();
    let mut count = 0;
    let mut refused = head.refused;
    while let Some((number, raw)) = reader.next()? {
        let read = match number {
            1 => {
                decode_scope(reader.message(raw)?, admission, &mut scope).map_err(|stop| stop.within("scope"))
            }
            2 => {
                count += 1;
                Ok(())
            }
            3 => text(&reader, raw, admission.limits.text_length).map(|text| scope.schema_url = text),
            _ => Ok(()),
        };
        match read {
            Err(Stop::Refused(reason)) => refused = refused.or(Some(reason)),
            other => other?,
        }
    }
    if refused.is_some() {
        admission.give_back(before);
    } else {
        records.reserve(count.min(admission.records()));
    }
    let scope = Arc::new(scope);
    while let Some((number, raw)) = members.next()? {
        if number != 2 {
            continue;
        }
        admission.record()?;
        let member = members.message(raw)?;
        let before = admission.parts();
        let read = match refused {
            Some(reason) => Err(Stop::Refused(reason)),
            None => R::decode(member.clone(), admission, Origin { resource, scope: &scope }),
        };
        match read {
            Ok(record) => records.push(record),
            Err(Stop::Refused(reason)) => {
                admission.give_back(before);
                let trace_id = trace_of::<R>(member).map_err(|stop| stop.within(R::PATH[2]))?;
                admission.refuse(&head.service, trace_id, reason, R::SIGNAL);
            }
            Err(stop) => return Err(stop.within(R::PATH[2])),
        }
    }
    Ok(())
}

/// The trace of a record that is not kept.
fn trace_of<R: Record>(mut reader: Reader<'_>) -> Result<Option<TraceId>, Stop> {
    let mut trace_id = None;
    while let Some((number, raw)) = reader.next()? {
        if number == R::TRACE_ID {
            trace_id = TraceId::from_bytes(reader.bytes(raw)?);
        }
    }
    Ok(trace_id)
}

/// The records as one request.
pub(super) fn encode<R: Record>(records: &[R]) -> Bytes {
    let mut writer = Writer::with_capacity(records.len() * 256);
    for group in by_origin(records) {
        writer.message(1, |writer| {
            let resource = group.resource;
            if !resource.attributes.is_empty() || resource.dropped_attributes != 0 {
                writer.message(1, |writer| encode_resource(resource, writer));
            }
            for group in group.scopes {
                writer.message(2, |writer| {
                    let Scope { name, version, attributes, dropped_attributes, schema_url } = group.scope;
                    let is_named = !(name.is_empty() && version.is_empty());
                    if is_named || !attributes.is_empty() || *dropped_attributes != 0 {
                        writer.message(1, |writer| encode_scope(group.scope, writer));
                    }
                    for record in group.records {
                        writer.message(2, |writer| record.encode(writer));
                    }
                    writer.bytes(3, schema_url.as_bytes());
                });
            }
            writer.bytes(3, resource.schema_url.as_bytes());
        });
    }
    writer.finish()
}
