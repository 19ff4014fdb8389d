//! Who may call what: a service's table of methods, and the layer that holds callers to it.
//!
//! The layer knows callers by the certificate of their connection. On a listener without TLS nobody is known and everybody
//! is let through: there the network decides who can call, as it does on loopback.

use crate::once::Once;
use axum::body::Body;
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tonic::Status;
use tower::{Layer, Service};
use waypost_identity::Peer;
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::Counter},
};

/// The methods of a service, each with the roles that may call it. A method that is not in it is nobody's.
pub type Callers = &'static [(&'static str, &'static [&'static str])];

/// Refuses the calls of those who are not in the table.
#[derive(Clone, Debug)]
pub(crate) struct CallersLayer(Arc<Table>);

#[derive(Debug)]
struct Table {
    callers: Callers,
    refused: Counter<u64>,
    /// Peers of which it was said.
    said: Once<String>,
}

impl CallersLayer {
    pub(crate) fn new(telemetry: &Telemetry, callers: Callers) -> CallersLayer {
        let refused = telemetry
            .meter()
            .u64_counter("waypost.peer.refused")
            .with_description("Calls of roles that may not make them")
            .with_unit("{call}")
            .build();
        CallersLayer(Arc::new(Table { callers, refused, said: Once::default() }))
    }
}

impl<S> Layer<S> for CallersLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, table: Arc::clone(&self.0) }
    }
}

/// A service whose callers are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    table: Arc<Table>,
}

impl<S, B> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Arc<Peer>>();
        match peer.map_or(Ok(()), |peer| self.table.check(peer, request.uri().path())) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Ok(refusal.into_http()))),
        }
    }
}

impl Table {
    fn check(&self, peer: &Peer, path: &str) -> Result<(), Status> {
        let method = path.rsplit('/').next().unwrap_or_default();
        let allowed = self.callers.iter().find(|(known, _)| *known == method).map_or(&[][..], |row| row.1);
        if peer.is_one_of(allowed) {
            return Ok(());
        }
        // A stranger's own names would make series without bound.
        let role = peer.roles().first().copied().unwrap_or("_OTHER");
        self.refused.add(1, &[KeyValue::new("waypost.peer", role)]);
        let reason = refusal(peer, path, allowed);
        if self.said.is_news(peer.names().to_owned()) {
            tracing::warn!(
                peer = role,
                reason,
                "a call was refused; further ones of this peer are only counted"
            );
        }
        Err(Status::permission_denied(reason))
    }
}

fn refusal(peer: &Peer, path: &str, allowed: &[&str]) -> String {
    let method = path.trim_start_matches('/');
    let who = match peer.roles() {
        [] => format!("a certificate that names {} is no role's, and", peer.names()),
        roles => format!("the role {}", roles.join(", ")),
    };
    match allowed {
        [] => format!("{who} may not call {method:.200}, which no role calls"),
        allowed => format!("{who} may not call {method:.200}, which is for {}", allowed.join(", ")),
    }
}
