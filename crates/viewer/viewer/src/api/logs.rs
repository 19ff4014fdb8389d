//! `GET /logs` and `GET /traces/{id}/logs`: log records by time, those without a trace too.

use super::{
    Api, Path,
    parameters::Parameters,
    values::{Attributes, Decimal, Plain, type_name},
};
use crate::problem::Problem;
use axum::{extract::State, response::Response};
use serde::{Serialize, Serializer};
use waypost_trace_model::{LogRecord, SpanId, TraceId};
use waypost_trace_store::{Cursor, FoundLogs, LogQuery};

/// Records in one answer.
const MAX: usize = 1000;

/// The least of OTLP's numbers of each severity.
const SEVERITIES: [(&str, u8); 6] =
    [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)];

const ORDERS: [(&str, bool); 2] = [("newest", true), ("oldest", false)];

/// A page of records.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "LogPage"))]
pub(super) struct Page<'a> {
    logs: Vec<LogDetails<'a>>,
    next: Option<&'a str>,
    scanned_to: Option<Decimal>,
}

/// What was found; borrowed from while it is written.
struct Answer(FoundLogs);

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FoundLogs { logs, next, scanned_to } = &self.0;
        let page = Page {
            logs: logs.iter().map(LogDetails::of).collect(),
            next: next.as_ref().map(|cursor| &*cursor.0),
            scanned_to: scanned_to.map(Decimal),
        };
        page.serialize(serializer)
    }
}

/// A log record with everything that is known of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct LogDetails<'a> {
    time: Decimal,
    observed: Decimal,
    severity: u8,
    severity_text: &'a str,
    #[cfg_attr(test, ts(type = "TypedValue[\"value\"]"))]
    body: Plain<'a>,
    #[cfg_attr(test, ts(type = "TypedValue[\"type\"]"))]
    body_type: &'static str,
    event_name: &'a str,
    #[cfg_attr(test, ts(type = "Array<Attribute>"))]
    attributes: Attributes<'a>,
    dropped_attributes: u32,
    #[cfg_attr(test, ts(type = "TraceId | null"))]
    trace_id: Option<TraceId>,
    #[cfg_attr(test, ts(type = "SpanId | null"))]
    span_id: Option<SpanId>,
    service: &'a str,
    scope: &'a str,
}

impl<'a> LogDetails<'a> {
    pub(super) fn of(log: &'a LogRecord) -> LogDetails<'a> {
        LogDetails {
            time: Decimal(log.time),
            observed: Decimal(log.observed),
            severity: log.severity,
            severity_text: &log.severity_text,
            body: Plain(&log.body),
            body_type: type_name(&log.body),
            event_name: &log.event_name,
            attributes: Attributes(&log.attributes),
            dropped_attributes: log.dropped_attributes,
            trace_id: log.trace_id,
            span_id: log.span_id,
            service: &log.resource.service,
            scope: &log.scope.name,
        }
    }
}

/// Takes what both endpoints know.
fn query(parameters: &mut Parameters, newest_first: bool) -> Result<LogQuery, Problem> {
    let (from, to) = parameters.times()?;
    Ok(LogQuery {
        range: from.unwrap_or(0)..=to.unwrap_or(u64::MAX),
        severity: parameters.choice("severity", &SEVERITIES)?.unwrap_or(0),
        text: parameters.text("text")?,
        newest_first: parameters.choice("order", &ORDERS)?.unwrap_or(newest_first),
        limit: parameters.count("limit", 100, 1..=MAX)?,
        after: parameters.text("after")?.map(Cursor),
        ..LogQuery::default()
    })
}

pub(super) async fn logs(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let mut query = query(&mut parameters, true)?;
    query.service = parameters.text("service")?.map(Into::into);
    parameters.finish()?;
    api.reads.answer(move |store| Ok(Answer(store.logs(&query)?))).await
}

pub(super) async fn of_trace(
    State(api): State<Api>,
    path: Path,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let mut query = query(&mut parameters, false)?;
    query.trace = Some(path.trace()?);
    query.service = parameters.text("service")?.map(Into::into);
    parameters.finish()?;
    api.reads.answer(move |store| Ok(Answer(store.logs(&query)?))).await
}
