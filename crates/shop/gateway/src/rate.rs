//! How often a caller may ask.
//!
//! One rate a principal; for a caller without a good token, one an address. Logins have a rate of their own for each
//! address. Guesses at one account are the user service's to count: it knows which were wrong.
//!
//! The rates are kept by the stores that the process hands in. While a store is away, the rate's own setting decides
//! whether requests go on uncounted.

use crate::{
    address,
    caller::Identity,
    config::{Auth, Config, RateLimit},
    edge::Edge,
    problem::Refusal,
    replay,
};
use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use waypost_api::{Error, ErrorCode, UserId};
use waypost_resilience::rate_limit::{Limiter, RateStore, Rule};
use waypost_service::{WhenAway, one_holder};
use waypost_telemetry::Telemetry;

/// Whose requests are counted together.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Principal(UserId),
    Address(IpAddr),
    /// Requests of one of those that may have been answered before, beyond its rate.
    Repeated(Box<Key>),
}

impl Key {
    /// Told apart by their first letter: an account may be named like an address.
    fn text(&self) -> String {
        match self {
            Key::Principal(user_id) => format!("p:{user_id}"),
            Key::Address(address) => format!("a:{}", one_holder(*address)),
            Key::Repeated(key) => format!("r:{}", key.text()),
        }
    }
}

/// Where the gateway's rates are kept. Gateways that share stores hold callers to the rates together. Clones are the same: what
/// is changed in one changes in the running gateway.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    requests: Arc<Slot>,
    logins: Arc<Slot>,
}

/// A rate that may change.
#[derive(Debug, Default)]
struct Slot(RwLock<Current>);

#[derive(Clone, Debug, Default)]
struct Current {
    /// `None` when requests are not limited.
    store: Option<Arc<dyn RateStore>>,
    when_away: WhenAway,
}

impl Rates {
    /// Opens a store for each rule of the configuration.
    pub fn open(config: &Config, open: impl Fn(Rule) -> Arc<dyn RateStore>) -> Rates {
        let rates = Rates::default();
        rates.change(config, open);
        rates
    }

    /// Goes by another configuration from now on. A rate that is as it was goes on counting where it is; any other one begins
    /// anew.
    pub fn change(&self, config: &Config, open: impl Fn(Rule) -> Arc<dyn RateStore>) {
        self.requests.change("default", &config.rate_limit, &open);
        self.logins.change("login", &config.login_limit, &open);
    }

    pub(crate) fn of_requests(&self, telemetry: &Telemetry) -> Rate {
        Rate::new(telemetry, Arc::clone(&self.requests))
    }

    pub(crate) fn of_logins(&self, telemetry: &Telemetry) -> Rate {
        Rate::new(telemetry, Arc::clone(&self.logins))
    }
}

impl Slot {
    fn change(&self, name: &'static str, limit: &RateLimit, open: &impl Fn(Rule) -> Arc<dyn RateStore>) {
        let requests = NonZeroU32::new(limit.requests).filter(|_| limit.enabled);
        let rule = requests.map(|requests| Rule { name, limit: requests, window: limit.per.get() });
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        current.when_away = limit.when_away;
        if current.store.as_ref().map(|store| store.rule()) != rule.as_ref() {
            current.store = rule.map(open);
        }
    }

    fn current(&self) -> Current {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A rate, or none.
#[derive(Debug)]
pub(crate) struct Rate {
    telemetry: Telemetry,
    slot: Arc<Slot>,
    limiter: Mutex<Option<OfStore>>,
}

/// A limiter, and the store that it is of.
#[derive(Debug)]
struct OfStore {
    store: Arc<dyn RateStore>,
    limiter: Arc<Limiter>,
}

impl Rate {
    fn new(telemetry: &Telemetry, slot: Arc<Slot>) -> Rate {
        Rate { telemetry: telemetry.clone(), slot, limiter: Mutex::default() }
    }

    fn limiter(&self, store: Arc<dyn RateStore>) -> Arc<Limiter> {
        let mut made = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*made
            && Arc::ptr_eq(&made.store, &store)
        {
            return Arc::clone(&made.limiter);
        }
        let limiter = Arc::new(Limiter::new(&self.telemetry, Arc::clone(&store)));
        *made = Some(OfStore { store, limiter: Arc::clone(&limiter) });
        limiter
    }

    /// Counts a request. `Ok` carries what to tell the client about its rate, if that is known.
    pub(crate) async fn take(&self, key: &Key) -> Result<HeaderMap, Refusal> {
        let Current { store, when_away } = self.slot.current();
        let Some(store) = store else { return Ok(HeaderMap::new()) };
        let decision = match (self.limiter(store).check(&key.text()).await, when_away) {
            (Ok(decision), _) => decision,
            (Err(_), WhenAway::Open) => return Ok(HeaderMap::new()),
            (Err(_), WhenAway::Closed) => {
                let error = Error::of(ErrorCode::Unavailable).with_retry_after(Duration::from_secs(1));
                return Err(error.into());
            }
        };
        let headers = HeaderMap::from_iter(decision.headers());
        let Some(wait) = decision.retry_after else { return Ok(headers) };
        let detail =
            format!("{} requests may come at once; `RateLimit` tells when the next may", decision.limit);
        let error = Error::new(ErrorCode::RateLimited, detail).with_retry_after(wait);
        Err(Refusal::from(error).with_headers(headers))
    }
}

/// Refuses a caller that asks too often, and tells every caller where it stands.
pub(crate) async fn limit(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let address = address::client(request.extensions(), request.headers(), &edge.trusted_proxies);
    if is_exempt(&edge, address) {
        return next.run(request).await;
    }
    let (key, is_known) = match request.extensions().get::<Identity>() {
        Some(Identity::Known(principal)) => (Key::Principal(principal.user_id.clone()), true),
        // In demo a caller without a token is the user whom it names.
        Some(Identity::None) | None => (Key::Address(address), edge.auth == Auth::Demo),
        Some(Identity::Refused(_)) => (Key::Address(address), false),
    };
    match edge.rate.take(&key).await {
        Ok(headers) => {
            let mut response = next.run(request).await;
            for (name, value) in &headers {
                // A handler's own rate says more: it is the one that refused.
                response.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            response
        }
        Err(refusal) => {
            let may_be_known =
                is_known && replay::may_be_one(request.method(), request.uri().path(), request.headers());
            if !may_be_known || edge.rate.take(&Key::Repeated(Box::new(key))).await.is_err() {
                return refusal.into_response();
            }
            request.extensions_mut().insert(replay::Unless(refusal));
            next.run(request).await
        }
    }
}

/// Counts an attempt to log in.
pub(crate) async fn count_login(edge: &Edge, address: IpAddr) -> Result<(), Refusal> {
    if !is_exempt(edge, address) {
        edge.login_rate.take(&Key::Address(address)).await?;
    }
    Ok(())
}

/// In demo a load run from this machine measures orders and not the rate limit.
fn is_exempt(edge: &Edge, address: IpAddr) -> bool {
    edge.auth == Auth::Demo && address.is_loopback()
}
