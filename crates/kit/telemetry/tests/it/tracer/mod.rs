//! The kit's tracer behind the OpenTelemetry traits, as libraries use it: what arrives at a receiver is what the
//! specification says of limits, status, names, times and ends.

mod ends;
mod foreign;
mod oracle;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::Span as Wire;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use waypost_telemetry::config::{Exporter, Limits};
use waypost_telemetry::opentelemetry::global::{self, BoxedTracer};
use waypost_telemetry::opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use waypost_telemetry::opentelemetry::{Context, KeyValue};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{Builder, Settings, Telemetry};

use crate::receiver::{HttpReceiver, Manner, PATIENCE, Posted};

/// A handle that sends, and a tracer of it such as libraries get.
pub(super) struct Traced {
    pub(super) telemetry: Telemetry,
    pub(super) tracer: BoxedTracer,
    receiver: HttpReceiver,
}

impl Traced {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::built(change, |builder| builder)
    }

    pub(super) fn built(change: impl FnOnce(&mut Settings), build: impl FnOnce(Builder) -> Builder) -> Self {
        static GLOBALS: Mutex<()> = Mutex::new(());
        let receiver = HttpReceiver::start(Manner::Takes);
        let mut settings = TestTelemetry::settings("s");
        settings.traces.exporters = vec![Exporter::OtlpHttp];
        settings.logs.exporters.clear();
        settings.otlp.endpoint = Some(receiver.endpoint());
        change(&mut settings);
        let telemetry = build(Builder::new(settings)).init().unwrap();
        // Only the moment between setting and taking the provider needs the globals.
        let alone = GLOBALS.lock().unwrap_or_else(PoisonError::into_inner);
        telemetry.set_opentelemetry_globals();
        let tracer = global::tracer("library");
        drop(alone);
        Self { telemetry, tracer, receiver }
    }

    /// What has arrived when everything was sent.
    pub(super) fn sent(&self) -> Vec<Wire> {
        let report = self.telemetry.flush_blocking(PATIENCE);
        assert!(report.complete && report.traces.is_balanced(), "{report:?}");
        self.receiver.taken().iter().flat_map(Posted::spans).collect()
    }

    pub(super) fn only(&self) -> Wire {
        let mut spans = self.sent();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

/// Attributes as `key=value`, in order.
pub(super) fn texts(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> Vec<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            format!("{}={}", attribute.key, value.map(text).unwrap_or_default())
        })
        .collect()
}

pub(super) fn remote(flags: u8, trace_state: &str) -> SpanContext {
    let trace_state: TraceState = trace_state.parse().unwrap();
    SpanContext::new(TraceId::from(7), SpanId::from(9), TraceFlags::new(flags), true, trace_state)
}

#[test]
fn what_is_over_a_limit_is_counted() {
    let limits = Limits {
        attribute_value_length: 3,
        span_attributes: 2,
        span_events: 1,
        span_links: 1,
        event_attributes: 1,
        link_attributes: 1,
        ..Limits::default()
    };
    let traced = Traced::with(|settings| settings.limits = limits);
    let two = || vec![KeyValue::new("a", "täxt"), KeyValue::new("b", 2)];
    let mut builder = traced.tracer.span_builder("a");
    builder = builder.with_attributes([KeyValue::new("one", "längst")]).with_links(vec![Link::new(
        remote(1, ""),
        two(),
        0,
    )]);
    let mut span = builder.start(&traced.tracer);
    span.set_attribute(KeyValue::new("two", 2));
    span.set_attribute(KeyValue::new("three", 3));
    span.set_attribute(KeyValue::new("two", "again"));
    span.add_event("first", two());
    span.add_event("second", two());
    span.add_link(remote(1, ""), two());
    span.end();

    let wire = traced.only();
    assert_eq!(texts(&wire.attributes), ["one=län", "two=aga"]);
    assert_eq!(
        (wire.dropped_attributes_count, wire.dropped_events_count, wire.dropped_links_count),
        (1, 1, 1)
    );
    let (event, link) = (&wire.events[0], &wire.links[0]);
    assert_eq!((texts(&event.attributes), event.dropped_attributes_count), (vec!["a=täx".to_owned()], 1));
    assert_eq!((texts(&link.attributes), link.dropped_attributes_count), (vec!["a=täx".to_owned()], 1));
}

#[test]
fn the_last_value_of_an_attribute_wins() {
    let traced = Traced::new();
    let given = [KeyValue::new("a", 1), KeyValue::new("b", 2), KeyValue::new("a", 3)];
    let mut span = traced.tracer.span_builder("a").with_attributes(given).start(&traced.tracer);
    span.set_attributes([KeyValue::new("c", true), KeyValue::new("b", "another text")]);
    span.end();
    assert_eq!(texts(&traced.only().attributes), ["a=3", "b=another text", "c=true"]);
}

#[test]
fn ok_is_final_and_the_later_error_counts() {
    let (unset, ok) = (|| Status::Unset, || Status::Ok);
    let error = |text: &'static str| Status::error(text);
    let cases: [(&[Status], StatusCode, &str); 7] = [
        (&[error("z"), error("a")], StatusCode::Error, "a"),
        (&[error("a"), error("")], StatusCode::Error, "a"),
        (&[error("a"), unset()], StatusCode::Error, "a"),
        (&[error("a"), ok()], StatusCode::Ok, ""),
        (&[ok(), error("a")], StatusCode::Ok, ""),
        (&[ok(), unset()], StatusCode::Ok, ""),
        (&[unset()], StatusCode::Unset, ""),
    ];
    let traced = Traced::new();
    for (said, ..) in &cases {
        let mut span = traced.tracer.start("a");
        said.iter().for_each(|status| span.set_status(status.clone()));
        span.end();
    }
    let sent = traced.sent();
    for ((said, code, message), wire) in cases.iter().zip(&sent) {
        let status = wire.status.clone().unwrap();
        assert_eq!((status.code(), status.message.as_str()), (*code, *message), "{said:?}");
    }
    assert_eq!(sent.len(), cases.len());
}

#[test]
fn events_and_links_are_sent_with_what_they_hold() {
    let traced = Traced::new();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let early = Event::new("early", at(100), vec![KeyValue::new("n", 1)], 0);
    let first = Link::new(remote(1, "k=v"), vec![KeyValue::new("n", 2)], 0);
    let mut builder = traced.tracer.span_builder("a");
    builder = builder.with_events(vec![early]).with_links(vec![first]);
    let mut span = builder.start(&traced.tracer);
    span.add_event_with_timestamp("late", at(200), vec![]);
    let local =
        SpanContext::new(TraceId::from(5), SpanId::from(6), TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
    span.add_link(local, vec![]);
    span.add_link(SpanContext::empty_context(), vec![]);
    span.end();

    let wire = traced.only();
    let events: Vec<_> = wire
        .events
        .iter()
        .map(|event| (event.name.as_str(), event.time_unix_nano, texts(&event.attributes)))
        .collect();
    let second = 1_000_000_000;
    assert_eq!(events, [("early", 100 * second, vec!["n=1".to_owned()]), ("late", 200 * second, vec![])]);
    let links: Vec<_> =
        wire.links.iter().map(|link| (link.span_id[7], link.trace_state.as_str(), link.flags)).collect();
    assert_eq!(links, [(9, "k=v", 0x301), (6, "", 0x100)]);
    assert_eq!(texts(&wire.links[0].attributes), ["n=2"]);
}

#[test]
fn names_kinds_and_times_are_those_that_were_given() {
    let traced = Traced::new();
    let (start, end) = (UNIX_EPOCH + Duration::from_nanos(1_001), UNIX_EPOCH + Duration::from_nanos(2_002));
    let builder = traced.tracer.span_builder("first").with_kind(SpanKind::Consumer).with_start_time(start);
    let mut span = builder.start(&traced.tracer);
    span.update_name("second");
    span.update_name(format!("third {}", 3));
    span.end_with_timestamp(end);
    let mut backwards = traced.tracer.span_builder("backwards").with_start_time(end).start(&traced.tracer);
    backwards.end_with_timestamp(start);

    let sent = traced.sent();
    assert_eq!((sent[0].name.as_str(), sent[0].kind), ("third 3", 5));
    assert_eq!((sent[0].start_time_unix_nano, sent[0].end_time_unix_nano), (1_001, 2_002));
    assert_eq!((sent[1].start_time_unix_nano, sent[1].end_time_unix_nano), (2_002, 2_002));
    assert_eq!(sent[1].kind, 1, "internal where nothing was said");
}

#[test]
fn trace_ids_say_that_they_are_random() {
    let traced = Traced::new();
    let root = traced.tracer.start("root");
    assert_eq!(root.span_context().trace_flags(), TraceFlags::new(0b11));
    let below = |parent: SpanContext, name: &'static str| {
        let parent = Context::new().with_remote_span_context(parent);
        traced.tracer.start_with_context(name, &parent).span_context().clone()
    };
    assert_eq!(below(root.span_context().clone(), "child").trace_flags(), TraceFlags::new(0b11));
    assert_eq!(below(remote(0b01, ""), "of a caller without").trace_flags(), TraceFlags::new(0b01));
    assert_eq!(below(remote(0b11, ""), "of a caller with").trace_flags(), TraceFlags::new(0b11));
    assert_eq!(below(remote(0b10, ""), "not sampled").trace_flags(), TraceFlags::new(0b10));
    drop(root);
    let mut flags: Vec<_> = traced.sent().into_iter().map(|span| (span.name, span.flags)).collect();
    flags.sort();
    let expected =
        [("child", 0x103), ("of a caller with", 0x303), ("of a caller without", 0x301), ("root", 0x103)];
    assert_eq!(flags, expected.map(|(name, flags)| (name.to_owned(), flags)));
}

#[test]
fn a_trace_state_that_the_api_cannot_hold_is_sent() {
    let traced = Traced::new();
    let headers = std::collections::HashMap::from([
        ("traceparent".to_owned(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ("tracestate".to_owned(), "foo@@bar=1,b=2".to_owned()),
    ]);
    let parent = traced.telemetry.extract(&headers);
    let outer = parent.with_span(traced.tracer.start_with_context("outer", &parent));
    let inner = traced.tracer.start_with_context("inner", &outer);
    drop(inner);
    outer.span().end();
    let states: Vec<_> = traced.sent().into_iter().map(|span| (span.name, span.trace_state)).collect();
    let expected = ["inner", "outer"].map(|name| (name.to_owned(), "foo@@bar=1,b=2".to_owned()));
    assert_eq!(states, expected);
}

#[test]
fn spans_of_different_libraries_have_their_own_scopes() {
    let traced = Traced::new();
    traced.telemetry.span("own").in_scope(|| traced.tracer.start("foreign").end());
    let sent = traced.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].parent_span_id, sent[1].span_id);
    assert!(sent[0].start_time_unix_nano <= nanoseconds(SystemTime::now()));
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}
