//! What all requests share, and the layers that each of them passes.

use crate::{
    Error, access_log, caller,
    config::{Auth, Config},
    headers, panics, problem, rate,
    tokens::Tokens,
    upstream::Upstream,
};
use axum::{
    Router,
    body::Bytes,
    middleware::{from_fn, from_fn_with_state},
};
use std::{net::IpAddr, ops::Deref, sync::Arc, time::Duration};
use tower::ServiceBuilder;
use utoipa::openapi::OpenApi;
use waypost_resilience::shed;
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
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) budget: Duration,
    pub(crate) longest_budget: Duration,
    pub(crate) body_size: usize,
    pub(crate) body_timeout: Duration,
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
    pub(crate) fn new(config: &Config, telemetry: &Telemetry, document: &OpenApi) -> Result<Edge, Error> {
        // Only maps with keys that are not strings fail to serialise, and the document has none.
        let document = serde_json::to_vec_pretty(document).unwrap_or_default().into();
        Ok(Edge(Arc::new(Shared {
            upstream: Upstream::new(config, telemetry)?,
            tokens: Tokens::new(&config.tokens)?,
            rate: rate::Rate::new(telemetry, "default", &config.rate_limit),
            login_rate: rate::Rate::new(telemetry, "login", &config.login_limit),
            auth: config.auth,
            require_idempotency_key: config.require_idempotency_key,
            trusted_proxies: config.trusted_proxies.clone(),
            budget: config.budget.get(),
            longest_budget: config.longest_budget.get(),
            body_size: config.body_size.as_usize(),
            body_timeout: config.body_timeout.get(),
            document,
        })))
    }
}

/// Wraps the routes. The list reads from the outside in; connection limits are the listener's, further out, and the
/// size, the fields and the deadline of a request are its handler's, further in.
pub(crate) fn layers(routes: Router, config: &Config, telemetry: &Telemetry, edge: &Edge) -> Router {
    let proxies = config.trusted_proxies.clone();
    let trace_edge = telemetry
        .http_server()
        // Trust changes here: a root span of our own, with a link to what the caller sent.
        .public_endpoint(true)
        .continue_when_public(config.continue_traces)
        .trusted_proxies(move |peer| proxies.contains(&peer))
        // So that a caller can find its request in the viewer.
        .trace_response(true);
    let shed = shed::Settings { max_in_flight: config.requests_at_once, ..shed::Settings::default() };
    let layers = ServiceBuilder::new()
        // On every answer, whoever gave it.
        .layer(from_fn(headers::add))
        // What the next two refuse gets its body here, without a trace.
        .layer(from_fn(problem::render))
        // Outside the trace, so that the span still sees the panic as one.
        .layer(from_fn(panics::catch))
        // Before anything that costs: a request that is turned away costs next to nothing.
        .layer(shed::Layer::new(telemetry, shed::Protocol::Http, shed))
        // From here on there is a span; what is refused below is seen in it.
        .layer(trace_edge)
        // What anything below refuses gets its body here, with the trace.
        .layer(from_fn(problem::render))
        // Inside the span, so that the line carries its trace.
        .layer(from_fn(access_log::write))
        // Reads the token, as the rate is counted by principal; refuses nothing.
        .layer(from_fn_with_state(edge.clone(), caller::identify))
        // Before the refusals of `authorise`: guessing tokens must not be free.
        .layer(from_fn_with_state(edge.clone(), rate::limit))
        // Who may not, goes no further: no body is read for it.
        .layer(from_fn_with_state(edge.clone(), caller::authorise));
    routes.layer(layers)
}
