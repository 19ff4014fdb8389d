//! Jaeger's api_v3 over HTTP: OTLP JSON, as received.

use super::{legacy::kind_name, v3_parameters};
use crate::{
    answer::{Written, bytes, json, with_status},
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
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json as object};
use waypost_trace_model::{
    Attribute, Kind, Resource, Text, TraceId, TraceSummary, Value, otlp::traces_to_json,
};
use waypost_trace_store::TraceStore;

/// Spans that are JSON values at once, before they are text.
const SPANS_AT_ONCE: usize = 2_000;

/// The attribute in which Jaeger puts its warnings about a span.
const WARNINGS: Text = Text::from_static("@jaeger@warnings");

pub(super) fn routes() -> Router<Reads> {
    Router::new()
        .route("/api/v3/services", get(services))
        .route("/api/v3/operations", get(operations))
        .route("/api/v3/traces", get(search))
        .route("/api/v3/traces/{id}", get(trace))
        .route("/api/v3/trace-summaries", get(summaries))
        .route("/api/v3/dependencies", get(links))
}

/// An error of api_v3.
#[derive(Debug)]
struct Refused(Error);

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused(error)
    }
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorDetails {
    http_code: u16,
    message: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused(error) = self;
        let message = match &error {
            Error::TraceNotFound => "No traces found".to_owned(),
            other => other.to_string(),
        };
        let body = ErrorBody { error: ErrorDetails { http_code: error.status().as_u16(), message } };
        with_status(&error, json(error.status(), bytes(&body).unwrap_or_default()))
    }
}

#[derive(Debug, Serialize)]
struct Services {
    services: Vec<Text>,
}

async fn services(State(reads): State<Reads>) -> Result<Written, Refused> {
    let list = |store: &dyn TraceStore| {
        Written::new(&Services { services: store.statistics().services() }, Vec::new())
    };
    Ok(reads.ask(list).await?)
}

#[derive(Debug, Serialize)]
struct Operations {
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: Text,
    span_kind: &'static str,
}

async fn operations(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let parameters = Parameters::parse(query.as_deref());
    let service =
        parameters.text("service").ok_or_else(|| Error::parameter("service", "it is required"))?.to_owned();
    let wanted = parameters.any_of(&["spanKind", "span_kind"]).map(|(_, value)| value.to_lowercase());
    let list = move |store: &dyn TraceStore| {
        let all = store.statistics().operations(&service).into_iter();
        let all = all.filter(|(_, kind)| wanted.as_deref().is_none_or(|wanted| wanted == kind_name(*kind)));
        // As in Jaeger, what has no kind is called internal.
        let shown = |kind| if kind == Kind::Unspecified { Kind::Internal.name() } else { kind_name(kind) };
        let operations = all.map(|(name, kind)| Operation { name, span_kind: shown(kind) }).collect();
        Written::new(&Operations { operations }, Vec::new())
    };
    Ok(reads.ask(list).await?)
}

async fn search(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let search = v3_parameters::traces(&Parameters::parse(query.as_deref()))?.search()?;
    let list = move |store: &dyn TraceStore| {
        let hits = search.run(store)?;
        let mut parts = Vec::new();
        let left_out =
            load::traces(store, &hits.traces, &mut Room::new(), |loaded| write(loaded, &mut parts))?;
        if parts.is_empty() {
            return Err(Error::TraceNotFound);
        }
        Ok(result(&parts, hits.notes.into_iter().chain(left_out).collect()))
    };
    Ok(reads.ask(list).await?)
}

async fn trace(
    State(reads): State<Reads>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Written, Refused> {
    let id = trace_id::hex_or_base64("trace_id", &id)?;
    v3_parameters::trace(&Parameters::parse(query.as_deref()))?;
    let one = move |store: &dyn TraceStore| {
        let loaded = load::trace(store, id)?;
        let notes = Vec::from_iter(loaded.cut.clone());
        let mut parts = Vec::new();
        write(loaded, &mut parts)?;
        Ok(result(&parts, notes))
    };
    Ok(reads.ask(one).await?)
}

fn result(parts: &[Vec<u8>], notes: Vec<String>) -> Written {
    Written::list(r#"{"result":{"resourceSpans":["#, parts, "]}}", notes)
}

/// Writes a trace's `resourceSpans`. When it was cut, its first span says so.
fn write(mut loaded: Loaded, parts: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    if let (Some(cut), Some(first)) = (loaded.cut, loaded.trace.spans.first_mut()) {
        let warnings = Value::Array([Value::Text(Text::from(cut))].into());
        first.attributes.push(Attribute { key: WARNINGS, value: warnings });
    }
    for spans in loaded.trace.spans.chunks(SPANS_AT_ONCE) {
        let mut json = traces_to_json(spans);
        let Some(resources) = json.get_mut("resourceSpans").and_then(Json::as_array_mut) else {
            return Err(Error::Failed);
        };
        for resource in resources {
            name_service(resource);
            parts.push(bytes(resource)?);
        }
    }
    Ok(())
}

/// Gives a resource without a name the one under which its service is listed, so that both can be put together.
fn name_service(group: &mut Json) {
    let Some(resource) = group.get_mut("resource").and_then(Json::as_object_mut) else { return };
    let attributes = resource.entry("attributes").or_insert_with(|| Json::Array(Vec::new()));
    let Some(attributes) = attributes.as_array_mut() else { return };
    let is_name = |attribute: &Json| attribute.get("key").is_some_and(|key| key == "service.name");
    let is_named = |attribute: &Json| attribute.pointer("/value/stringValue").is_none_or(|name| name != "");
    if !attributes.iter().any(|attribute| is_name(attribute) && is_named(attribute)) {
        attributes.retain(|attribute| !is_name(attribute));
        attributes
            .push(object!({"key": "service.name", "value": {"stringValue": Resource::UNKNOWN_SERVICE}}));
    }
}

/// As in Jaeger, what is zero or empty is left out of a summary.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    trace_id: TraceId,
    #[serde(skip_serializing_if = "str::is_empty")]
    root_service_name: Text,
    #[serde(skip_serializing_if = "str::is_empty")]
    root_operation_name: Text,
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    min_start_time_unix_nano: u64,
    #[serde(serialize_with = "as_text", skip_serializing_if = "is_zero")]
    max_end_time_unix_nano: u64,
    #[serde(skip_serializing_if = "is_zero")]
    span_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    error_span_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    orphan_span_count: u64,
    services: Vec<ServiceSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSummary {
    name: Text,
    #[serde(skip_serializing_if = "is_zero")]
    span_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    error_span_count: u64,
}

#[derive(Debug, Serialize)]
struct Summaries {
    summaries: Vec<Summary>,
}

impl From<TraceSummary> for Summary {
    fn from(summary: TraceSummary) -> Summary {
        // A span whose parent is missing is no root here.
        let (service, operation) =
            if summary.root.is_root { (summary.root.service, summary.root.name) } else { Default::default() };
        let services = summary.services.into_iter();
        let services = services.map(|service| ServiceSummary {
            name: service.name,
            span_count: service.spans,
            error_span_count: service.errors,
        });
        Summary {
            trace_id: summary.id,
            root_service_name: service,
            root_operation_name: operation,
            min_start_time_unix_nano: summary.start,
            max_end_time_unix_nano: summary.end,
            span_count: summary.spans,
            error_span_count: summary.errors,
            orphan_span_count: summary.orphans,
            services: services.collect(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

async fn summaries(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let search = v3_parameters::traces(&Parameters::parse(query.as_deref()))?.search()?;
    let list = move |store: &dyn TraceStore| {
        let hits = search.run(store)?;
        let summaries = store.summaries(&hits.traces)?.into_iter().map(Summary::from).collect();
        Written::new(&Summaries { summaries }, hits.notes)
    };
    Ok(reads.ask(list).await?)
}

#[derive(Debug, Serialize)]
struct Links {
    dependencies: Vec<Link>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    parent: Text,
    child: Text,
    #[serde(serialize_with = "as_text")]
    call_count: u64,
}

async fn links(State(reads): State<Reads>, RawQuery(query): RawQuery) -> Result<Written, Refused> {
    let window = v3_parameters::window(&Parameters::parse(query.as_deref()))?;
    let list = move |store: &dyn TraceStore| {
        let links = dependencies::of_services(store, window).into_iter();
        let links = links.map(|link| Link { parent: link.parent, child: link.child, call_count: link.calls });
        Written::new(&Links { dependencies: links.collect() }, Vec::new())
    };
    Ok(reads.ask(list).await?)
}
