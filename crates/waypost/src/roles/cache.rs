//! What the `[cache]` section chooses: where rates of callers, their wrong passwords and copies of users are kept.

use std::sync::Arc;

use waypost_cache::{Cache, Layered, Memory};
use waypost_gateway::Rates;
use waypost_redis::{Codec, Redis};
use waypost_resilience::rate_limit::{Buckets, RateStore, Rule};
use waypost_resilience::throttle::{FailureStore, Failures};
use waypost_service::App;
use waypost_telemetry::Telemetry;
use waypost_user::copies;
use waypost_user::domain::User;

use crate::exit::{Exit, Failure};
use crate::settings::{CacheKind, Settings};

/// The place of a role, open.
#[derive(Clone)]
pub(super) enum Shared {
    /// The memory of this process.
    Embedded,
    /// A Redis, over a connection of the role's own.
    Redis(Redis),
}

impl Shared {
    /// Opens what the configuration names. A Redis that is away is no failure.
    pub(super) async fn open(settings: &Settings, telemetry: &Telemetry) -> Result<Shared, Failure> {
        match settings.cache.kind {
            CacheKind::Embedded => Ok(Shared::Embedded),
            CacheKind::Redis => {
                let redis = Redis::open(&settings.cache.redis, telemetry).await;
                redis
                    .map(Shared::Redis)
                    .map_err(|error| Failure::message(Exit::BadConfig, format!("cache.redis.{error}")))
            }
        }
    }

    /// The stores of the gateway's rates.
    pub(super) fn rates(&self, settings: &Settings) -> Rates {
        Rates::open(&settings.gateway, |rule| self.rate(rule))
    }

    /// Goes by other rates from now on.
    pub(super) fn change_rates(&self, rates: &Rates, settings: &Settings) {
        rates.change(&settings.gateway, |rule| self.rate(rule));
    }

    fn rate(&self, rule: Rule) -> Arc<dyn RateStore> {
        match self {
            Shared::Embedded => Arc::new(Buckets::new(rule)),
            Shared::Redis(redis) => Arc::new(redis.rates(rule)),
        }
    }

    /// Where the user service counts wrong passwords.
    pub(super) fn failures(&self, settings: &Settings) -> Arc<dyn FailureStore> {
        let rule = settings.user.login_rule();
        match self {
            Shared::Embedded => Arc::new(Failures::new(rule)),
            Shared::Redis(redis) => Arc::new(redis.failures(rule)),
        }
    }

    /// The cache of the user service. A copy is used for no longer than `user.cache_time`, wherever it was.
    pub(super) fn users(&self, settings: &Settings) -> Arc<dyn Cache<User>> {
        let (capacity, time) = (settings.user.cache_capacity, settings.user.cache_time.get());
        match self {
            Shared::Embedded => Arc::new(Memory::new(capacity, time)),
            Shared::Redis(redis) => {
                let near = time / 4;
                let codec = Codec { encode: copies::encode, decode: copies::decode };
                let far = redis.copies("users", time.saturating_sub(near), codec);
                Arc::new(Layered::new(Memory::new(capacity, near), Arc::new(far)))
            }
        }
    }

    /// Adds to a role what keeps the connection.
    pub(super) fn join(self, mut app: App) -> App {
        if let Shared::Redis(redis) = self {
            app.workers.push(redis.worker());
            app.checks.push(redis.check());
        }
        app
    }
}
