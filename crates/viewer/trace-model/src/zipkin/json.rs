//! Zipkin v2 JSON.

use super::span::{Endpoint, Fields, Spans};
use crate::{
    Attribute, Batch, Event, Kind, Limits, ParseIdError, RefusalReason, Text, Value,
    json::{self, Context, Items, Object, each, fill, fill_next, skip},
    otlp::DecodeError,
};
use serde::de::{MapAccess, SeqAccess};
use std::{net::IpAddr, str::FromStr};

/// Every span of a request that is kept, and the account of the others.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Batch, DecodeError> {
    let mut spans = Spans::default();
    let context = json::read_items(bytes, limits, &mut spans)?;
    Ok(Batch {
        spans: spans.finish(),
        logs: Vec::new(),
        refused: context.admission.into_refusals(),
        wire: None,
    })
}

impl Items for Spans {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let before = context.admission.parts();
        let mut fields = Fields::default();
        if !fill_next(&mut fields, seq, context)? {
            return Ok(false);
        }
        context.record()?;
        let refused = context.refused.take();
        self.take(fields, refused, before, &mut context.admission);
        Ok(true)
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
            "traceId" => self.trace_id = id(map)?.and_then(Result::ok),
            "id" => self.id = id(map)?.and_then(Result::ok),
            "parentId" => match id(map)? {
                Some(Ok(id)) => self.parent_id = Some(id),
                None | Some(Err(ParseIdError::Zero)) => self.parent_id = None,
                Some(Err(_)) => {
                    context.allow(Err::<(), _>(RefusalReason::InvalidId));
                }
            },
            "kind" => {
                let lookup = |name: &str| Kind::from_name(&name.to_ascii_lowercase()).map(|kind| kind as u64);
                self.kind = json::word(map, lookup)?.map(Kind::from_number).unwrap_or_default();
            }
            "name" => set(&mut self.name, json::text(map, context.limits().text_length, context)?),
            "timestamp" => set(&mut self.timestamp, json::number(map)?),
            "duration" => set(&mut self.duration, json::number(map)?),
            "localEndpoint" => {
                fill(&mut self.local, map, context)?;
            }
            "remoteEndpoint" => {
                fill(&mut self.remote, map, context)?;
            }
            "annotations" => each(&mut Annotations(&mut self.annotations), map, context)?,
            "tags" => {
                fill(&mut Tags(&mut self.tags), map, context)?;
            }
            "debug" => set(&mut self.debug, json::boolean(map)?),
            "shared" => set(&mut self.shared, json::boolean(map)?),
            _ => skip(map)?,
        }
        Ok(())
    }

    fn is_wanted(&self, name: &str) -> bool {
        matches!(name, "traceId" | "localEndpoint")
    }
}

fn set<T>(field: &mut T, read: Option<T>) {
    if let Some(value) = read {
        *field = value;
    }
}

/// An id in hex digits, padded on the left; `None` when it is empty or `null`.
fn id<'de, T: FromStr<Err = ParseIdError>, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<Option<Result<T, ParseIdError>>, A::Error> {
    let parsed = json::parsed(map, |text| (!text.is_empty()).then(|| text.parse()))?;
    Ok(parsed.flatten())
}

impl Object for Endpoint {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "serviceName" => {
                let refused_before = context.refused.take();
                set(&mut self.service, json::text(map, context.limits().value_length, context)?);
                context.refused = refused_before.or(context.refused);
            }
            "ipv4" | "ipv6" => {
                if let Some(address) = json::parsed(map, |text| IpAddr::from_str(text).ok())?.flatten() {
                    self.set_address(address);
                }
            }
            "port" => {
                let port = json::number::<i64, A>(map)?.unwrap_or(0);
                self.port = u16::try_from(port).unwrap_or(0);
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn is_wanted(&self, name: &str) -> bool {
        name == "serviceName"
    }
}

struct Annotations<'a>(&'a mut Vec<Event>);

impl Items for Annotations<'_> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let event = Event { time: 0, name: Text::new(), attributes: Vec::new(), dropped_attributes: 0 };
        let mut annotation = Annotation(event);
        if !fill_next(&mut annotation, seq, context)? {
            return Ok(false);
        }
        let allowed = context.admission.event(self.0.len());
        if context.allow(allowed).is_some() {
            self.0.push(annotation.0);
        }
        Ok(true)
    }
}

struct Annotation(Event);

impl Object for Annotation {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "timestamp" => {
                set(&mut self.0.time, json::number(map)?.map(|time: u64| time.saturating_mul(1000)));
            }
            "value" => set(&mut self.0.name, json::text(map, context.limits().text_length, context)?),
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// Tags, of which some clients send numbers and truth values.
struct Tags<'a>(&'a mut Vec<Attribute>);

impl Object for Tags<'_> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        let limits = context.limits();
        let is_short =
            if name.len() > limits.key_length { Err(RefusalReason::AttributeLimit) } else { Ok(()) };
        let allowed = is_short.and_then(|()| context.admission.attribute(self.0.len()));
        if context.allow(allowed).is_none() {
            return skip(map);
        }
        if let Some(value) = json::any_text(map, limits.value_length, context)? {
            self.0.push(Attribute { key: Text::from(name), value: Value::Text(value) });
        }
        Ok(())
    }
}
