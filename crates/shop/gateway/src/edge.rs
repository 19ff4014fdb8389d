//! What all requests share, and the layers that each of them passes.

use crate::{
    Error, Parts, access_log, body,
    body::Bodies,
    caller,
    config::{Auth, Config},
    headers::HEADERS,
    pages,
    problem::{self, Refusal},
    rate, replay,
    tokens::Tokens,
    upstream::Upstream,
};
use axum::{
    Router,
    body::Bytes,
    http::Method,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use std::{ops::Deref, sync::Arc, time::Duration};
use tower::ServiceBuilder;
use utoipa::openapi::OpenApi;
use waypost_api::ErrorCode;
use waypost_resilience::shed;
use waypost_service::{
    Network,
    answers::{add_headers, catch_panics},
    browser::Names,
};
use waypost_telemetry::Telemetry;

/// Cheap to clone; every handler has it as its state.
#[derive(Clone)]
pub(crate) struct Edge(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) upstream: Upstream,
    pub(crate) tokens: Tokens,
    pub(crate) rate: rate::Rate,
    pub(crate) login_rate: rate::Rate,
    pub(crate) auth: Auth,
    pub(crate) require_idempotency_key: bool,
    /// The names that the gateway answers to, in demo.
    pub(crate) names: Option<Names>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) budget: Duration,
    pub(crate) max_budget: Duration,
    pub(crate) bodies: Bodies,
    /// The OpenAPI document, as it is sent.
    pub(crate) document: Bytes,
}

impl Deref for Edge {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Edge {
    pub(crate) fn new(config: &Config, parts: &Parts, document: &OpenApi) -> Result<Edge, Error> {
        let Parts { telemetry, rates, .. } = parts;
        // Only maps with keys that are not strings fail to serialise, and the document has none.
        let document = serde_json::to_vec_pretty(document).unwrap_or_default().into();
        Ok(Edge(Arc::new(Shared {
            upstream: Upstream::new(config, parts)?,
            tokens: Tokens::new(&config.tokens)?,
            rate: rates.of_requests(telemetry),
            login_rate: rates.of_logins(telemetry),
            auth: config.auth,
            require_idempotency_key: config.require_idempotency_key,
            names: (config.auth == Auth::Demo).then(|| Names::new(parts.bound, &config.hosts)),
            trusted_proxies: config.trusted_proxies.clone(),
            budget: config.budget.get(),
            max_budget: config.max_budget.get(),
            bodies: Bodies::new(config),
            document,
        })))
    }
}

/// Wraps the routes. The list reads from the outside in; connection limits are the listener's, further out, and the
/// fields and the deadline of a request are its handler's, further in.
pub(crate) fn layers(routes: Router, config: &Config, telemetry: &Telemetry, edge: &Edge) -> Router {
    let proxies = config.trusted_proxies.clone();
    let trace_edge = telemetry
        .http_server()
        // Trust changes here: a root span of our own, with a link to what the caller sent.
        .public_endpoint(true)
        .continue_when_public(config.continue_traces)
        .trusted_proxies(move |peer| proxies.iter().any(|proxy| proxy.contains(peer)))
        // So that a caller can find its request in the viewer.
        .trace_response(true);
    let shed = shed::Settings {
        max_in_flight: config.requests_at_once,
        reserved: config.requests_at_once / 8,
        lookups: (config.requests_at_once / 16).max(1),
        ..shed::Settings::default()
    };
    let shed = shed::Layer::new(telemetry, shed::Protocol::Http, shed)
        // A probe must be answered under load, or the load gets worse when this gateway is taken away.
        .exempt(|path| path == "/api/health")
        // Reads are quick, and a cancellation ends work.
        .favour(|method, path| method != Method::POST || path.ends_with("/cancel"))
        // What was answered before is answered again.
        .look_up(replay::may_be_one);
    let layers = ServiceBuilder::new()
        // On every answer, whoever gave it.
        .layer(from_fn(|request, next| add_headers(&HEADERS, request, next)))
        // What is refused before there is a trace gets its body here.
        .layer(from_fn(problem::render))
        // Outside the trace, so that the span still sees the panic as one.
        .layer(from_fn(|request, next| catch_panics(internal, request, next)))
        // Before anything is looked at: what a page of another site asks is no business of ours.
        .layer(from_fn_with_state(edge.clone(), pages::refuse_foreign))
        // Before anything that costs: a request that is turned away costs next to nothing.
        .layer(shed.early())
        // From here on there is a span; what is refused below is seen in it.
        .layer(trace_edge)
        // What anything below refuses gets its body here, with the trace.
        .layer(from_fn(problem::render))
        // Inside the span, so that the line carries its trace.
        .layer(from_fn(access_log::write))
        // Reads the token, as the rate is counted by principal; refuses nothing.
        .layer(from_fn_with_state(edge.clone(), caller::identify))
        // Before the refusals of `authorise`: guessing tokens must not be free. A caller that we know and that repeats a
        // request goes on beyond its rate, to be answered what is known.
        .layer(from_fn_with_state(edge.clone(), rate::limit))
        // Who may not, goes no further: no body is read for it.
        .layer(from_fn_with_state(edge.clone(), caller::authorise))
        // Before the place is taken: a body that trickles must hold up nobody else.
        .layer(from_fn_with_state(edge.clone(), body::read))
        // The place itself: from here on the gateway works for the request.
        .layer(shed);
    routes.layer(layers)
}

/// For a handler that panicked.
fn internal() -> Response {
    Refusal::from(ErrorCode::Internal).into_response()
}
