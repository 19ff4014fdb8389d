//! OTLP JSON, as the protocol's "JSON Protobuf Encoding" describes it: ids in hex, 64-bit integers as texts, enums as
//! numbers, names in lowerCamelCase.
//!
//! Reading takes more than that, as protobuf's own JSON parsers do: integers as numbers, enums by name, names in
//! snake_case, fields in any order, bytes in base64 of either alphabet. A list that comes twice is appended, of anything
//! else the last counts.

mod attributes;
mod log;
mod origin;
mod span;
mod write;

pub(super) use write::write;

use super::{
    DecodeError,
    record::{Origin, Record},
};
use crate::{
    LogRecord, Refusal, RefusalReason, Resource, Scope, Span, Text, TraceId,
    json::{self, Context, Items, Object, each, fill, fill_next, skip},
    limits::Limits,
};
use origin::{ResourceFields, ScopeFields};
use serde::de::{MapAccess, SeqAccess};
use std::sync::Arc;

/// A record that is read from JSON and written to it.
pub(super) trait JsonRecord: Record {
    /// Names of the lists around it, from the outermost.
    const NAMES: [&'static str; 3];
    /// What was read of it.
    type Fields: Object + Default;

    /// Its trace, also of a record that is refused.
    fn trace_of(fields: &Self::Fields) -> Option<TraceId>;
    /// The record.
    fn from_fields(fields: Self::Fields, origin: Origin<'_>) -> Result<Self, RefusalReason>;
    /// Its trace.
    fn trace_id(&self) -> Option<TraceId>;
    /// Says who recorded it, once this is known.
    fn origin_mut(&mut self) -> (&mut Arc<Resource>, &mut Arc<Scope>);
    /// As a JSON object.
    fn to_json(&self) -> serde_json::Value;
}

impl JsonRecord for Span {
    const NAMES: [&'static str; 3] = ["resourceSpans", "scopeSpans", "spans"];
    type Fields = span::Fields;

    fn trace_of(fields: &span::Fields) -> Option<TraceId> {
        fields.trace_id
    }

    fn from_fields(fields: span::Fields, origin: Origin<'_>) -> Result<Span, RefusalReason> {
        fields.into_span(origin)
    }

    fn trace_id(&self) -> Option<TraceId> {
        Some(self.trace_id)
    }

    fn origin_mut(&mut self) -> (&mut Arc<Resource>, &mut Arc<Scope>) {
        (&mut self.resource, &mut self.scope)
    }

    fn to_json(&self) -> serde_json::Value {
        span::write(self)
    }
}

impl JsonRecord for LogRecord {
    const NAMES: [&'static str; 3] = ["resourceLogs", "scopeLogs", "logRecords"];
    type Fields = log::Fields;

    fn trace_of(fields: &log::Fields) -> Option<TraceId> {
        fields.trace_id
    }

    fn from_fields(fields: log::Fields, origin: Origin<'_>) -> Result<LogRecord, RefusalReason> {
        Ok(fields.into_log(origin))
    }

    fn trace_id(&self) -> Option<TraceId> {
        self.trace_id
    }

    fn origin_mut(&mut self) -> (&mut Arc<Resource>, &mut Arc<Scope>) {
        (&mut self.resource, &mut self.scope)
    }

    fn to_json(&self) -> serde_json::Value {
        log::write(self)
    }
}

/// Every record of a request that is kept, and the account of the others.
pub(super) fn decode<R: JsonRecord>(
    bytes: &[u8],
    limits: &Limits,
) -> Result<(Vec<R>, Vec<Refusal>), DecodeError> {
    let resource = Arc::new(Resource::new(Vec::new(), 0, Text::new()));
    let mut request = Request { records: Vec::new(), resource, scope: Arc::default() };
    let context = json::read_object(bytes, limits, &mut request)?;
    Ok((request.records, context.admission.into_refusals()))
}

/// A request: an object with one list of groups.
struct Request<R> {
    records: Vec<R>,
    /// Stand in for those of a group until they are known: they may be written behind its records.
    resource: Arc<Resource>,
    scope: Arc<Scope>,
}

impl<R: JsonRecord> Object for Request<R> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        if name == R::NAMES[0] || name == R::PATH[0] { each(self, map, context) } else { skip(map) }
    }
}

/// The groups of a request.
impl<R: JsonRecord> Items for Request<R> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let first = self.records.len();
        let before = context.admission.parts();
        let mut group = ResourceGroup {
            request: self,
            resource: ResourceFields::default(),
            schema_url: Text::new(),
            refused: None,
            refused_records: Vec::new(),
        };
        if !fill_next(&mut group, seq, context)? {
            return Ok(false);
        }
        let ResourceGroup { resource, schema_url, refused, refused_records, .. } = group;
        let (named, resource) = resource.into_resource(schema_url);
        let service = named.filter(|_| refused.is_some()).unwrap_or_else(|| resource.service.clone());
        for (trace_id, reason) in refused_records {
            context.admission.refuse(&service, trace_id, reason, R::SIGNAL);
        }
        if let Some(reason) = refused {
            context.admission.give_back(before);
            for record in self.records.drain(first..) {
                context.admission.refuse(&service, record.trace_id(), reason, R::SIGNAL);
            }
        }
        let resource = Arc::new(resource);
        for record in self.records.iter_mut().skip(first) {
            *record.origin_mut().0 = Arc::clone(&resource);
        }
        Ok(true)
    }
}

/// The records of one resource.
struct ResourceGroup<'r, R> {
    request: &'r mut Request<R>,
    resource: ResourceFields,
    schema_url: Text,
    refused: Option<RefusalReason>,
    refused_records: Vec<(Option<TraceId>, RefusalReason)>,
}

impl<R: JsonRecord> Object for ResourceGroup<'_, R> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "resource" => {
                fill(&mut self.resource, map, context)?;
            }
            "schemaUrl" | "schema_url" => set_text(&mut self.schema_url, map, context)?,
            _ if name == R::NAMES[1] || name == R::PATH[1] => each(self, map, context)?,
            _ => skip(map)?,
        }
        self.refused = self.refused.or(context.refused.take());
        Ok(())
    }
}

/// The groups of one resource's records.
impl<R: JsonRecord> Items for ResourceGroup<'_, R> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let first = self.request.records.len();
        let before = context.admission.parts();
        let mut group = ScopeGroup { group: self, scope: ScopeFields::default(), refused: None };
        if !fill_next(&mut group, seq, context)? {
            return Ok(false);
        }
        let ScopeGroup { scope, refused, .. } = group;
        if let Some(reason) = refused {
            context.admission.give_back(before);
            let dropped = self.request.records.drain(first..);
            self.refused_records.extend(dropped.map(|record| (record.trace_id(), reason)));
        }
        let scope = Arc::new(scope.0);
        for record in self.request.records.iter_mut().skip(first) {
            *record.origin_mut().1 = Arc::clone(&scope);
        }
        Ok(true)
    }
}

/// The records of one scope.
struct ScopeGroup<'g, 'r, R> {
    group: &'g mut ResourceGroup<'r, R>,
    scope: ScopeFields,
    refused: Option<RefusalReason>,
}

impl<R: JsonRecord> Object for ScopeGroup<'_, '_, R> {
    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        context: &mut Context<'_>,
    ) -> Result<(), A::Error> {
        match name {
            "scope" => {
                fill(&mut self.scope, map, context)?;
            }
            "schemaUrl" | "schema_url" => set_text(&mut self.scope.0.schema_url, map, context)?,
            _ if name == R::NAMES[2] || name == R::PATH[2] => each(self, map, context)?,
            _ => skip(map)?,
        }
        self.refused = self.refused.or(context.refused.take());
        Ok(())
    }
}

/// The records themselves.
impl<R: JsonRecord> Items for ScopeGroup<'_, '_, R> {
    fn item<'de, A: SeqAccess<'de>>(
        &mut self,
        seq: &mut A,
        context: &mut Context<'_>,
    ) -> Result<bool, A::Error> {
        let before = context.admission.parts();
        let mut fields = R::Fields::default();
        if !fill_next(&mut fields, seq, context)? {
            return Ok(false);
        }
        context.record()?;
        let trace_id = R::trace_of(&fields);
        let request = &mut *self.group.request;
        let record = match context.refused.take() {
            Some(reason) => Err(reason),
            None => R::from_fields(fields, Origin { resource: &request.resource, scope: &request.scope }),
        };
        match record {
            Ok(record) => request.records.push(record),
            Err(reason) => {
                context.admission.give_back(before);
                self.group.refused_records.push((trace_id, reason));
            }
        }
        Ok(true)
    }
}

/// Reads a text as long as names, messages and the like may be.
fn set_text<'de, A: MapAccess<'de>>(
    text: &mut Text,
    map: &mut A,
    context: &mut Context<'_>,
) -> Result<(), A::Error> {
    if let Some(read) = json::text(map, context.limits().text_length, context)? {
        *text = read;
    }
    Ok(())
}

/// Reads a whole number.
fn set_number<'de, T: json::Number, A: MapAccess<'de>>(number: &mut T, map: &mut A) -> Result<(), A::Error> {
    if let Some(read) = json::number(map)? {
        *number = read;
    }
    Ok(())
}
