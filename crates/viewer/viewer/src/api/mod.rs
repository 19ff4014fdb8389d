//! The viewer's own JSON API, as `docs/viewer-api.md` describes it: for the page, scripts and agents.
//!
//! One file an endpoint or family of endpoints. A handler takes its parameters strictly, runs one read through
//! [`Reads`], and answers with a struct that is serialised as it is, columns included; there is no tree of JSON values.
//! The page is checked against the types of these structs: `types.rs` lists them.

mod aggregate;
mod alerts;
mod anomalies;
mod columns;
mod compare;
mod differences;
mod document;
mod facets;
mod figures;
mod filter;
mod findings;
mod groups;
mod logs;
mod map;
mod names;
mod parameters;
mod pins;
mod points;
mod search;
mod search_series;
mod series;
mod services;
mod silences;
mod span;
mod status;
mod tail;
mod trace;
mod transfer;
#[cfg(test)]
mod types;
mod units;
mod values;

use self::parameters::Parameters;
use crate::{Bound, alerts::Alerts, problem::Problem, reads::Reads, tail::Tail, throughput::Throughput};
use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, RawPathParams},
    http::request::Parts,
    routing::{delete, get, post},
};
use std::{ops::Deref, str::FromStr, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use waypost_trace_intake::Intake;
use waypost_trace_model::{Limits, SpanId, TraceId};

/// Bytes of the body that asks for a silence.
const SILENCE_BYTES: usize = 64 * 1024;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) reads: Reads,
    pub(crate) intake: Intake,
    pub(crate) tail: Tail,
    pub(crate) throughput: Throughput,
    pub(crate) alerts: Alerts,
    pub(crate) bound: Bound,
    /// When the viewer was built, in nanoseconds since 1970.
    pub(crate) started: u64,
    /// Imports and exports at once.
    pub(crate) transfers: Arc<Semaphore>,
    pub(crate) import_size: usize,
    pub(crate) import_time: Duration,
    /// Of one imported record.
    pub(crate) record_limits: Limits,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The routes below `/api/v1`.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/search", get(search::search))
        .route("/search/series", get(search_series::series))
        .route("/points", get(points::points))
        .route("/groups", get(groups::groups))
        .route("/aggregate", get(aggregate::aggregate))
        .route("/compare", get(compare::compare))
        .route("/facets", get(facets::facets))
        .route("/differences", get(differences::differences))
        .route("/tail", get(tail::tail))
        // The import bounds its body itself, by a limit of its own.
        .route("/traces", post(transfer::import).layer(DefaultBodyLimit::disable()))
        .route("/traces/{trace}", get(trace::trace))
        .route("/traces/{trace}/spans/{span}", get(span::span))
        .route("/traces/{trace}/findings", get(findings::of_trace))
        .route("/traces/{trace}/columns", get(columns::columns))
        .route("/traces/{trace}/logs", get(logs::of_trace))
        .route("/logs", get(logs::logs))
        .route("/traces/{trace}/matches", get(points::matches))
        .route("/traces/{trace}/otlp", get(transfer::export))
        .route("/services", get(services::services))
        .route("/services/{service}/operations", get(services::operations))
        .route("/map", get(map::map))
        .route("/series", get(series::series))
        .route("/traces/{trace}/pin", get(pins::get).post(pins::add).delete(pins::remove))
        .route("/pins", get(pins::list))
        .route("/alerts", get(alerts::alerts))
        .route("/alerts/summary", get(alerts::summary))
        .route("/anomalies", get(anomalies::anomalies))
        .route("/silences", post(silences::begin).layer(DefaultBodyLimit::max(SILENCE_BYTES)))
        .route("/silences/{silence}", delete(silences::end))
        .route("/names/services", get(names::services))
        .route("/names/operations", get(names::operations))
        .route("/names/keys", get(names::keys))
        .route("/names/values", get(names::values))
        .route("/status", get(status::status))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found("the API has no such path; see docs/viewer-api.md"))
        .with_state(api)
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Parameters, Problem> {
        Parameters::of(parts.uri.query().unwrap_or_default(), waypost_trace_store::now())
    }
}

/// A request without parameters.
pub(super) struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<NoParameters, Problem> {
        Parameters::from_request_parts(parts, state).await?.finish()?;
        Ok(NoParameters)
    }
}

/// The parts of the path that stand for something.
pub(super) struct Path(Vec<(String, String)>);

impl Path {
    fn trace(&self) -> Result<TraceId, Problem> {
        self.id("trace")
    }

    fn span(&self) -> Result<SpanId, Problem> {
        self.id("span")
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn id<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, Problem> {
        let refused = |reason| Problem::parameter(name, format!("in the path is not valid: {reason}"));
        self.text(name).parse().map_err(refused)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path, Problem> {
        let refused = |_| Problem::parameter("path", "is not UTF-8");
        let raw = RawPathParams::from_request_parts(parts, state).await.map_err(refused)?;
        Ok(Path(raw.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }
}
