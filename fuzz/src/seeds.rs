//! Writes an input or two for each target to `corpus`, for the fuzzer to start from.

use std::{fs, io, path::Path, sync::Arc};
use waypost_trace_model::{
    Attribute, Event, Kind, Link, LogRecord, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId,
    Value, otlp, zipkin,
};

fn main() -> io::Result<()> {
    let (spans, logs) = ([span(1), span(2)], [log()]);
    let otlp_json = otlp::traces_to_json(&spans).to_string();
    let zipkin_json = zipkin::spans_to_json(&spans).to_string();
    write("otlp_protobuf", "spans", &otlp::traces_to_protobuf(&spans))?;
    write("otlp_json", "spans", otlp_json.as_bytes())?;
    write("logs", "protobuf", &otlp::logs_to_protobuf(&logs))?;
    write("logs", "json", otlp::logs_to_json(&logs).to_string().as_bytes())?;
    write("zipkin", "transformed", zipkin_json.as_bytes())?;
    write("zipkin", "json", ZIPKIN_JSON)?;
    write("zipkin", "protobuf", ZIPKIN_PROTOBUF)
}

const ZIPKIN_JSON: &[u8] =
    br#"[{"traceId":"5af7183fb1d4cf5f","parentId":"6b221d5bc9e6496c","id":"352bff9a74ca9ad2",
"kind":"CLIENT","name":"get /api","timestamp":1556604172355737,"duration":1431,
"localEndpoint":{"serviceName":"backend","ipv4":"192.168.99.1","ipv6":"2001:db8::1","port":3306},
"remoteEndpoint":{"serviceName":"db","ipv4":"172.19.0.2","port":58648},
"annotations":[{"timestamp":1556604172355800,"value":"ws"}],
"tags":{"error":"boom","otel.scope.name":"x","peer.service":"y","n":1},"debug":true,"shared":true}]"#;

const ZIPKIN_PROTOBUF: &[u8] =
    b"\x0a\x6e\x0a\x08\x5a\xf7\x18\x3f\xb1\xd4\xcf\x5f\x12\x08\x6b\x22\x1d\x5b\xc9\xe6\x49\x6c\
\x1a\x08\x35\x2b\xff\x9a\x74\xca\x9a\xd2\x20\x01\x2a\x03get\x31\x01\x02\x03\x04\x05\x06\x00\x00\x38\x97\x0b\
\x42\x11\x0a\x07backend\x12\x04\xc0\xa8\x63\x01\x20\x50\x4a\x06\x12\x04\xac\x13\x00\x02\
\x52\x0d\x09\x01\x02\x03\x04\x05\x06\x00\x00\x12\x02ws\x5a\x0d\x0a\x05error\x12\x04boom\x60\x01\x68\x01";

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

fn attributes() -> Vec<Attribute> {
    let nested = [attribute("k", Value::Bytes(vec![0, 255].into())), attribute("f", Value::Bool(true))];
    vec![
        attribute("text", Value::Text("é \"x\"".into())),
        attribute("int", Value::Int(-7)),
        attribute("double", Value::Double(1.5)),
        attribute("nan", Value::Double(f64::NAN)),
        attribute("array", Value::Array(vec![Value::Int(1), Value::Empty, Value::Map(nested.into())].into())),
        attribute("empty", Value::Empty),
    ]
}

fn attribute(key: &str, value: Value) -> Attribute {
    Attribute { key: key.into(), value }
}

fn trace_id() -> TraceId {
    "5b8efff798038103d269b633813fc60c".parse().expect("an id")
}

fn span_id() -> SpanId {
    "eee19b7ec3c1b174".parse().expect("an id")
}

fn origin() -> (Arc<Resource>, Arc<Scope>) {
    let service = vec![attribute("service.name", Value::Text("shop".into()))];
    let scope =
        Scope { name: "lib".into(), version: "1".into(), attributes: attributes(), ..Scope::default() };
    (Arc::new(Resource::new(service, 1, "https://r".into())), Arc::new(scope))
}

fn span(number: u64) -> Span {
    let (resource, scope) = origin();
    Span {
        trace_id: trace_id(),
        span_id: span_id(),
        parent_span_id: Some(span_id()),
        trace_state: "a=b".into(),
        flags: 0x301,
        name: "GET /".into(),
        kind: Kind::Client,
        start: 1_544_712_660_000_000_000,
        end: 1_544_712_660_000_000_000 + number,
        status: Status { code: StatusCode::Error, message: "no".into() },
        attributes: attributes(),
        dropped_attributes: 1,
        events: vec![Event { time: 5, name: "ev".into(), attributes: attributes(), dropped_attributes: 2 }],
        dropped_events: 3,
        links: vec![Link {
            trace_id: trace_id(),
            span_id: span_id(),
            trace_state: "c=d".into(),
            flags: 1,
            attributes: attributes(),
            dropped_attributes: 4,
        }],
        dropped_links: 5,
        resource,
        scope,
    }
}

fn log() -> LogRecord {
    let (resource, scope) = origin();
    LogRecord {
        time: 1,
        observed: 2,
        severity: 9,
        severity_text: "INFO".into(),
        body: Value::Text("hello".into()),
        event_name: "e".into(),
        attributes: attributes(),
        dropped_attributes: 1,
        flags: 1,
        trace_id: Some(trace_id()),
        span_id: Some(span_id()),
        resource,
        scope,
    }
}
