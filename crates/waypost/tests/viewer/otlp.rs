//! Spans as OTLP JSON writes them, and the same request over gRPC.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use waypost_testkit::{Answer, Client};

/// In nanoseconds.
pub(crate) const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds since 1970, some milliseconds ago.
pub(crate) fn ago(milliseconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap() - milliseconds * MILLISECOND
}

/// A span: times in nanoseconds, parent 0 for a root.
pub(crate) fn span(trace: u128, id: u64, parent: u64, name: &str, kind: u32, start: u64, took: u64) -> Value {
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    json!({
        "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": name,
        "kind": kind, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + took).to_string(),
    })
}

/// Spans of one service.
pub(crate) fn service(name: &str, spans: &[Value]) -> Value {
    let resource = json!({"attributes": [text("service.name", name)]});
    json!({"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]})
}

/// An attribute.
pub(crate) fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A log record: without a trace when it is 0, without a span when that is.
pub(crate) fn log(trace: u128, span: u64, time: u64, severity: u8, body: &str) -> Value {
    let id = |is_there: bool, id: String| if is_there { id } else { String::new() };
    json!({
        "timeUnixNano": time.to_string(), "severityNumber": severity, "body": {"stringValue": body},
        "traceId": id(trace > 0, format!("{trace:032x}")), "spanId": id(span > 0, format!("{span:016x}")),
    })
}

/// Sends log records of one service that are all kept.
pub(crate) async fn send_logs(otlp_http: &Client, service: &str, records: &[Value]) {
    let resource = json!({"attributes": [text("service.name", service)]});
    let body = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": records}]}]});
    let answer = otlp_http.post("/v1/logs", &[], &body.to_string()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({})));
}

/// Text of so many characters that hardly packs: no two of it are alike.
pub(crate) fn noise(number: u64, length: usize) -> String {
    let part = |part: u64| {
        // The finalizer of SplitMix64.
        let mixed = (number.wrapping_mul(1 << 20).wrapping_add(part)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", mixed ^ (mixed >> 31))
    };
    let mut text: String = (0..).map(part).take(length / 16 + 1).collect();
    text.truncate(length);
    text
}

/// The body of a request.
pub(crate) fn request(resource_spans: &[Value]) -> String {
    json!({ "resourceSpans": resource_spans }).to_string()
}

/// Sends spans and returns the answer.
pub(crate) async fn post(otlp_http: &Client, resource_spans: &[Value]) -> Answer {
    otlp_http.post("/v1/traces", &[], &request(resource_spans)).await.unwrap()
}

/// Sends spans that are all kept.
pub(crate) async fn send(otlp_http: &Client, resource_spans: &[Value]) {
    let answer = post(otlp_http, resource_spans).await;
    assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({})));
}

/// Sends spans over gRPC; the number that was not kept and why, or the status. Only text attributes go along.
pub(crate) async fn export(
    otlp_grpc: SocketAddr,
    resource_spans: &[Value],
    token: Option<&str>,
) -> Result<Option<(i64, String)>, Status> {
    let mut client = TraceServiceClient::connect(format!("http://{otlp_grpc}")).await.unwrap();
    let message = ExportTraceServiceRequest { resource_spans: resource_spans.iter().map(group).collect() };
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let partial = client.export(request).await?.into_inner().partial_success;
    Ok(partial.map(|partial| (partial.rejected_spans, partial.error_message)))
}

fn group(json: &Value) -> ResourceSpans {
    let attributes = attributes(&json["resource"]["attributes"]);
    let spans = list(&json["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"]));
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans: spans.map(message).collect(), ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

fn message(json: &Value) -> Span {
    let number = |key: &str| json[key].as_str().unwrap().parse().unwrap();
    Span {
        trace_id: bytes(&json["traceId"]),
        span_id: bytes(&json["spanId"]),
        parent_span_id: bytes(&json["parentSpanId"]),
        name: json["name"].as_str().unwrap().to_owned(),
        kind: i32::try_from(json["kind"].as_i64().unwrap()).unwrap(),
        start_time_unix_nano: number("startTimeUnixNano"),
        end_time_unix_nano: number("endTimeUnixNano"),
        attributes: attributes(&json["attributes"]),
        ..Span::default()
    }
}

fn attributes(json: &Value) -> Vec<KeyValue> {
    let attribute = |json: &Value| {
        let value = json["value"]["stringValue"].as_str().unwrap().to_owned();
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
        KeyValue { key: json["key"].as_str().unwrap().to_owned(), value, ..KeyValue::default() }
    };
    list(json).iter().map(attribute).collect()
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

/// `google.rpc.Status` and `RetryInfo`, as a client reads them.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// The code, the message, and after how many seconds the sender is asked to come back.
pub(crate) fn refusal(status: &Status) -> (Code, String, Option<i64>) {
    let details = RpcStatus::decode(status.details()).unwrap();
    let seconds = details.details.first().map(|detail| {
        assert_eq!((details.code, &*details.message), (i32::from(status.code()), status.message()));
        assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.RetryInfo");
        RetryInfo::decode(&*detail.value).unwrap().retry_delay.unwrap().seconds
    });
    (status.code(), status.message().to_owned(), seconds)
}
