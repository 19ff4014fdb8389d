//! Random spans that use everything the model has, from few names, so that they collide.

use crate::sample::{span_id, trace_id};
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::sync::Arc;
use waypost_trace_model::{
    Attribute, Event, Kind, Link, LogRecord, Resource, Scope, Span, Status, StatusCode, Text, Value,
};
use waypost_trace_statistics::AttributeScope;
use waypost_trace_store::{AttributeFilter, NanoRange, Order, Query, SpanFilter, Test};

fn name() -> impl Strategy<Value = Text> {
    select(vec!["a", "b", "pay", "ÄPFEL", "", "a b\u{0}c"]).prop_map(Text::from_static)
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 1_000_000..1_000_050_u64, 1 => Just(0), 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn value() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Empty),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![0..4_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Int),
        select(vec![0.0, -0.0, 1.5, 3.0, f64::INFINITY, f64::MIN_POSITIVE]).prop_map(Value::Double),
        name().prop_map(Value::Text),
        select(vec!["1", "2.5", "true", "x1y"]).prop_map(|text| Value::Text(text.into())),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Value::Bytes(Bytes::from(bytes))),
    ];
    plain.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|list| Value::Array(list.into())),
            vec((name(), inner), 0..3)
                .prop_map(|list| list.into_iter().map(|(key, value)| Attribute { key, value }).collect())
                .prop_map(Value::Map),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    vec((name(), value()).prop_map(|(key, value)| Attribute { key, value }), 0..5)
}

fn resource() -> impl Strategy<Value = Arc<Resource>> {
    (select(vec!["front", "back", "db"]), attributes(), 0..2_u32, name()).prop_map(
        |(service, mut rest, dropped, url)| {
            let value = Value::Text(service.into());
            rest.insert(0, Attribute { key: "service.name".into(), value });
            Arc::new(Resource::new(rest, dropped, url))
        },
    )
}

fn scope() -> impl Strategy<Value = Arc<Scope>> {
    (name(), name(), attributes(), 0..2_u32, name()).prop_map(
        |(name, version, attributes, dropped_attributes, schema_url)| {
            Arc::new(Scope { name, version, attributes, dropped_attributes, schema_url })
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    (time(), name(), attributes(), 0..2_u32).prop_map(|(time, name, attributes, dropped_attributes)| Event {
        time,
        name,
        attributes,
        dropped_attributes,
    })
}

fn link() -> impl Strategy<Value = Link> {
    (1..5_u64, 1..9_u64, name(), any::<u32>(), attributes(), 0..2_u32).prop_map(
        |(trace, span, trace_state, flags, attributes, dropped_attributes)| Link {
            trace_id: trace_id(trace),
            span_id: span_id(span),
            trace_state,
            flags,
            attributes,
            dropped_attributes,
        },
    )
}

pub(crate) fn span() -> impl Strategy<Value = Span> {
    let ids = (1..12_u64, 1..9_u64, option::of(1..9_u64));
    let what = (
        name(),
        0..6_u64,
        0..3_u64,
        name(),
        time(),
        prop_oneof![4 => (0..60_u64).prop_map(Some), 1 => Just(None)],
        time(),
    );
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let rest = (name(), any::<u32>(), 0..3_u32, 0..3_u32, 0..3_u32, resource(), scope());
    (ids, what, lists, rest).prop_map(|(ids, what, lists, rest)| {
        let (name, kind, code, message, start, duration, any_end) = what;
        Span {
            trace_id: trace_id(ids.0),
            span_id: span_id(ids.1),
            parent_span_id: ids.2.map(span_id),
            trace_state: rest.0,
            flags: rest.1,
            name,
            kind: Kind::from_number(kind),
            start,
            end: duration.map_or(any_end, |duration| start.saturating_add(duration)),
            status: Status { code: StatusCode::from_number(code), message },
            attributes: lists.0,
            dropped_attributes: rest.2,
            events: lists.1,
            dropped_events: rest.3,
            links: lists.2,
            dropped_links: rest.4,
            resource: rest.5,
            scope: rest.6,
        }
    })
}

pub(crate) fn log() -> impl Strategy<Value = LogRecord> {
    let ids = (option::of(1..12_u64), option::of(1..9_u64));
    (ids, time(), time(), 0..25_u8, name(), value(), attributes(), resource(), scope()).prop_map(
        |(ids, time, observed, severity, text, body, attributes, resource, scope)| LogRecord {
            time,
            observed,
            severity,
            severity_text: text.clone(),
            body,
            event_name: text,
            attributes,
            dropped_attributes: 1,
            flags: 3,
            trace_id: ids.0.map(trace_id),
            span_id: ids.1.map(span_id),
            resource,
            scope,
        },
    )
}

fn test() -> impl Strategy<Value = Test> {
    let text = || {
        select(vec!["", "a", "b", "1", "2.5", "true", "pay", "[", "0001", "3", "front"])
            .prop_map(str::to_owned)
    };
    prop_oneof![
        Just(Test::Exists),
        text().prop_map(Test::Equals),
        text().prop_map(Test::Differs),
        text().prop_map(Test::Contains),
        select(vec![0.0, 1.5, 2.5, -1e9]).prop_map(Test::AtLeast),
        select(vec![0.0, 1.5, 2.5, f64::NAN]).prop_map(Test::AtMost),
    ]
}

fn attribute_filter() -> impl Strategy<Value = AttributeFilter> {
    let scope = select(vec![
        None,
        Some(AttributeScope::Span),
        Some(AttributeScope::Resource),
        Some(AttributeScope::Event),
        Some(AttributeScope::Link),
    ]);
    let key = prop_oneof![name(), Just(Text::from_static("service.name"))];
    (scope, key, test()).prop_map(|(scope, key, test)| AttributeFilter { scope, key, test })
}

fn durations() -> impl Strategy<Value = NanoRange> {
    select(vec![0..=u64::MAX, 0..=u64::MAX, 10..=40, 1..=u64::MAX, 0..=20])
}

pub(crate) fn filter() -> impl Strategy<Value = SpanFilter> {
    let excluded = prop_oneof![3 => Just(Vec::new()), 1 => vec(conditions(), 1..3)];
    (conditions(), excluded).prop_map(|(conditions, excluded)| SpanFilter { excluded, ..conditions })
}

fn conditions() -> impl Strategy<Value = SpanFilter> {
    let names =
        (option::weighted(0.4, select(vec!["front", "back", "nobody"])), option::weighted(0.2, name()));
    let numbers = (option::weighted(0.1, 0..6_u64), option::weighted(0.2, 0..3_u64), durations());
    let more = (
        option::weighted(0.2, any::<bool>()),
        prop_oneof![3 => Just(Vec::new()), 1 => vec(attribute_filter(), 1..3)],
        option::weighted(0.2, select(vec!["PA", "äpf", "", "zz", "true", "front", "9223"])),
        option::weighted(0.1, 1..5_u64),
    );
    (names, numbers, more).prop_map(|(names, numbers, more)| SpanFilter {
        service: names.0.map(Text::from_static),
        operation: names.1,
        kind: numbers.0.map(Kind::from_number),
        status: numbers.1.map(StatusCode::from_number),
        duration: numbers.2,
        is_root: more.0,
        attributes: more.1,
        text: more.2.map(str::to_owned),
        linked_trace: more.3.map(trace_id),
        excluded: Vec::new(),
    })
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    let range =
        select(vec![0..=u64::MAX, 0..=u64::MAX, 1_000_000..=1_000_049, 1_000_010..=u64::MAX, 0..=1_000_020]);
    let order = select(vec![Order::Newest, Order::Oldest, Order::Longest, Order::Shortest]);
    (range, vec(filter(), 0..3), durations(), order, 1..5_usize).prop_map(
        |(range, spans, trace_duration, order, limit)| Query {
            range,
            spans,
            trace_duration,
            order,
            limit,
            after: None,
        },
    )
}
