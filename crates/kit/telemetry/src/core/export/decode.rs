//! Encoded spans and log records back as values: for memory, standard output, and exporters that programs bring along.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::ended::{ATTRIBUTES, EVENTS, LINKS};
use super::frame::ITEMS;
use crate::base::finished::{FinishedEvent, FinishedLink, FinishedLog, FinishedSpan};
use crate::base::wire::attributes::read_attribute;
use crate::base::wire::read::{Field, fields};

const IS_REMOTE: u64 = 0x200;

/// The spans of a request.
pub(super) fn spans(request: &[u8]) -> Vec<FinishedSpan> {
    let read = |service: &Arc<str>, scope: &InstrumentationScope, item: &[u8]| {
        span(item, scope.clone(), Arc::clone(service))
    };
    items(request, read)
}

/// The log records of a request.
pub(super) fn logs(request: &[u8]) -> Vec<FinishedLog> {
    items(request, |service, scope, item| log(item, scope, Arc::clone(service)))
}

fn items<T>(request: &[u8], read: impl Fn(&Arc<str>, &InstrumentationScope, &[u8]) -> T) -> Vec<T> {
    let mut found = Vec::new();
    for (_, resource) in fields(request) {
        let service = service_name(resource.bytes());
        for (_, scope_items) in fields(resource.bytes()).filter(|(number, _)| *number == 2) {
            let message = scope_items.bytes();
            let scope = scope(message);
            let items = fields(message).filter(|(number, _)| *number == ITEMS);
            found.extend(items.map(|(_, item)| read(&service, &scope, item.bytes())));
        }
    }
    found
}

fn service_name(resource_items: &[u8]) -> Arc<str> {
    let resource = fields(resource_items).find(|(number, _)| *number == 1);
    let attributes = resource.map(|(_, resource)| attributes(resource.bytes(), 1)).unwrap_or_default();
    let name = attributes.into_iter().find(|attribute| attribute.key.as_str() == "service.name");
    name.map(|name| name.value.as_str().into()).unwrap_or_default()
}

fn scope(scope_items: &[u8]) -> InstrumentationScope {
    let message =
        fields(scope_items).find(|(number, _)| *number == 1).map_or(&[][..], |(_, scope)| scope.bytes());
    let text = |wanted| fields(message).find(|(number, _)| *number == wanted).map(|(_, field)| field.text());
    let mut scope = InstrumentationScope::builder(text(1).unwrap_or_default());
    if let Some(version) = text(2) {
        scope = scope.with_version(version);
    }
    if let Some((_, url)) = fields(scope_items).find(|(number, _)| *number == 3) {
        scope = scope.with_schema_url(url.text());
    }
    scope.with_attributes(attributes(message, 3)).build()
}

fn attributes(message: &[u8], field: u32) -> Vec<KeyValue> {
    let found = fields(message).filter(|(number, _)| *number == field);
    found.map(|(_, attribute)| read_attribute(attribute.bytes())).collect()
}

/// One span, without its field's tag and length.
pub(super) fn span(message: &[u8], scope: InstrumentationScope, service_name: Arc<str>) -> FinishedSpan {
    let mut found = FinishedSpan {
        service_name,
        scope,
        span_context: SpanContext::empty_context(),
        parent_id: SpanId::INVALID,
        parent_is_remote: false,
        name: Cow::Borrowed(""),
        kind: SpanKind::Internal,
        status: Status::Unset,
        start: UNIX_EPOCH,
        end: UNIX_EPOCH,
        attributes: attributes(message, ATTRIBUTES),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
    };
    let mut ids = Ids::default();
    for (number, field) in fields(message) {
        match number {
            1..=3 => ids.read(number, field),
            4 => found.parent_id = span_id(field),
            5 => found.name = field.text().into(),
            6 => found.kind = kind(field.number()),
            7 => found.start = time(field),
            8 => found.end = time(field),
            10 => found.dropped_attributes = count(field),
            EVENTS => found.events.push(event(field.bytes())),
            12 => found.dropped_events = count(field),
            LINKS => found.links.push(link(field.bytes())),
            14 => found.dropped_links = count(field),
            15 => found.status = status(field.bytes()),
            16 => {
                ids.flags = field.number();
                found.parent_is_remote = ids.flags & IS_REMOTE != 0;
            }
            _ => {}
        }
    }
    found.span_context = ids.context(false);
    found
}

/// What a span context is read from.
#[derive(Default)]
struct Ids {
    trace: u128,
    span: u64,
    state: String,
    flags: u64,
}

impl Ids {
    fn read(&mut self, number: u32, field: Field<'_>) {
        match number {
            1 => self.trace = u128::from_be_bytes(bytes_of(field)),
            2 => self.span = u64::from_be_bytes(bytes_of(field)),
            _ => self.state = field.text(),
        }
    }

    fn context(&self, is_remote: bool) -> SpanContext {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the flags of the trace context are the low byte"
        )]
        let flags = TraceFlags::new(self.flags as u8);
        let state = TraceState::from_str(&self.state).unwrap_or_default();
        SpanContext::new(TraceId::from(self.trace), SpanId::from(self.span), flags, is_remote, state)
    }
}

fn bytes_of<const N: usize>(field: Field<'_>) -> [u8; N] {
    field.bytes().try_into().unwrap_or([0; N])
}

fn span_id(field: Field<'_>) -> SpanId {
    SpanId::from_bytes(bytes_of(field))
}

fn time(field: Field<'_>) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(field.number())
}

fn count(field: Field<'_>) -> u32 {
    u32::try_from(field.number()).unwrap_or(u32::MAX)
}

fn kind(number: u64) -> SpanKind {
    match number {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn status(message: &[u8]) -> Status {
    let (mut text, mut code) = (String::new(), 0);
    for (number, field) in fields(message) {
        match number {
            2 => text = field.text(),
            3 => code = field.number(),
            _ => {}
        }
    }
    match code {
        1 => Status::Ok,
        2 => Status::error(text),
        _ => Status::Unset,
    }
}

fn event(message: &[u8]) -> FinishedEvent {
    let mut event =
        FinishedEvent { name: Cow::Borrowed(""), time: UNIX_EPOCH, attributes: attributes(message, 3) };
    for (number, field) in fields(message) {
        match number {
            1 => event.time = time(field),
            2 => event.name = field.text().into(),
            _ => {}
        }
    }
    event
}

fn link(message: &[u8]) -> FinishedLink {
    let mut ids = Ids::default();
    for (number, field) in fields(message) {
        match number {
            1..=3 => ids.read(number, field),
            6 => ids.flags = field.number(),
            _ => {}
        }
    }
    let is_remote = ids.flags & IS_REMOTE != 0;
    FinishedLink { span: ids.context(is_remote), attributes: attributes(message, 4) }
}

fn log(message: &[u8], scope: &InstrumentationScope, service_name: Arc<str>) -> FinishedLog {
    let mut log = FinishedLog {
        time: UNIX_EPOCH,
        severity: Severity::Info,
        target: scope.name().to_owned().into(),
        body: String::new(),
        attributes: attributes(message, 6),
        span: SpanContext::empty_context(),
        service_name,
    };
    let mut ids = Ids::default();
    for (number, field) in fields(message) {
        match number {
            1 => log.time = time(field),
            2 => log.severity = severity(field.number()),
            5 => {
                if let Some((_, text)) = fields(field.bytes()).find(|(number, _)| *number == 1) {
                    log.body = text.text();
                }
            }
            8 => ids.flags = field.number(),
            9 => ids.trace = u128::from_be_bytes(bytes_of(field)),
            10 => ids.span = u64::from_be_bytes(bytes_of(field)),
            _ => {}
        }
    }
    log.span = ids.context(false);
    log
}

/// The kit writes the first severity of each level.
fn severity(number: u64) -> Severity {
    match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        13..=16 => Severity::Warn,
        17..=20 => Severity::Error,
        21..=24 => Severity::Fatal,
        _ => Severity::Info,
    }
}
