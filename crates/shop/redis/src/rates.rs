//! Buckets of callers, shared by everybody who asks the same Redis.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use redis::RedisResult;
use waypost_resilience::rate_limit::{Away, RateStore, Rule, Taken};
use waypost_telemetry::redis::Traced;

use crate::connect::Connection;
use crate::link::Link;
use crate::script::Script;

/// A store of rates in Redis: one script a decision, so a look and the taking are one step; by the server's clock.
///
/// A bucket is one key that is gone when the bucket is full again, so what is kept is bounded by what callers send in one
/// window, and by the server's `maxmemory`: a server that evicts gives a caller a full bucket earlier.
#[derive(Debug)]
pub struct SharedRates {
    link: Arc<Link>,
    rule: Rule,
    /// What the keys of this rule begin with.
    prefix: String,
    script: Script,
}

impl SharedRates {
    pub(crate) fn new(link: Arc<Link>, prefix: &str, rule: Rule) -> Self {
        let prefix = format!("{prefix}rate:{}:", rule.name);
        Self { link, rule, prefix, script: Script::new(include_str!("take.lua")) }
    }

    async fn run(&self, connection: &mut Traced<Connection>, key: &str) -> RedisResult<(bool, u64)> {
        let key = format!("{}{key}", self.prefix);
        let limit = self.rule.limit.get();
        let window = u64::try_from(self.rule.window.as_micros()).unwrap_or(u64::MAX).max(1);
        let arguments = |command: &mut redis::Cmd| {
            command.arg(limit).arg(window);
        };
        self.script.run(connection, &key, arguments).await
    }
}

impl RateStore for SharedRates {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Taken, Away>> {
        Box::pin(async move {
            let asked = self.link.ask("take", async |connection| self.run(connection, key).await);
            let (has_room, number) = asked.await.map_err(|away| Away { reason: away.reason })?;
            Ok(if has_room {
                Taken::Room { remaining: u32::try_from(number).unwrap_or(u32::MAX) }
            } else {
                Taken::Full { retry_after: std::time::Duration::from_micros(number) }
            })
        })
    }
}
