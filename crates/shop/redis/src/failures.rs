//! Failures of callers, counted by everybody who asks the same Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use moka::future::Cache;
use tokio::sync::{Mutex, Notify};
use waypost_resilience::throttle::{Attempt, Away, FailureStore, Leave, Outcome, Place, Rule};

use crate::link::Link;
use crate::script::Script;

/// How long a place is kept for an attempt whose process says nothing more. Longer than a request takes.
const LEASE: Duration = Duration::from_secs(15);

/// Pauses between two looks whether those under way have ended, where they belong to another process.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Keys under which somebody of this process begins; beyond that the least used are forgotten, and their callers ask side
/// by side.
const MAX_TURNS: u64 = 10_000;

/// A store of failures in Redis: one script a decision, so a look and the taking of a place are one step; by the server's
/// clock.
///
/// A key is gone when its failures are forgotten and nothing is under way, so what is kept is bounded by what callers send in
/// one window, and by the server's `maxmemory`: a server that evicts gives whoever fails its free failures anew.
///
/// An attempt that depends on others under way asks again until they have ended, at once when they are this process's and in
/// pauses that grow when they are another's. Of one key, one caller of a process asks at a time.
#[derive(Clone)]
pub struct SharedFailures {
    shared: Arc<Shared>,
    turns: Cache<Box<str>, Arc<Turn>>,
}

#[derive(Debug)]
struct Shared {
    link: Arc<Link>,
    rule: Rule,
    /// What the keys of this rule begin with.
    prefix: String,
    script: Script,
}

/// The callers of this process that begin under one key.
#[derive(Debug, Default)]
struct Turn {
    /// Held by the one that asks.
    asking: Mutex<()>,
    /// An attempt of this process has ended.
    ended: Notify,
}

impl SharedFailures {
    pub(crate) fn new(link: Arc<Link>, prefix: &str, rule: Rule) -> Self {
        let prefix = format!("{prefix}failures:{}:", rule.name);
        let script = Script::new(include_str!("throttle.lua"));
        let turns = Cache::builder().max_capacity(MAX_TURNS).time_to_idle(LEASE).build();
        Self { shared: Arc::new(Shared { link, rule, prefix, script }), turns }
    }

    async fn leave(&self, key: &str) -> Result<Leave, Away> {
        let turn = self.turns.get_with(key.into(), async { Arc::default() }).await;
        let _asking = turn.asking.lock().await;
        let mut pause = FIRST_PAUSE;
        loop {
            // Before the question, so that an attempt that ends in between is not missed.
            let mut ended = std::pin::pin!(turn.ended.notified());
            ended.as_mut().enable();
            // Another one each time: a place whose answer was lost ends by itself.
            let number = fastrand::u64(..);
            match self.shared.ask("begin", key, number).await? {
                (0, _) => {
                    let shared = Arc::clone(&self.shared);
                    let place = Running { shared, turn: Arc::clone(&turn), key: key.into(), number };
                    return Ok(Leave::Given(Attempt::new(Box::new(place))));
                }
                (1, _) => {
                    // Those of several processes that wait do not ask together.
                    let _ = tokio::time::timeout(pause.mul_f64(0.5 + fastrand::f64() / 2.0), ended).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                (_, milliseconds) => return Ok(Leave::Wait(Duration::from_millis(milliseconds))),
            }
        }
    }
}

impl Shared {
    async fn ask(&self, what: &'static str, key: &str, number: u64) -> Result<(u8, u64), Away> {
        let key = format!("{}{key}", self.prefix);
        let arguments = |command: &mut redis::Cmd| {
            command.arg(what).arg(format!("{number:016x}")).arg(self.rule.free.get());
            for time in [self.rule.first_wait, self.rule.window, LEASE] {
                command.arg(u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1));
            }
        };
        let operation = if what == "begin" { "begin" } else { "end" };
        let asked = self
            .link
            .ask(operation, async |connection| self.script.run(connection, &key, arguments).await)
            .await;
        asked.map_err(|away| Away { reason: away.reason })
    }
}

impl fmt::Debug for SharedFailures {
    /// Shows no key: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFailures").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl FailureStore for SharedFailures {
    fn rule(&self) -> &Rule {
        &self.shared.rule
    }

    fn begin<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Leave, Away>> {
        Box::pin(self.leave(key))
    }
}

/// An attempt of this process that is under way.
struct Running {
    shared: Arc<Shared>,
    turn: Arc<Turn>,
    key: Box<str>,
    number: u64,
}

impl Place for Running {
    fn end(self: Box<Self>, outcome: Outcome) -> BoxFuture<'static, Result<(), Away>> {
        let what = match outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Neither => "neither",
        };
        Box::pin(async move {
            let told = self.shared.ask(what, &self.key, self.number).await;
            self.turn.ended.notify_waiters();
            told.map(|_| ())
        })
    }
}

impl fmt::Debug for Running {
    /// Shows no key: it may be of a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("shared", &self.shared).finish_non_exhaustive()
    }
}
