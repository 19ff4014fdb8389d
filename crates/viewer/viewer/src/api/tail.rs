//! `GET /tail`: spans as they come, as server-sent events.

use super::{Api, filter, parameters::Parameters, values::Decimal};
use crate::{problem::Problem, tail::Heard};
use axum::{
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use std::time::Duration;
use waypost_trace_model::{Span, SpanId, TraceId};

/// An idle connection is kept open by a comment this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TailSpan"))]
pub(super) struct SpanEvent<'a> {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    #[cfg_attr(test, ts(type = "SpanId"))]
    span_id: SpanId,
    service: &'a str,
    name: &'a str,
    #[cfg_attr(test, ts(type = "Kind"))]
    kind: &'static str,
    #[cfg_attr(test, ts(type = "StatusCode"))]
    status: &'static str,
    start: Decimal,
    duration: u64,
    is_root: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "TailMissed"))]
pub(super) struct MissedEvent {
    spans: u64,
}

pub(super) async fn tail(State(api): State<Api>, mut parameters: Parameters) -> Result<Response, Problem> {
    let filter = filter::span(&mut parameters)?;
    parameters.finish()?;
    let listener = api.tail.listen(filter)?;
    let events = stream::unfold(listener, async |mut listener| {
        let event = event(&listener.next().await?);
        Some((event, listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn event(heard: &Heard) -> Result<Event, axum::Error> {
    match heard {
        Heard::Span(span) => Event::default().event("span").json_data(span_event(span)),
        Heard::Missed(spans) => Event::default().event("missed").json_data(MissedEvent { spans: *spans }),
    }
}

fn span_event(span: &Span) -> SpanEvent<'_> {
    SpanEvent {
        trace_id: span.trace_id,
        span_id: span.span_id,
        service: span.service(),
        name: &span.name,
        kind: span.kind.name(),
        status: span.status.code.name(),
        start: Decimal(span.start),
        duration: span.duration(),
        is_root: span.parent_span_id.is_none(),
    }
}
