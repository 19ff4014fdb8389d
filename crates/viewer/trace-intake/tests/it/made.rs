//! Spans and log records with something in every field, and what they are compressed with.

use bytes::Bytes;
use std::{io::Write as _, sync::Arc};
use waypost_trace_model::{
    Attribute, Event, Kind, Link, LogRecord, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId,
    Value,
};

pub(crate) fn trace(number: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(number).to_be_bytes()).unwrap()
}

pub(crate) fn id(number: u64) -> SpanId {
    SpanId::from_bytes(&number.to_be_bytes()).unwrap()
}

fn attribute(key: &str, value: Value) -> Attribute {
    Attribute { key: key.into(), value }
}

fn resource(service: &str) -> Arc<Resource> {
    let name = attribute("service.name", Value::Text(service.into()));
    Arc::new(Resource::new(vec![name], 1, "https://opentelemetry.io/schemas/1.40.0".into()))
}

fn scope() -> Arc<Scope> {
    Arc::new(Scope { name: "tests".into(), version: "1.2".into(), ..Scope::default() })
}

/// A trace of two spans.
pub(crate) fn spans(number: u64, service: &str) -> Vec<Span> {
    let (resource, scope) = (resource(service), scope());
    let attributes = vec![
        attribute("text", Value::Text("a \"b\" \u{1F9ED}".into())),
        attribute("int", Value::Int(i64::MIN)),
        attribute("double", Value::Double(0.1)),
        attribute("bool", Value::Bool(true)),
        attribute("bytes", Value::Bytes(Bytes::from_static(&[0, 255]))),
        attribute("list", Value::Array(vec![Value::Int(1), Value::Text("x".into())].into())),
        attribute("map", Value::Map(vec![attribute("k", Value::Bool(false))].into())),
    ];
    let root = Span {
        trace_id: trace(number),
        span_id: id(1),
        parent_span_id: None,
        trace_state: "a=b".into(),
        flags: 0x101,
        name: "POST /orders".into(),
        kind: Kind::Server,
        start: 1_790_000_000_123_456_789,
        end: 1_790_000_000_223_456_780,
        status: Status { code: StatusCode::Error, message: "no".into() },
        attributes,
        dropped_attributes: 2,
        events: vec![Event {
            time: 1_790_000_000_123_456_790,
            name: "tried".into(),
            attributes: vec![attribute("n", Value::Int(1))],
            dropped_attributes: 3,
        }],
        dropped_events: 4,
        links: vec![Link {
            trace_id: trace(99),
            span_id: id(98),
            trace_state: "c=d".into(),
            flags: 1,
            attributes: vec![attribute("why", Value::Text("stored".into()))],
            dropped_attributes: 5,
        }],
        dropped_links: 6,
        resource,
        scope,
    };
    let child = Span {
        span_id: id(2),
        parent_span_id: Some(id(1)),
        name: "price".into(),
        kind: Kind::Internal,
        start: root.start + 1,
        status: Status::default(),
        events: Vec::new(),
        links: Vec::new(),
        ..root.clone()
    };
    vec![root, child]
}

/// A log record of the trace.
pub(crate) fn log(number: u64, service: &str) -> LogRecord {
    LogRecord {
        time: 1_790_000_000_123_456_791,
        observed: 1_790_000_000_123_456_792,
        severity: 17,
        severity_text: "ERROR".into(),
        body: Value::Text("out of stock".into()),
        event_name: "refused".into(),
        attributes: vec![attribute("sku", Value::Text("p1".into()))],
        dropped_attributes: 1,
        flags: 1,
        trace_id: Some(trace(number)),
        span_id: Some(id(1)),
        resource: resource(service),
        scope: scope(),
    }
}

pub(crate) fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap().into()
}

pub(crate) fn zlib(plain: &[u8]) -> Bytes {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap().into()
}

pub(crate) fn zstd(plain: &[u8]) -> Bytes {
    zstd::encode_all(plain, 3).unwrap().into()
}

/// The body compressed in this way.
pub(crate) fn compressed(encoding: &str, plain: &Bytes) -> Bytes {
    match encoding {
        "gzip" => gzip(plain),
        "deflate" => zlib(plain),
        "zstd" => zstd(plain),
        _ => plain.clone(),
    }
}

/// A few hundred KB that become half a GB (gzip) or four (zstd).
pub(crate) fn bomb(encoding: &str) -> Bytes {
    match encoding {
        "gzip" => gzip(&vec![0; 4 << 20]).repeat(128).into(),
        _ => zstd(&vec![0; 16 << 20]).repeat(256).into(),
    }
}
