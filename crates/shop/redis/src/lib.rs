//! Redis, for what several processes share and may forget: rates of callers, their failures, copies of what is true elsewhere.
//!
//! For the process, which opens one [`Redis`] for each role that needs it, and hands the role a store of rates
//! ([`Redis::rates`]), of failures ([`Redis::failures`]) or a cache ([`Redis::copies`]). The roles know only their ports.
//!
//! Invariants:
//! - Redis is never the truth: what is lost with it costs time, not an answer.
//! - Nobody waits for a Redis that is away. A request asks only over a connection that stands; whether it can be had again is
//!   tried beside the requests ([`Redis::worker`]).
//! - Every question has a time-out, and every failure is counted: `waypost.redis.failures`, `waypost.redis.skipped`.
//! - What is kept ends by itself: every key has a time to live.
//!
//! Left out: keeping Redis's data. A server that evicts or starts empty is as good.

mod config;
mod connect;
mod copies;
mod failures;
mod link;
mod rates;
mod script;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use waypost_resilience::{rate_limit::Rule, throttle};
use waypost_service::{Check, Worker};
use waypost_telemetry::Telemetry;

pub use config::{Settings, Topology};
pub use copies::{Codec, Copies};
pub use failures::SharedFailures;
pub use rates::SharedRates;

use connect::Servers;
use link::Link;

/// A Redis, with the connection of one role to it. Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Redis {
    link: Arc<Link>,
    prefix: Arc<str>,
}

impl Redis {
    /// Connects, if it is there; if it is not, that is logged, and [`Redis::worker`] tries on.
    ///
    /// # Errors
    /// When the settings cannot be used: a file that they name cannot be read, an address is none.
    pub async fn open(settings: &Settings, telemetry: &Telemetry) -> Result<Self, Error> {
        let servers = Servers::new(settings)?;
        let link = Arc::new(Link::new(servers, settings, telemetry));
        waypost_telemetry::with_context(telemetry.context(), link.connect()).await;
        Ok(Self { link, prefix: settings.prefix.as_str().into() })
    }

    /// The work that brings the connection back when it is lost. To run as long as the role.
    pub fn worker(&self) -> Worker {
        let link = Arc::clone(&self.link);
        Worker::new("redis", move |drain| async move {
            tokio::select! {
                () = link.keep() => {}
                () = drain.started() => {}
            }
        })
    }

    /// Whether Redis answers, to be shown. Without it requests are slower or uncounted, which is no reason to give the role
    /// none.
    pub fn check(&self) -> Check {
        let link = Arc::clone(&self.link);
        Check::advisory("redis", move || {
            let link = Arc::clone(&link);
            async move { link.ping().await.map_err(|away| away.reason) }
        })
    }

    /// The buckets of one rule, shared by everybody who has the same prefix and rule.
    pub fn rates(&self, rule: Rule) -> SharedRates {
        SharedRates::new(Arc::clone(&self.link), &self.prefix, rule)
    }

    /// The failures of one rule, counted together by everybody who has the same prefix and rule.
    pub fn failures(&self, rule: throttle::Rule) -> SharedFailures {
        SharedFailures::new(Arc::clone(&self.link), &self.prefix, rule)
    }

    /// Copies of values under names of their own (`users`), each kept for up to `time_to_live`: an eighth less at most, so
    /// that those which were put together do not all run out together.
    pub fn copies<V>(&self, name: &'static str, time_to_live: Duration, codec: Codec<V>) -> Copies<V> {
        Copies::new(Arc::clone(&self.link), &self.prefix, name, time_to_live, codec)
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct Error {
    /// The setting, within its section: `ca_file`.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
}
