//! `POST /traces` and `GET /traces/{id}/otlp`: whole traces in, as files have them, and out as OTLP JSON.
//!
//! What the export gives, the import takes: on an empty viewer the trace is the same again. The export is encoded a part
//! at a time while it is sent, so that a large trace is not held twice.

use super::{Api, NoParameters, Path, document};
use crate::{problem::Problem, reads::json};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use http_body_util::LengthLimitError;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io,
    sync::Arc,
};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking, time::timeout};
use waypost_trace_intake::Refused;
use waypost_trace_model::{Limits, RefusalReason, Trace, TraceId, otlp};
use waypost_trace_store::Receipt;

/// Records of an export that are encoded at a time.
const RECORDS_AT_A_TIME: usize = 1000;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(super) struct Imported {
    #[cfg_attr(test, ts(type = "Array<TraceId>"))]
    trace_ids: BTreeSet<TraceId>,
    spans: u64,
    logs: u64,
    #[cfg_attr(test, ts(type = "Partial<Record<RefusalReason, number>>"))]
    refused: BTreeMap<RefusalReason, u64>,
}

pub(super) async fn import(
    State(api): State<Api>,
    _: NoParameters,
    request: Request,
) -> Result<Response, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::media_type("application/json"));
    }
    let _turn = turn(&api)?;
    let body = timeout(api.import_time, to_bytes(request.into_body(), api.import_size)).await;
    let body = body.map_err(|_| Problem::body_timeout())?.map_err(|error| {
        let is_too_large = error.source().is_some_and(<dyn Error>::is::<LengthLimitError>);
        if is_too_large { Problem::too_large(api.import_size) } else { Problem::body("the body ended early") }
    })?;
    // Everything that fits the body is taken at once; what bounds a record bounds it here too.
    let limits = Limits { records: usize::MAX, ..api.record_limits.clone() };
    let decoded = spawn_blocking(move || document::decode(&body, &limits)).await;
    let batch = decoded.map_err(|_| Problem::internal())??;
    let trace_ids = batch.spans.iter().map(|span| span.trace_id).collect();
    let mut refused: BTreeMap<RefusalReason, u64> = BTreeMap::new();
    for refusal in &batch.refused {
        *refused.entry(refusal.reason).or_default() += refusal.spans + refusal.logs;
    }
    let sent = batch.spans.len() as u64;
    let receipt = api.intake.take(batch).await.map_err(|refused| not_kept(&refused))?;
    let Receipt { spans, logs, trace_limit, is_repeat } = receipt;
    if trace_limit > 0 {
        refused.insert(RefusalReason::TraceLimit, trace_limit);
    }
    if is_repeat {
        refused.insert(RefusalReason::Repeated, sent);
    }
    let answer = Imported { trace_ids, spans, logs, refused };
    let body = serde_json::to_vec(&answer).map_err(|_| Problem::internal())?;
    Ok(json(body.into()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|content_type| content_type.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

fn turn(api: &Api) -> Result<OwnedSemaphorePermit, Problem> {
    let turn = Arc::clone(&api.transfers).try_acquire_owned();
    turn.map_err(|_| Problem::busy("too many imports and exports at once; try again after a moment"))
}

fn not_kept(refused: &Refused) -> Problem {
    tracing::warn!(error = %refused, "an import was not kept");
    Problem::unavailable(format!("nothing of it was kept: {}", refused.told()))
}

pub(super) async fn export(State(api): State<Api>, path: Path, _: NoParameters) -> Result<Response, Problem> {
    let id = path.trace()?;
    let turn = turn(&api)?;
    let read = move |store: &dyn waypost_trace_store::TraceStore| {
        let trace = store.traces(&[id])?.pop();
        trace.ok_or_else(|| Problem::not_found(format!("trace {id} is not kept here")))
    };
    let export = Export { trace: Arc::new(api.reads.run(read).await?), part: Part::Spans(0), _turn: turn };
    let parts = stream::try_unfold(export, async |export| {
        spawn_blocking(|| export.next()).await.map_err(io::Error::other)
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"trace-{id}.json\"")),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// A trace on its way out.
struct Export {
    trace: Arc<Trace>,
    part: Part,
    _turn: OwnedSemaphorePermit,
}

/// What is written next: records from this place on.
#[derive(Clone, Copy)]
enum Part {
    Spans(usize),
    Logs(usize),
    Closing,
    End,
}

impl Export {
    /// The next bytes of the document, and the rest.
    fn next(mut self) -> Option<(Bytes, Export)> {
        let trace = &self.trace;
        let (bytes, part) = match self.part {
            Part::Spans(from) => {
                let until = (from + RECORDS_AT_A_TIME).min(trace.spans.len());
                let spans = trace.spans.get(from..until).unwrap_or_default();
                let opening = if from == 0 { "{\"resourceSpans\":[" } else { "," };
                let bytes = elements(opening, otlp::traces_to_json(spans), "resourceSpans");
                (bytes, if until < trace.spans.len() { Part::Spans(until) } else { Part::Logs(0) })
            }
            Part::Logs(from) => {
                let until = (from + RECORDS_AT_A_TIME).min(trace.logs.len());
                let logs = trace.logs.get(from..until).unwrap_or_default();
                let opening = if from == 0 { "],\"resourceLogs\":[" } else { "," };
                let bytes = elements(opening, otlp::logs_to_json(logs), "resourceLogs");
                (bytes, if until < trace.logs.len() { Part::Logs(until) } else { Part::Closing })
            }
            Part::Closing => (b"]}".to_vec(), Part::End),
            Part::End => return None,
        };
        self.part = part;
        Some((bytes.into(), self))
    }
}

/// The elements of a list in a document, to be joined to those before them.
fn elements(opening: &str, mut document: serde_json::Value, list: &str) -> Vec<u8> {
    let mut bytes = opening.as_bytes().to_vec();
    let elements = document.get_mut(list).map(serde_json::Value::take);
    for (place, element) in elements.iter().filter_map(serde_json::Value::as_array).flatten().enumerate() {
        if place > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(element.to_string().as_bytes());
    }
    bytes
}
