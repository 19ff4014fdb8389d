//! A span with everything that OTLP says about it.

use crate::{Attribute, SpanId, Text, TraceId, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace that it is part of.
    pub trace_id: TraceId,
    /// Its id, unique in its trace unless a client erred.
    pub span_id: SpanId,
    /// The span that it is a child of; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C `tracestate`, as it came.
    pub trace_state: Text,
    /// W3C trace flags in the low 8 bits, and OTLP's bits 8 and 9 (parent is remote).
    pub flags: u32,
    /// What it did.
    pub name: Text,
    /// Its place in a conversation.
    pub kind: Kind,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended, in nanoseconds since 1970; may lie before `start` when a clock was set back.
    pub end: u64,
    /// How it went.
    pub status: Status,
    /// What is known about it.
    pub attributes: Vec<Attribute>,
    /// Attributes that the client dropped.
    pub dropped_attributes: u32,
    /// What happened during it.
    pub events: Vec<Event>,
    /// Events that the client dropped.
    pub dropped_events: u32,
    /// Spans that it is related to, of this or of other traces.
    pub links: Vec<Link>,
    /// Links that the client dropped.
    pub dropped_links: u32,
    /// Who recorded it: shared by the spans of one message.
    pub resource: Arc<Resource>,
    /// Which library recorded it: shared by the spans of one message.
    pub scope: Arc<Scope>,
}

impl Span {
    /// How long it took, in nanoseconds; 0 when it ended before it began.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// `service.name` of its resource.
    pub fn service(&self) -> &Text {
        &self.resource.service
    }
}

/// Place of a span in a conversation; the numbers are OTLP's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// Nothing was said.
    #[default]
    Unspecified = 0,
    /// Within a service.
    Internal = 1,
    /// Answers a request.
    Server = 2,
    /// Sends a request.
    Client = 3,
    /// Sends a message that is handled later.
    Producer = 4,
    /// Handles such a message.
    Consumer = 5,
}

impl Kind {
    /// From OTLP's number; unknown numbers are `Unspecified`.
    pub fn from_number(number: u64) -> Kind {
        match number {
            1 => Kind::Internal,
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Unspecified,
        }
    }

    /// Lower-case name: `server`, `client`, and so on.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unspecified => "unspecified",
            Kind::Internal => "internal",
            Kind::Server => "server",
            Kind::Client => "client",
            Kind::Producer => "producer",
            Kind::Consumer => "consumer",
        }
    }

    /// From its lower-case name.
    pub fn from_name(name: &str) -> Option<Kind> {
        (0..=5).map(Kind::from_number).find(|kind| kind.name() == name)
    }
}

/// How a span went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Well or not.
    pub code: StatusCode,
    /// Why not.
    pub message: Text,
}

/// Well or not; the numbers are OTLP's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum StatusCode {
    /// Nothing was said, which means well.
    #[default]
    Unset = 0,
    /// Somebody said that it went well.
    Ok = 1,
    /// It failed.
    Error = 2,
}

impl StatusCode {
    /// From OTLP's number; unknown numbers are `Unset`.
    pub fn from_number(number: u64) -> StatusCode {
        match number {
            1 => StatusCode::Ok,
            2 => StatusCode::Error,
            _ => StatusCode::Unset,
        }
    }

    /// Lower-case name: `unset`, `ok`, `error`.
    pub fn name(self) -> &'static str {
        match self {
            StatusCode::Unset => "unset",
            StatusCode::Ok => "ok",
            StatusCode::Error => "error",
        }
    }

    /// From its lower-case name.
    pub fn from_name(name: &str) -> Option<StatusCode> {
        (0..=2).map(StatusCode::from_number).find(|code| code.name() == name)
    }
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, in nanoseconds since 1970.
    pub time: u64,
    /// What.
    pub name: Text,
    /// What is known about it.
    pub attributes: Vec<Attribute>,
    /// Attributes that the client dropped.
    pub dropped_attributes: u32,
}

/// A relation to another span.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Trace of the other span.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// W3C `tracestate` of the other span.
    pub trace_state: Text,
    /// Flags of the other span, as in [`Span::flags`].
    pub flags: u32,
    /// What is known about the relation.
    pub attributes: Vec<Attribute>,
    /// Attributes that the client dropped.
    pub dropped_attributes: u32,
}

/// Who recorded a span or log record.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `service.name`, or [`Resource::UNKNOWN_SERVICE`] when there is none. Derived from `attributes`.
    pub service: Text,
    /// Everything that is known about it, `service.name` included.
    pub attributes: Vec<Attribute>,
    /// Attributes that the client dropped.
    pub dropped_attributes: u32,
    /// Version of the conventions that the attributes follow.
    pub schema_url: Text,
}

impl Resource {
    /// The service of spans that name none, as the OpenTelemetry specification calls it.
    pub const UNKNOWN_SERVICE: &'static str = "unknown_service";

    /// With its service taken from the attributes.
    pub fn new(attributes: Vec<Attribute>, dropped_attributes: u32, schema_url: Text) -> Resource {
        let named = attributes.iter().find(|attribute| &*attribute.key == "service.name");
        let service = match named.map(|attribute| &attribute.value) {
            Some(Value::Text(name)) if !name.is_empty() => name.clone(),
            Some(Value::Empty | Value::Text(_)) | None => Text::from_static(Resource::UNKNOWN_SERVICE),
            Some(other) => Text::from(other.to_string()),
        };
        Resource { service, attributes, dropped_attributes, schema_url }
    }
}

/// Which library recorded a span or log record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Its name.
    pub name: Text,
    /// Its version.
    pub version: Text,
    /// What is known about it.
    pub attributes: Vec<Attribute>,
    /// Attributes that the client dropped.
    pub dropped_attributes: u32,
    /// Version of the conventions that the spans follow.
    pub schema_url: Text,
}
