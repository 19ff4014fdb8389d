//! `Resource` and `InstrumentationScope`.

use super::attributes;
use crate::{
    Attribute, Resource, Scope, Text,
    admission::{Admission, Stop, text},
    wire::{Reader, Writer},
};

/// What a `Resource` message says; its schema stands beside it.
#[derive(Debug, Default)]
pub(super) struct ResourceParts {
    pub(super) attributes: Vec<Attribute>,
    pub(super) dropped: u32,
}

/// Reads a `Resource` in addition to what was read before.
pub(super) fn decode_resource(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    parts: &mut ResourceParts,
) -> Result<(), Stop> {
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => attributes::push(&mut parts.attributes, &reader, raw, admission)?,
            2 => parts.dropped = reader.uint32_of(raw)?,
            _ => {}
        }
    }
    Ok(())
}

/// The service that a `Resource` names, for the account of what is refused: also one that is itself beyond the limits.
pub(super) fn named_service(mut reader: Reader<'_>, admission: &Admission<'_>) -> Result<Option<Text>, Stop> {
    let mut named = None;
    while let Some((number, raw)) = reader.next()? {
        if number != 1 {
            continue;
        }
        let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
        let mut attribute = reader.message(raw)?;
        while let Some((number, raw)) = attribute.next()? {
            match number {
                1 => key = attribute.bytes(raw)?,
                2 => {
                    let mut any = attribute.message(raw)?;
                    while let Some((number, raw)) = any.next()? {
                        value = if number == 1 { any.bytes(raw)? } else { &[] };
                    }
                }
                _ => {}
            }
        }
        let is_short = !value.is_empty() && value.len() <= admission.limits.value_length;
        if key == b"service.name" && is_short && named.is_none() {
            named = Some(reader.share_text(value));
        }
    }
    Ok(named)
}

/// Reads an `InstrumentationScope` in addition to what was read before.
pub(super) fn decode_scope(
    mut reader: Reader<'_>,
    admission: &mut Admission<'_>,
    scope: &mut Scope,
) -> Result<(), Stop> {
    while let Some((number, raw)) = reader.next()? {
        match number {
            1 => scope.name = text(&reader, raw, admission.limits.text_length)?,
            2 => scope.version = text(&reader, raw, admission.limits.text_length)?,
            3 => attributes::push(&mut scope.attributes, &reader, raw, admission)?,
            4 => scope.dropped_attributes = reader.uint32_of(raw)?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes the fields of a `Resource`.
pub(in crate::otlp) fn encode_resource(resource: &Resource, writer: &mut Writer) {
    attributes::encode(1, &resource.attributes, writer);
    writer.varint(2, u64::from(resource.dropped_attributes));
}

/// Writes the fields of an `InstrumentationScope`.
pub(in crate::otlp) fn encode_scope(scope: &Scope, writer: &mut Writer) {
    writer.bytes(1, scope.name.as_bytes());
    writer.bytes(2, scope.version.as_bytes());
    attributes::encode(3, &scope.attributes, writer);
    writer.varint(4, u64::from(scope.dropped_attributes));
}
