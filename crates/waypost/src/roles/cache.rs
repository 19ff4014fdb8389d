//! What the `[cache]` section chooses: where rates of callers and copies of users are kept.

use std::sync::Arc;

use waypost_cache::{Cache, Memory};
use waypost_gateway::Rates;
use waypost_resilience::rate_limit::Buckets;
use waypost_user::domain::User;

use crate::settings::{CacheKind, Settings};

/// The stores of the gateway's rates.
pub(super) fn rates(settings: &Settings) -> Rates {
    match settings.cache.kind {
        CacheKind::Embedded => Rates::open(&settings.gateway, |rule| Arc::new(Buckets::new(rule))),
    }
}

/// The cache of the user service.
pub(super) fn users(settings: &Settings) -> Arc<dyn Cache<User>> {
    let user = &settings.user;
    match settings.cache.kind {
        CacheKind::Embedded => Arc::new(Memory::new(user.cache_capacity, user.cache_time.get())),
    }
}
