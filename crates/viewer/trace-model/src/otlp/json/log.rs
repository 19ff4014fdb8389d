//! `LogRecord`.

use super::{
    Origin,
    attributes::{self, Attributes},
    origin::{write_attributes, write_count, write_text},
    set_number, set_text,
    span::optional,
};
use crate::{
    Attribute, LogRecord, SpanId, Text, TraceId, Value,
    json::{self, Context, Object, each, skip},
    otlp::protobuf::log::severity,
};
use serde::de::MapAccess;
use serde_json::{Map, json};
use std::sync::Arc;

/// What was read of a log record.
#[derive(Debug, Default)]
pub(in crate::otlp) struct Fields {
    time: u64,
    observed: u64,
    severity: u8,
    severity_text: Text,
    body: Value,
    event_name: Text,
    attributes: Vec<Attribute>,
    dropped_attributes: u32,
    flags: u32,
    pub(super) trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
}

impl Fields {
    /// The log record.
    pub(super) fn into_log(self, origin: Origin<'_>) -> LogRecord {
        LogRecord {
            time: self.time,
            observed: self.observed,
            severity: self.severity,
            severity_text: self.severity_text,
            body: self.body,
            event_name: self.event_name,
            attributes: self.attributes,
            dropped_attributes: self.dropped_attributes,
            flags: self.flags,
            trace_id: self.trace_id,
            span_id: self.span_id,
            resource: Arc::clone(origin.resource),
            scope: Arc::clone(origin.scope),
        }
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
            "timeUnixNano" | "time_unix_nano" => set_number(&mut self.time, map)?,
            "observedTimeUnixNano" | "observed_time_unix_nano" => set_number(&mut self.observed, map)?,
            "severityNumber" | "severity_number" => {
                if let Some(number) = json::word(map, severity_number)? {
                    self.severity = severity(number);
                }
            }
            "severityText" | "severity_text" => set_text(&mut self.severity_text, map, context)?,
            "body" => self.body = attributes::value(map, context)?,
            "eventName" | "event_name" => set_text(&mut self.event_name, map, context)?,
            "attributes" => each(&mut Attributes(&mut self.attributes), map, context)?,
            "droppedAttributesCount" | "dropped_attributes_count" => {
                set_number(&mut self.dropped_attributes, map)?;
            }
            "flags" => set_number(&mut self.flags, map)?,
            "traceId" | "trace_id" => {
                if let Some(id) = json::id(map)? {
                    self.trace_id =
                        context.allow(optional(id)).and_then(|id: [u8; 16]| TraceId::from_bytes(&id));
                }
            }
            "spanId" | "span_id" => {
                if let Some(id) = json::id(map)? {
                    self.span_id =
                        context.allow(optional(id)).and_then(|id: [u8; 8]| SpanId::from_bytes(&id));
                }
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn is_wanted(&self, name: &str) -> bool {
        matches!(name, "traceId" | "trace_id")
    }
}

/// `SEVERITY_NUMBER_INFO` is 9, `SEVERITY_NUMBER_INFO2` is 10.
fn severity_number(name: &str) -> Option<u64> {
    let name = name.strip_prefix("SEVERITY_NUMBER_")?;
    let level = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let first = match level {
        "TRACE" => 1,
        "DEBUG" => 5,
        "INFO" => 9,
        "WARN" => 13,
        "ERROR" => 17,
        "FATAL" => 21,
        _ => return None,
    };
    match name.strip_prefix(level)? {
        "" => Some(first),
        "2" => Some(first + 1),
        "3" => Some(first + 2),
        "4" => Some(first + 3),
        _ => None,
    }
}

/// A log record as JSON.
pub(super) fn write(record: &LogRecord) -> serde_json::Value {
    let mut object = Map::new();
    object.insert("timeUnixNano".to_owned(), json!(record.time.to_string()));
    object.insert("observedTimeUnixNano".to_owned(), json!(record.observed.to_string()));
    write_count(&mut object, "severityNumber", u32::from(record.severity));
    write_text(&mut object, "severityText", &record.severity_text);
    if record.body != Value::Empty {
        object.insert("body".to_owned(), attributes::write_value(&record.body));
    }
    write_text(&mut object, "eventName", &record.event_name);
    write_attributes(&mut object, &record.attributes, record.dropped_attributes);
    write_count(&mut object, "flags", record.flags);
    if let Some(trace_id) = record.trace_id {
        object.insert("traceId".to_owned(), json!(trace_id));
    }
    if let Some(span_id) = record.span_id {
        object.insert("spanId".to_owned(), json!(span_id));
    }
    object.into()
}
