//! Log records.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use waypost_telemetry::FinishedLog;
use waypost_telemetry::opentelemetry::logs::Severity;
use waypost_telemetry::opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
use waypost_telemetry::testing::ReceivedLog;

use super::{Received, attribute, span_id, time, trace_id, twice, value};

/// The log records of a request.
pub(crate) fn logs(request: ExportLogsServiceRequest) -> Received<FinishedLog> {
    let mut all = Received::new();
    for resource_logs in request.resource_logs {
        let service_name = all.resource(resource_logs.resource);
        for scope_logs in resource_logs.scope_logs {
            let target = scope_logs.scope.map(|scope| scope.name).unwrap_or_default();
            for record in scope_logs.log_records {
                all.duplicates.extend(twice(&record.attributes).map(|key| format!("{target}: {key}")));
                all.items.push(received(record, &service_name, &target).into());
            }
        }
    }
    all
}

fn received(record: LogRecord, service_name: &str, target: &str) -> ReceivedLog {
    let flags = TraceFlags::new(u8::try_from(record.flags & 0xff).unwrap_or_default());
    let (trace, span) = (trace_id(&record.trace_id), span_id(&record.span_id));
    ReceivedLog {
        service_name: service_name.to_owned(),
        time: time(record.time_unix_nano),
        severity: severity(record.severity_number),
        target: target.to_owned(),
        body: value(record.body).to_string(),
        attributes: record.attributes.into_iter().map(attribute).collect(),
        span: SpanContext::new(trace, span, flags, false, TraceState::NONE),
    }
}

/// The first of the four numbers of a level stands for all of them.
fn severity(number: i32) -> Severity {
    match number {
        ..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9..=12 => Severity::Info,
        13..=16 => Severity::Warn,
        17..=20 => Severity::Error,
        21.. => Severity::Fatal,
    }
}
