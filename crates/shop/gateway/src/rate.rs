//! How often a caller may ask.
//!
//! One rate a principal; for a caller without a good token, one an address. Logins have a rate of their own for each
//! address. Guesses at one account are the user service's to count: it knows which were wrong.

use crate::{
    address,
    caller::Identity,
    config::{Auth, RateLimit},
    edge::Edge,
    problem::Refusal,
};
use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{net::IpAddr, num::NonZeroU32};
use waypost_api::{Error, ErrorCode, UserId};
use waypost_resilience::rate_limit::{Limiter, Settings};
use waypost_service::one_holder;
use waypost_telemetry::Telemetry;

/// Whose requests are counted together.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Principal(UserId),
    Address(IpAddr),
}

impl Key {
    /// Told apart by their first letter: an account may be named like an address.
    fn text(&self) -> String {
        match self {
            Key::Principal(user_id) => format!("p:{user_id}"),
            Key::Address(address) => format!("a:{}", one_holder(*address)),
        }
    }
}

/// A rate, or none.
#[derive(Debug)]
pub(crate) struct Rate {
    limiter: Option<Limiter>,
}

impl Rate {
    pub(crate) fn new(telemetry: &Telemetry, name: &'static str, limit: &RateLimit) -> Rate {
        let requests = NonZeroU32::new(limit.requests).filter(|_| limit.enabled);
        let settings =
            |limit_of| Settings { name, limit: limit_of, window: limit.per.get(), ..Settings::default() };
        Rate { limiter: requests.map(|requests| Limiter::new(telemetry, settings(requests))) }
    }

    /// Counts a request. `Ok` carries what to tell the client about its rate.
    pub(crate) fn take(&self, key: &Key) -> Result<HeaderMap, Refusal> {
        let Some(limiter) = &self.limiter else { return Ok(HeaderMap::new()) };
        let decision = limiter.check(&key.text());
        let headers = HeaderMap::from_iter(decision.headers());
        let Some(wait) = decision.retry_after else { return Ok(headers) };
        let detail =
            format!("{} requests may come at once; `RateLimit` tells when the next may", decision.limit);
        let error = Error::new(ErrorCode::RateLimited, detail).with_retry_after(wait);
        Err(Refusal::from(error).with_headers(headers))
    }
}

/// Refuses a caller that asks too often, and tells every caller where it stands.
pub(crate) async fn limit(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let address = address::client(request.extensions(), request.headers(), &edge.trusted_proxies);
    if is_exempt(&edge, address) {
        return next.run(request).await;
    }
    let key = match request.extensions().get::<Identity>() {
        Some(Identity::Known(principal)) => Key::Principal(principal.user_id.clone()),
        _ => Key::Address(address),
    };
    match edge.rate.take(&key) {
        Ok(headers) => {
            let mut response = next.run(request).await;
            for (name, value) in &headers {
                // A handler's own rate says more: it is the one that refused.
                response.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Counts an attempt to log in.
pub(crate) fn count_login(edge: &Edge, address: IpAddr) -> Result<(), Refusal> {
    if !is_exempt(edge, address) {
        edge.login_rate.take(&Key::Address(address))?;
    }
    Ok(())
}

/// In demo a load run from this machine measures orders and not the rate limit.
fn is_exempt(edge: &Edge, address: IpAddr) -> bool {
    edge.auth == Auth::Demo && address.is_loopback()
}
