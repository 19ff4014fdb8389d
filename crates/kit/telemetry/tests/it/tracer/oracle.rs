//! The SDK's own span is the judge: after the same calls it reads as what we send.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::Span as Wire;
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider};
use proptest::prelude::*;
use waypost_telemetry::opentelemetry::trace::{
    Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, Tracer,
    TracerProvider as _,
};
use waypost_telemetry::opentelemetry::{Array, Context, KeyValue, Value};

use super::Traced;
use super::foreign::Kept;

/// Gives the SDK's span the id that ours has.
#[derive(Debug)]
struct Given(Mutex<SpanId>);

impl IdGenerator for &'static Given {
    fn new_trace_id(&self) -> TraceId {
        TraceId::INVALID
    }

    fn new_span_id(&self) -> SpanId {
        *self.0.lock().unwrap()
    }
}

#[derive(Clone, Debug)]
enum Call {
    Event(String, u64, Vec<KeyValue>),
    Link(SpanContext, Vec<KeyValue>),
    Rename(String),
}

#[derive(Clone, Debug)]
struct Story {
    parent: SpanContext,
    kind: SpanKind,
    times: (u64, u64),
    attributes: Vec<KeyValue>,
    calls: Vec<Call>,
    status: Status,
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

fn value() -> impl Strategy<Value = Value> {
    let text = || prop_oneof!["[ -~äß\u{1F600}]{0,12}", "x{120,140}", "y{16370,16390}"];
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        text().prop_map(Value::from),
        proptest::collection::vec(any::<bool>(), 0..4).prop_map(|items| Value::Array(Array::Bool(items))),
        proptest::collection::vec(any::<i64>(), 0..40).prop_map(|items| Value::Array(Array::I64(items))),
        proptest::collection::vec(-1.0..1.0, 0..4).prop_map(|items| Value::Array(Array::F64(items))),
        proptest::collection::vec("[a-z]{0,50}", 0..5)
            .prop_map(|items| { Value::Array(Array::String(items.into_iter().map(Into::into).collect())) }),
    ]
}

/// Each key once: of those that stand twice the SDK keeps both.
fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    proptest::collection::btree_map("[a-z.]{1,8}", value(), 0..6).prop_map(|map: BTreeMap<String, Value>| {
        map.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect()
    })
}

fn span_context() -> impl Strategy<Value = SpanContext> {
    (1..u128::MAX, 1..u64::MAX, 0..4_u8, any::<bool>(), prop_oneof!["", "[a-z]{1,5}=[a-z]{1,5}"]).prop_map(
        |(trace, span, flags, is_remote, state): (u128, u64, u8, bool, String)| {
            let state = state.parse().unwrap();
            SpanContext::new(
                TraceId::from(trace),
                SpanId::from(span),
                TraceFlags::new(flags),
                is_remote,
                state,
            )
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        ("[ -~]{0,20}", any::<u64>(), attributes()).prop_map(|(name, at, with)| Call::Event(name, at, with)),
        (span_context(), attributes()).prop_map(|(span, with)| Call::Link(span, with)),
        "[ -~ü]{0,200}".prop_map(Call::Rename),
    ]
}

fn story() -> impl Strategy<Value = Story> {
    let kind = prop_oneof![
        Just(SpanKind::Internal),
        Just(SpanKind::Server),
        Just(SpanKind::Client),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer),
    ];
    let status = prop_oneof![Just(Status::Unset), Just(Status::Ok), "[ -~]{0,200}".prop_map(Status::error),];
    let times = (1..u64::MAX / 2, 0..1_000_000_u64).prop_map(|(start, took)| (start, start + took));
    let calls = proptest::collection::vec(call(), 0..6);
    (span_context(), kind, times, attributes(), calls, status).prop_map(
        |(parent, kind, times, attributes, calls, status)| {
            let sampled = parent.trace_flags() | TraceFlags::SAMPLED;
            let parent = SpanContext::new(
                parent.trace_id(),
                parent.span_id(),
                sampled,
                parent.is_remote(),
                parent.trace_state().clone(),
            );
            Story { parent, kind, times, attributes, calls, status }
        },
    )
}

/// Tells the story to a span and gives its id; the SDK's is asked for the id first.
fn tell<T: Tracer>(tracer: &T, story: &Story) -> SpanId {
    let parent = Context::new().with_remote_span_context(story.parent.clone());
    let builder =
        tracer.span_builder("first").with_kind(story.kind.clone()).with_start_time(time(story.times.0));
    let mut span = tracer.build_with_context(builder, &parent);
    for attribute in &story.attributes {
        span.set_attribute(attribute.clone());
    }
    for call in story.calls.clone() {
        match call {
            Call::Event(name, at, with) => span.add_event_with_timestamp(name, time(at), with),
            Call::Link(other, with) => span.add_link(other, with),
            Call::Rename(name) => span.update_name(name),
        }
    }
    span.set_status(story.status.clone());
    span.end_with_timestamp(time(story.times.1));
    span.span_context().span_id()
}

#[test]
fn random_spans_read_as_those_of_the_sdk() {
    static IDS: Given = Given(Mutex::new(SpanId::INVALID));
    let kept = Kept::default();
    let sdk = SdkTracerProvider::builder().with_id_generator(&IDS).with_span_processor(kept.clone()).build();
    let sdk = sdk.tracer("library");
    let traced = Traced::built(|settings| settings.limits.attribute_value_length = 20_000, |builder| builder);
    proptest!(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }, |(story in story())| {
        let id = tell(&traced.tracer, &story);
        *IDS.0.lock().unwrap() = id;
        tell(&sdk, &story);
        let mut data = kept.0.lock().unwrap().pop().unwrap();
        data.attributes.retain(|attribute| attribute.key.as_str() != "set.by");
        prop_assert_eq!(traced.only(), Wire::from(data));
    });
}
