//! The public HTTP edge of Waypost.
//!
//! For outsiders it is the whole system; for the services it is the one caller whom they may believe who asks. A
//! request passes, in this order: the listener's limits, the trace edge, the rate limit, the token, the reading of its
//! body, the shed, the reading of its fields, its deadline; then it is forwarded ([`build`] puts these together). Follow an
//! order from `routes/orders.rs`.
//!
//! Invariants:
//! - Trust changes here and nowhere else: the caller that a service sees comes from a verified token.
//! - Every answer that is not a success is a problem document with a code of [`waypost_api::ErrorCode`].
//! - A route exists in the router, in the OpenAPI document and in [`access::TABLE`], or the gateway does not start.
//!
//! Left out: any state that matters. The gateway keeps no order, no key and no session; replicas of it need not know
//! each other. They count rates together when they are given stores that they share ([`Rates`]).

pub mod access;
mod access_log;
mod address;
mod body;
mod budget;
mod caller;
mod config;
mod edge;
mod error;
mod headers;
mod idempotency;
mod openapi;
mod pages;
mod problem;
mod query;
mod rate;
mod replay;
mod routes;
mod tokens;
mod upstream;

pub use crate::{
    config::{Auth, Config, RateLimit, SigningKey, TokenSettings},
    error::Error,
    openapi::document,
    rate::Rates,
};

use crate::edge::Edge;
use std::net::SocketAddr;
use waypost_identity::Identity;
use waypost_resilience::discovery::Discovery;
use waypost_service::App;
use waypost_telemetry::Telemetry;

/// What the gateway is given beside its configuration.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The telemetry of the role.
    pub telemetry: Telemetry,
    /// Where the gateway is bound; decides whether `auth = demo` is let through.
    pub bound: SocketAddr,
    /// Where the rates of callers are kept.
    pub rates: Rates,
    /// How the replicas of the services are found.
    pub discovery: Discovery,
    /// Who the gateway is to the services, where they ask for that.
    pub identity: Option<Identity>,
}

/// Puts the gateway together. Connects to nothing yet; must be called inside a tokio runtime.
pub fn build(config: &Config, parts: &Parts) -> Result<App, Error> {
    if config.exposes_demo(parts.bound) {
        return Err(Error::DemoOutsideLoopback { bound: parts.bound });
    }
    if config.tokens.keys.is_empty() && config.tokens.keys_file.is_none() {
        say_that_tokens_are_its_own(config, parts.bound);
    }
    let document = openapi::document(config.auth);
    openapi::check_against_table(&document)?;
    let edge = Edge::new(config, parts, &document)?;
    let (routes, _) = routes::all();
    let routes = routes.with_state(edge.clone());
    let router = edge::layers(routes, config, &parts.telemetry, &edge);
    let mut checks = edge.upstream.checks();
    let (worker, check) = edge.tokens.keys().watching(&parts.telemetry).unzip();
    checks.extend(check);
    Ok(App { router, workers: worker.into_iter().collect(), checks, ..App::default() })
}

/// Whoever can be reached by others than this machine may be one of several.
fn say_that_tokens_are_its_own(config: &Config, bound: SocketAddr) {
    if config.auth == Auth::Required && !bound.ip().to_canonical().is_loopback() {
        tracing::warn!(
            "no token key is configured: tokens of this gateway are strangers to any other one, and end with this process; \
             where there are several gateways, give all of them one gateway.tokens.keys_file"
        );
    } else {
        tracing::info!("no token key is configured: tokens will not outlive this process");
    }
}
