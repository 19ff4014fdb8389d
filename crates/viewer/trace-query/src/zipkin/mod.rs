//! Zipkin's v2 query API: bare arrays, and errors as plain text.

mod find;
mod parameters;

use crate::{
    answer::{Written, bytes, with_status},
    dependencies,
    error::Error,
    load::{self, Loaded, Room},
    parameters::Parameters,
    reads::Reads,
    trace_id,
};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use waypost_trace_model::{Text, zipkin::spans_to_json};
use waypost_trace_statistics::{AttributeScope, Suggestions};
use waypost_trace_store::{TraceStore, now};

/// The most names in one answer.
const MAX_NAMES: usize = 500;

/// Spans that are JSON values at once, before they are text.
const SPANS_AT_ONCE: usize = 2_000;

pub(crate) fn router(reads: Reads) -> Router {
    Router::new()
        .route("/api/v2/services", get(services))
        .route("/api/v2/spans", get(span_names))
        .route("/api/v2/remoteServices", get(remote_services))
        .route("/api/v2/traces", get(search))
        .route("/api/v2/trace/{id}", get(trace))
        .route("/api/v2/traceMany", get(trace_many))
        .route("/api/v2/dependencies", get(links))
        .route("/api/v2/autocompleteKeys", get(keys))
        .route("/api/v2/autocompleteValues", get(values))
        .with_state(reads)
}

/// An error of Zipkin: its message, as text.
#[derive(Debug)]
struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        with_status(&self.0, self.0.to_string().into_response())
    }
}

async fn services(State(reads): State<Reads>) -> Result<Written, Refused> {
    let list = |store: &dyn TraceStore| {
        Written::new(&BTreeSet::from_iter(store.statistics().services()), Vec::new())
    };
    Ok(reads.ask(list).await?)
}

async fn span_names(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let service = required(query.as_deref(), "serviceName")?;
    let list = move |store: &dyn TraceStore| {
        let operations = store.statistics().operations(&service).into_iter();
        Written::new(&operations.map(|(name, _)| name).collect::<BTreeSet<Text>>(), Vec::new())
    };
    Ok(reads.ask(list).await?)
}

/// Attributes that name the other side of a call, as [`spans_to_json`] reads them.
const REMOTE: [&str; 7] = [
    "peer.service",
    "server.address",
    "net.peer.name",
    "server.socket.domain",
    "net.sock.peer.name",
    "peer.hostname",
    "db.name",
];

/// Names of the other side by which [`search`] finds traces: nobody keeps them for each service, so those of all
/// services are given.
async fn remote_services(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let service = required(query.as_deref(), "serviceName")?;
    let list = move |store: &dyn TraceStore| {
        let statistics = store.statistics();
        let mut all = Suggestions::default();
        if statistics.services().iter().any(|known| **known == *service) {
            for key in REMOTE {
                let some = statistics.values(Some(AttributeScope::Span), key, "", MAX_NAMES);
                all.names.extend(some.names);
                all.is_partial |= some.is_partial;
            }
        }
        names(all)
    };
    Ok(reads.ask(list).await?)
}

async fn search(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let asked = parameters::traces(&Parameters::parse(query.as_deref()), now())?;
    Ok(reads.ask(move |store| find::run(store, &asked)).await?)
}

async fn trace(State(reads): State<Reads>, Path(id): Path<String>) -> Result<Written, Response> {
    let refused = |error: Error| Refused(error).into_response();
    let id = parameters::id("traceId", &id).map_err(refused)?;
    let one = move |store: &dyn TraceStore| {
        let loaded = load::trace(store, id)?;
        let notes = Vec::from_iter(loaded.cut.clone());
        Ok(Written { body: write(&loaded, |_| ())?, notes })
    };
    match reads.ask(one).await {
        Err(error @ Error::TraceNotFound) => {
            Err(with_status(&error, format!("{} not found", trace_id::short(id)).into_response()))
        }
        other => other.map_err(refused),
    }
}

async fn trace_many(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let ids = parameters::ids(&required(query.as_deref(), "traceIds")?)?;
    let list = move |store: &dyn TraceStore| {
        let mut traces = Vec::new();
        let left_out = load::traces(store, &ids, &mut Room::new(), |loaded| {
            traces.push(write(&loaded, |_| ())?);
            Ok(())
        })?;
        Ok(Written::list("[", &traces, "]", Vec::from_iter(left_out)))
    };
    Ok(reads.ask(list).await?)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    parent: Text,
    child: Text,
    call_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_count: Option<u64>,
}

async fn links(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let window = parameters::window(&Parameters::parse(query.as_deref()))?;
    let list = move |store: &dyn TraceStore| {
        let links = dependencies::of_everything(store, window).into_iter();
        let links = links.map(|link| Link {
            parent: link.parent,
            child: link.child,
            call_count: link.calls,
            error_count: Some(link.errors).filter(|errors| *errors > 0),
        });
        Written::new(&links.collect::<Vec<_>>(), Vec::new())
    };
    Ok(reads.ask(list).await?)
}

async fn keys(State(reads): State<Reads>) -> Result<Written, Refused> {
    Ok(reads.ask(|store| names(store.statistics().keys(Some(AttributeScope::Span), "", MAX_NAMES))).await?)
}

async fn values(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let key = required(query.as_deref(), "key")?;
    let list = move |store: &dyn TraceStore| {
        names(store.statistics().values(Some(AttributeScope::Span), &key, "", MAX_NAMES))
    };
    Ok(reads.ask(list).await?)
}

/// Names in their order, as Zipkin gives them.
fn names(suggestions: Suggestions) -> Result<Written, Error> {
    let notes = suggestions.is_partial.then(|| "there are more names than are given".to_owned());
    Written::new(&BTreeSet::from_iter(suggestions.names), Vec::from_iter(notes))
}

fn required(query: Option<&str>, name: &'static str) -> Result<String, Error> {
    let parameters = Parameters::parse(query);
    parameters.text(name).map(str::to_owned).ok_or_else(|| Error::parameter(name, "it is required"))
}

/// Writes a trace as a list of spans, and calls `each` with each of them.
fn write(loaded: &Loaded, mut each: impl FnMut(&Json)) -> Result<Vec<u8>, Error> {
    let mut parts = Vec::new();
    for spans in loaded.trace.spans.chunks(SPANS_AT_ONCE) {
        let json = spans_to_json(spans);
        for span in json.as_array().map_or(&[][..], Vec::as_slice) {
            each(span);
            parts.push(bytes(span)?);
        }
    }
    Ok(Written::list("[", &parts, "]", Vec::new()).body)
}

/// A text within a JSON object.
fn text<'a>(object: &'a Json, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}
