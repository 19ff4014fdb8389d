//! A gRPC service as a router: the layers around it, outermost first.

use crate::{Callers, callers::CallersLayer};
use axum::body::Body;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use tonic::{Status, service::Routes};
use tower::ServiceBuilder;
use waypost_resilience::{deadline, shed};
use waypost_settings::{ByteSize, settings};
use waypost_telemetry::Telemetry;

settings! {
    /// Limits of one gRPC service, over all its connections.
    pub struct GrpcLimits {
        /// Calls at once; a few more wait for a moment, further ones are answered RESOURCE_EXHAUSTED. An eighth is kept for
        /// calls that begin nothing new: reads, and what ends or undoes work that has begun.
        pub calls: usize = 1024,
        /// Bytes of one request; more are answered RESOURCE_EXHAUSTED. Waypost's requests are below 4 KiB.
        pub request_size: ByteSize = ByteSize::kib(256),
    }
}

/// Wraps the services of a role into what [`crate::serve`] takes, for a listener without TLS: where callers are known, none
/// of them may call. All calls are alike.
pub fn grpc_app(telemetry: &Telemetry, routes: Routes, limits: &GrpcLimits) -> axum::Router {
    grpc_app_favouring(telemetry, routes, &[], limits, |_, _| true)
}

/// As [`grpc_app`], for the callers of this table, with places kept for the calls for whose method and path `favour` is true: those that begin nothing
/// new, so that slow beginnings cannot keep others from being read, ended or undone.
pub fn grpc_app_favouring(
    telemetry: &Telemetry,
    routes: Routes,
    callers: Callers,
    limits: &GrpcLimits,
    favour: fn(&Method, &str) -> bool,
) -> axum::Router {
    let request_size = limits.request_size.as_usize();
    let shed = shed::Settings {
        max_in_flight: limits.calls,
        reserved: limits.calls / 8,
        ..shed::Settings::default()
    };
    let layers = ServiceBuilder::new()
        // First, so that a call that is turned away costs next to nothing, not even a span.
        .layer(shed::Layer::new(telemetry, shed::Protocol::Grpc, shed).favour(favour))
        // Everything below is inside the call's SERVER span, refusals included.
        .layer(telemetry.grpc_server())
        // Work that nobody waits for is refused; what remains is the budget of every call made from here.
        .layer(deadline::ServerLayer::new())
        // Before anything of the call's body is read.
        .layer(CallersLayer::new(telemetry, callers))
        // Last, as only what is really read needs a bound.
        .map_request(move |request: Request<Body>| request.map(|body| bounded(body, request_size)));
    routes.prepare().into_axum_router().layer(layers)
}

/// Fails with a status of its own when more than `limit` bytes come; tonic finds it in the chain of causes.
fn bounded(body: Body, limit: usize) -> Body {
    let too_large = move |_| Status::resource_exhausted(format!("the request is larger than {limit} bytes"));
    Body::new(Limited::new(body, limit).map_err(too_large))
}
