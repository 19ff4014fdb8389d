//! Jaeger's JSON API: the paths below `/api` that its UI and Grafana use.

use super::{
    envelope::{self, Problem, Reply},
    legacy_parameters,
    metrics::{self, Figure},
    ui,
};
use crate::{
    answer::Written,
    dependencies,
    error::Error,
    load::{self, Loaded, Room},
    parameters::Parameters,
    reads::Reads,
    trace_id,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, RawQuery, State, rejection::BytesRejection},
    routing::{get, post},
};
use bytes::Bytes;
use serde::{Serialize, de::IgnoredAny};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    future::Future,
};
use waypost_trace_model::{Batch, Kind, Limits, Text, Trace, TraceId, TraceLosses, otlp::traces_from_json};
use waypost_trace_store::{TraceStore, now};

/// The largest body of `POST /api/transform`.
const MAX_BYTES: usize = 64 << 20;

pub(super) fn routes() -> Router<Reads> {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operation_names))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(links))
        .route("/api/transform", post(transform).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .route("/api/archive/{id}", post(archive))
        .route("/api/metrics/minstep", get(least_step))
        .route("/api/metrics/latencies", get(latencies))
        .route("/api/metrics/calls", get(calls))
        .route("/api/metrics/errors", get(errors))
}

/// Reads the parameters, waits for the answer, and says how it is to be written.
async fn reply<F>(reads: &Reads, query: Option<String>, answer: impl FnOnce(Parameters) -> F) -> Reply
where
    F: Future<Output = Result<Written, Error>>,
{
    let parameters = Parameters::parse(query.as_deref());
    let is_pretty = parameters.text("prettyPrint").is_some_and(|value| value != "false");
    match answer(parameters).await {
        Ok(written) if is_pretty => Reply(envelope::pretty(reads, written).await),
        result => Reply(result),
    }
}

async fn services(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    reply(&reads, query, async |_| reads.ask(|store| envelope::counted(&store.statistics().services())).await)
        .await
}

async fn operation_names(
    State(reads): State<Reads>,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let names = move |store: &dyn TraceStore| {
        let mut operations = store.statistics().operations(&service);
        if operations.is_empty() {
            // Some clients escape the name once more.
            let decoded = form_urlencoded::parse(service.as_bytes()).map(|(name, _)| name).next();
            operations = store.statistics().operations(&decoded.unwrap_or_default());
        }
        let names: BTreeSet<Text> = operations.into_iter().map(|(name, _)| name).collect();
        envelope::counted(&Vec::from_iter(names))
    };
    reply(&reads, query, async |_| reads.ask(names).await).await
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: Text,
    /// Empty when nothing was said.
    span_kind: &'static str,
}

async fn operations(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    let answer = async |parameters: Parameters| {
        let service = parameters
            .text("service")
            .ok_or_else(|| Error::parameter("service", "it is required"))?
            .to_owned();
        let wanted = parameters.text("spanKind").unwrap_or_default().to_lowercase();
        let list = move |store: &dyn TraceStore| {
            let all = store.statistics().operations(&service).into_iter();
            let all = all.map(|(name, kind)| Operation { name, span_kind: kind_name(kind) });
            let wanted: Vec<Operation> =
                all.filter(|operation| wanted.is_empty() || operation.span_kind == wanted).collect();
            envelope::counted(&wanted)
        };
        reads.ask(list).await
    };
    reply(&reads, query, answer).await
}

/// A kind's name; empty when nothing was said.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    if kind == Kind::Unspecified { "" } else { kind.name() }
}

async fn search(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    let answer = async |parameters: Parameters| {
        let asked = legacy_parameters::traces(&parameters, now())?;
        let is_raw = asked.is_raw;
        if asked.ids.is_empty() {
            let search = asked.conditions.search()?;
            let list = move |store: &dyn TraceStore| {
                let hits = search.run(store)?;
                let notes = hits.notes.into_iter().map(Problem::note).collect();
                several(store, &hits.traces, is_raw, notes)
            };
            reads.ask(list).await
        } else {
            reads.ask(move |store| by_ids(store, &asked.ids, is_raw)).await
        }
    };
    reply(&reads, query, answer).await
}

/// Traces by their ids; those that are not kept are named among the errors.
fn by_ids(store: &dyn TraceStore, ids: &[TraceId], is_raw: bool) -> Result<Written, Error> {
    let mut seen = HashSet::new();
    let ids: Vec<TraceId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
    let kept: HashSet<TraceId> = store.summaries(&ids)?.into_iter().map(|summary| summary.id).collect();
    let missing = ids.iter().filter(|id| !kept.contains(id)).map(|id| Problem::not_found(*id)).collect();
    several(store, &ids, is_raw, missing)
}

fn several(
    store: &dyn TraceStore,
    ids: &[TraceId],
    is_raw: bool,
    mut problems: Vec<Problem>,
) -> Result<Written, Error> {
    let mut traces = Vec::new();
    let left_out = load::traces(store, ids, &mut Room::new(), |loaded| {
        traces.push(ui::write(&loaded, is_raw)?);
        Ok(())
    })?;
    problems.extend(left_out.map(Problem::note));
    envelope::written(&traces, problems)
}

async fn trace(State(reads): State<Reads>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Reply {
    let answer = async |parameters: Parameters| {
        let id = trace_id::hex_or_base64("traceID", &id)?;
        let is_raw = legacy_parameters::trace(&parameters)?;
        let one = move |store: &dyn TraceStore| {
            envelope::written(&[ui::write(&load::trace(store, id)?, is_raw)?], Vec::new())
        };
        reads.ask(one).await
    };
    reply(&reads, query, answer).await
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    parent: Text,
    child: Text,
    call_count: u64,
}

async fn links(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    let answer = async |parameters: Parameters| {
        let window = legacy_parameters::window(&parameters, now())?;
        let service = parameters.text("service").map(str::to_owned);
        let list = move |store: &dyn TraceStore| {
            let is_wanted = |name: &Text| service.as_deref().is_none_or(|wanted| wanted == &**name);
            let links = dependencies::of_services(store, window).into_iter();
            let links = links.filter(|link| is_wanted(&link.parent) || is_wanted(&link.child));
            let links =
                links.map(|link| Link { parent: link.parent, child: link.child, call_count: link.calls });
            envelope::uncounted(links.collect::<Vec<_>>(), Vec::new())
        };
        reads.ask(list).await
    };
    reply(&reads, query, answer).await
}

/// OTLP JSON into the JSON of the UI; nothing is kept.
async fn transform(
    State(reads): State<Reads>,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let answer = async |_| {
        let body = body
            .map_err(|refused| Error::UnreadBody { status: refused.status(), reason: refused.body_text() })?;
        let write = move |_: &dyn TraceStore| {
            let mut batch = Batch::default();
            for document in documents(&body)? {
                let read = traces_from_json(document, &Limits::default())
                    .map_err(|error| Error::Body(error.to_string()))?;
                batch.spans.extend(read.spans);
                batch.refused.extend(read.refused);
            }
            drop(body);
            transformed(batch)
        };
        reads.ask(write).await
    };
    reply(&reads, query, answer).await
}

/// The documents of a body: one, or one a line, as the OpenTelemetry Collector's file exporter writes them.
fn documents(body: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<IgnoredAny>();
    let mut documents = Vec::new();
    let mut from = 0;
    while let Some(read) = stream.next() {
        read.map_err(|error| Error::Body(error.to_string()))?;
        let to = stream.byte_offset();
        documents.push(body.get(from..to).unwrap_or_default());
        from = to;
    }
    Ok(documents)
}

fn transformed(batch: Batch) -> Result<Written, Error> {
    let refused = batch.refused.into_iter();
    let notes = refused.map(|refusal| {
        Problem::note(format!("spans that were refused ({}): {}", refusal.reason.name(), refusal.spans))
    });
    let notes = notes.collect();
    let mut places: HashMap<TraceId, usize> = HashMap::new();
    let mut traces: Vec<Loaded> = Vec::new();
    for span in batch.spans {
        let place = *places.entry(span.trace_id).or_insert(traces.len());
        if place == traces.len() {
            let trace = Trace {
                id: span.trace_id,
                spans: Vec::new(),
                logs: Vec::new(),
                losses: TraceLosses::default(),
            };
            traces.push(Loaded { trace, cut: None });
        }
        if let Some(loaded) = traces.get_mut(place) {
            loaded.trace.spans.push(span);
        }
    }
    let written = traces.iter().map(|loaded| ui::write(loaded, true)).collect::<Result<Vec<_>, _>>()?;
    envelope::written(&written, notes)
}

async fn archive(State(reads): State<Reads>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Reply {
    let answer = async |parameters: Parameters| {
        trace_id::hex_or_base64("traceID", &id)?;
        legacy_parameters::trace(&parameters)?;
        Err(Error::NoArchive)
    };
    reply(&reads, query, answer).await
}

/// The narrowest step of figures, in milliseconds.
async fn least_step(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    reply(&reads, query, async |_| envelope::uncounted(metrics::LEAST_STEP / 1_000_000, Vec::new())).await
}

async fn latencies(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    figures(Figure::Latency, &reads, query).await
}

async fn calls(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    figures(Figure::Calls, &reads, query).await
}

async fn errors(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Reply {
    figures(Figure::Errors, &reads, query).await
}

async fn figures(figure: Figure, reads: &Reads, query: Option<String>) -> Reply {
    let answer = async |parameters: Parameters| {
        let now = now();
        let asked = metrics::asked(figure, &parameters, now)?;
        let write = move |store: &dyn TraceStore| {
            Written::new(&metrics::family(store.statistics(), &asked, now)?, Vec::new())
        };
        reads.ask(write).await
    };
    reply(reads, query, answer).await
}
