//! The official messages are the judge: what they read from our JSON is what they were written from.

use std::fmt::Debug;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::de::DeserializeOwned;

use super::*;

fn assert_reads_back<T>(table: &Message, request: &T)
where
    T: prost::Message + DeserializeOwned + PartialEq + Debug,
{
    let text = write(table, &request.encode_to_vec());
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(&read, request, "{text}");
}

fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, of: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value(of)), ..KeyValue::default() }
}

fn attributes() -> Vec<KeyValue> {
    let list =
        ArrayValue { values: vec![value(Value::IntValue(-3)), value(Value::StringValue("ä".into()))] };
    let map = KeyValueList { values: vec![attribute("inner", Value::BoolValue(false))] };
    vec![
        attribute("text", Value::StringValue("\"quoted\" \\ \n \t \u{1} \u{85} \u{1F600}".into())),
        attribute("empty", Value::StringValue(String::new())),
        attribute("truth", Value::BoolValue(true)),
        attribute("least", Value::IntValue(i64::MIN)),
        attribute("real", Value::DoubleValue(1e300)),
        attribute("tiny", Value::DoubleValue(-5e-324)),
        attribute("list", Value::ArrayValue(list)),
        attribute("map", Value::KvlistValue(map)),
        attribute("bytes", Value::BytesValue(vec![0, 255, 16, 32])),
    ]
}

fn resource() -> Resource {
    Resource { attributes: attributes(), dropped_attributes_count: 2, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "scope".into(),
        version: "1".into(),
        attributes: attributes(),
        dropped_attributes_count: 1,
    }
}

#[test]
fn spans_are_read_as_they_were() {
    let link = Link {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        trace_state: "a=b".into(),
        attributes: attributes(),
        dropped_attributes_count: 3,
        flags: 0x301,
    };
    let event = Event {
        time_unix_nano: u64::MAX,
        name: "event".into(),
        attributes: attributes(),
        dropped_attributes_count: 4,
    };
    let full = Span {
        trace_id: (0..16).collect(),
        span_id: (200..208).collect(),
        trace_state: "k=v,w=x".into(),
        parent_span_id: vec![1; 8],
        flags: 0x103,
        name: "name".into(),
        kind: 5,
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_000_000_000_002,
        attributes: attributes(),
        dropped_attributes_count: 1,
        events: vec![event, Event::default()],
        dropped_events_count: 2,
        links: vec![link],
        dropped_links_count: 3,
        status: Some(Status { message: "why".into(), code: 2 }),
    };
    let scope_spans =
        ScopeSpans { scope: Some(scope()), spans: vec![full, Span::default()], schema_url: "s".into() };
    let resource_spans =
        ResourceSpans { resource: Some(resource()), scope_spans: vec![scope_spans], schema_url: "r".into() };
    let request =
        ExportTraceServiceRequest { resource_spans: vec![resource_spans, ResourceSpans::default()] };
    assert_reads_back(&TRACES, &request);
}

#[test]
fn log_records_are_read_as_they_were() {
    let full = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: u64::MAX,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(value(Value::StringValue("body".into()))),
        attributes: attributes(),
        dropped_attributes_count: 6,
        flags: 1,
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        event_name: "event".into(),
    };
    let scope_logs = ScopeLogs { scope: Some(scope()), log_records: vec![full], schema_url: "s".into() };
    let resource_logs =
        ResourceLogs { resource: Some(resource()), scope_logs: vec![scope_logs], schema_url: "r".into() };
    assert_reads_back(&LOGS, &ExportLogsServiceRequest { resource_logs: vec![resource_logs] });
}

fn number(number: Number) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 3,
        time_unix_nano: 4,
        value: Some(number),
        flags: 1,
        ..NumberDataPoint::default()
    }
}

fn histogram() -> Histogram {
    let point = HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: u64::MAX,
        sum: Some(1.25),
        bucket_counts: vec![0, u64::MAX, 1],
        explicit_bounds: vec![0.5, 1e9],
        flags: 1,
        min: Some(-1.0),
        max: Some(0.0),
        ..HistogramDataPoint::default()
    };
    Histogram { data_points: vec![point], aggregation_temporality: 1 }
}

fn exponential() -> ExponentialHistogram {
    let point = ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 300,
        sum: Some(0.0),
        scale: -10,
        zero_count: 9,
        positive: Some(Buckets { offset: -2_000_000, bucket_counts: vec![1, 300, 0] }),
        negative: Some(Buckets { offset: 7, bucket_counts: vec![] }),
        flags: 1,
        min: None,
        max: Some(3.5),
        zero_threshold: 0.25,
        ..ExponentialHistogramDataPoint::default()
    };
    ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 }
}

#[test]
fn metrics_of_every_kind_are_read_as_they_were() {
    let sum = Sum {
        data_points: vec![number(Number::AsInt(-7)), number(Number::AsDouble(0.1))],
        aggregation_temporality: 2,
        is_monotonic: true,
    };
    let kinds = [
        Data::Gauge(Gauge { data_points: vec![number(Number::AsInt(i64::MAX))] }),
        Data::Sum(sum),
        Data::Histogram(histogram()),
        Data::ExponentialHistogram(exponential()),
    ];
    let metrics = kinds.map(|data| Metric {
        name: "name".into(),
        description: "what".into(),
        unit: "s".into(),
        data: Some(data),
        ..Metric::default()
    });
    let scope_metrics =
        ScopeMetrics { scope: Some(scope()), metrics: metrics.to_vec(), schema_url: "s".into() };
    let resource_metrics = ResourceMetrics {
        resource: Some(resource()),
        scope_metrics: vec![scope_metrics],
        schema_url: "r".into(),
    };
    assert_reads_back(&METRICS, &ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] });
}

#[test]
fn numbers_that_json_lacks_are_texts() {
    let reals = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    assert_eq!(reals.map(double), ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "-0.0"]);
}

#[test]
fn partial_success_is_read_from_texts_and_numbers() {
    let read = |text: &str| partial_success(text.as_bytes());
    assert_eq!(read(r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}"#), (2, "x".to_owned()));
    assert_eq!(read(r#"{"partialSuccess":{"rejectedLogRecords":3}}"#), (3, String::new()));
    assert_eq!(read(r#"{"partialSuccess":{"rejectedDataPoints":-1}}"#), (0, String::new()));
    for nothing in ["", "{}", "[]", "null", r#"{"partialSuccess":null}"#] {
        assert_eq!(read(nothing), (0, String::new()), "{nothing}");
    }
}
