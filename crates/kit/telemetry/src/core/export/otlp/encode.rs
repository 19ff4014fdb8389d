//! Signals as OTLP messages, and how a receiver says that it refused a part.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::{Attributes, ResourceAttributesWithSchema};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::finished::FinishedLog;

/// How one signal is written and answered.
pub(crate) struct Signal<T> {
    /// Appended to the base address over HTTP.
    pub(crate) path: &'static str,
    /// The gRPC method.
    pub(crate) method: &'static str,
    pub(crate) encode: fn(Vec<T>, &ResourceAttributesWithSchema) -> Vec<u8>,
    /// How many items an answer says were refused, and why.
    pub(crate) rejected: fn(Bytes) -> (u64, String),
}

/// Spans.
pub(crate) static TRACES: Signal<SpanData> = Signal {
    path: "/v1/traces",
    method: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    encode: |spans, resource| {
        let resource_spans = group_spans_by_resource_and_scope(spans, resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    },
    rejected: |answer| {
        let partial =
            ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        partial.map(|partial| (count(partial.rejected_spans), partial.error_message)).unwrap_or_default()
    },
};

/// Metrics; a batch is a list of whole readings.
pub(crate) static METRICS: Signal<ResourceMetrics> = Signal {
    path: "/v1/metrics",
    method: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    encode: |readings, _| {
        let readings = readings.iter().map(ExportMetricsServiceRequest::from);
        let resource_metrics = readings.flat_map(|request| request.resource_metrics).collect();
        ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
    },
    rejected: |answer| {
        let partial =
            ExportMetricsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        partial
            .map(|partial| (count(partial.rejected_data_points), partial.error_message))
            .unwrap_or_default()
    },
};

/// Log records.
pub(crate) static LOGS: Signal<FinishedLog> = Signal {
    path: "/v1/logs",
    method: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    encode: |records, resource| {
        ExportLogsServiceRequest { resource_logs: vec![resource_logs(records, resource)] }.encode_to_vec()
    },
    rejected: |answer| {
        let partial =
            ExportLogsServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
        partial
            .map(|partial| (count(partial.rejected_log_records), partial.error_message))
            .unwrap_or_default()
    },
};

fn count(rejected: i64) -> u64 {
    u64::try_from(rejected).unwrap_or(0)
}

/// One scope for each target, as other OpenTelemetry log bridges do.
fn resource_logs(mut records: Vec<FinishedLog>, resource: &ResourceAttributesWithSchema) -> ResourceLogs {
    let mut scope_logs: Vec<ScopeLogs> = Vec::new();
    records.sort_by(|a, b| a.target.cmp(&b.target));
    for record in records {
        let name = record.target();
        if scope_logs.last().and_then(|scope| scope.scope.as_ref()).is_none_or(|scope| scope.name != name) {
            let scope = InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() };
            scope_logs.push(ScopeLogs { scope: Some(scope), ..ScopeLogs::default() });
        }
        if let Some(scope) = scope_logs.last_mut() {
            scope.log_records.push(log_record(record));
        }
    }
    let resource = Resource { attributes: resource.attributes.0.clone(), ..Resource::default() };
    ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }
}

fn log_record(record: FinishedLog) -> LogRecord {
    let time_unix_nano = nanoseconds(record.time);
    let span = Some(&record.span).filter(|span| span.is_valid());
    LogRecord {
        time_unix_nano,
        observed_time_unix_nano: time_unix_nano,
        severity_number: record.severity as i32,
        severity_text: record.severity.name().to_owned(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(record.body)) }),
        trace_id: span.map(|span| span.trace_id().to_bytes().to_vec()).unwrap_or_default(),
        span_id: span.map(|span| span.span_id().to_bytes().to_vec()).unwrap_or_default(),
        flags: span.map(|span| span.trace_flags().to_u8().into()).unwrap_or_default(),
        attributes: Attributes::from(record.attributes).0,
        ..LogRecord::default()
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
