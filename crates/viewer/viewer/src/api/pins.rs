//! `GET /pins`, `POST /traces/{id}/pin`, `DELETE /traces/{id}/pin`: traces that retention does not take.

use super::{Api, NoParameters, Path, alerts::answer, parameters::Parameters, values::Decimal};
use crate::{
    alerts::{NoPin, Pin, PinnedBy},
    problem::Problem,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use waypost_trace_model::{Text, TraceId};

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "PinList"))]
pub(super) struct PinList {
    max_traces: usize,
    max_bytes: u64,
    bytes: u64,
    pins: Vec<PinLine>,
}

/// A pinned trace.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Pin"))]
pub(super) struct PinLine {
    #[cfg_attr(test, ts(type = "TraceId"))]
    trace_id: TraceId,
    pinned: Decimal,
    by: PinnedBy,
    reason: String,
    /// Of its root span, as the name.
    #[cfg_attr(test, ts(type = "string"))]
    service: Text,
    #[cfg_attr(test, ts(type = "string"))]
    name: Text,
    start: Decimal,
    duration: u64,
    spans: u64,
    errors: u64,
    bytes: u64,
}

impl From<Pin> for PinLine {
    fn from(pin: Pin) -> PinLine {
        PinLine {
            trace_id: pin.trace,
            pinned: Decimal(pin.created),
            by: pin.by,
            reason: pin.reason,
            service: pin.service,
            name: pin.name,
            start: Decimal(pin.start),
            duration: pin.duration,
            spans: pin.spans,
            errors: pin.errors,
            bytes: pin.bytes,
        }
    }
}

pub(super) async fn list(State(api): State<Api>, _: NoParameters) -> Result<Response, Problem> {
    let (pins, bounds) = (api.alerts.pins().list(), api.alerts.pins().bounds());
    answer(&PinList {
        max_traces: bounds.traces,
        max_bytes: bounds.bytes,
        bytes: pins.iter().map(|pin| pin.bytes).sum(),
        pins: pins.into_iter().map(PinLine::from).collect(),
    })
}

/// The pin of one trace.
pub(super) async fn get(State(api): State<Api>, path: Path, _: NoParameters) -> Result<Response, Problem> {
    let pin = api.alerts.pins().get(path.trace()?);
    answer(&PinLine::from(pin.ok_or_else(|| Problem::not_found("this trace is not pinned"))?))
}

pub(super) async fn add(
    State(api): State<Api>,
    path: Path,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let trace = path.trace()?;
    let reason = parameters.text("reason")?.unwrap_or_default();
    parameters.finish()?;
    let (pins, store) = (api.alerts.pins().clone(), Arc::clone(api.alerts.store()));
    let pinned = spawn_blocking(move || pins.add(&*store, trace, PinnedBy::Person, reason)).await;
    match pinned.map_err(|_| Problem::internal())? {
        Ok(pin) => answer(&PinLine::from(pin)),
        Err(NoPin::NotKept) => Err(Problem::not_found(format!("trace {trace} is not kept here"))),
        Err(NoPin::Unread(error)) => Err(error.into()),
        Err(why @ NoPin::Full(_)) => Err(Problem::full(why.to_string())),
        Err(NoPin::Unwritten(error)) => {
            tracing::error!(%error, "the copy of a trace cannot be written");
            Err(Problem::unavailable("the copy of the trace cannot be written; the viewer's log says why"))
        }
    }
}

pub(super) async fn remove(State(api): State<Api>, path: Path, _: NoParameters) -> Result<Response, Problem> {
    let (trace, pins) = (path.trace()?, api.alerts.pins().clone());
    match spawn_blocking(move || pins.remove(trace)).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(false) => Err(Problem::not_found("this trace is not pinned")),
        Err(_) => Err(Problem::internal()),
    }
}
