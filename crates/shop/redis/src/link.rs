//! One connection, or none: who asks, and who brings it back.
//!
//! Invariants: a question is asked over a connection that stands, or not at all; a connection that fails is given up at
//! once, one that is silent after a number of time-outs in a row; only [`Link::keep`] connects, so that a Redis which is away
//! costs no request anything.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{RedisError, RedisResult};
use tokio::sync::Notify;
use waypost_telemetry::opentelemetry::KeyValue;
use waypost_telemetry::opentelemetry::metrics::{Counter, Gauge};
use waypost_telemetry::redis::Traced;
use waypost_telemetry::{ErrorType as _, Telemetry};

use crate::config::Settings;
use crate::connect::{Connection, Servers};
use crate::trouble;

/// Pause before the first attempt to connect again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Redis could not be asked, or did not answer.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    pub(crate) reason: String,
}

/// The connection of a role to Redis.
pub(crate) struct Link {
    servers: Servers,
    traced: waypost_telemetry::redis::Redis,
    state: Mutex<State>,
    /// Time-outs in a row.
    silent: AtomicU32,
    lost: Notify,
    meters: Meters,
}

struct State {
    connection: Result<Traced<Connection>, Away>,
    /// Counts connections, so that what failed on an earlier one does not end a later one.
    number: u64,
}

struct Meters {
    failures: Counter<u64>,
    skipped: Counter<u64>,
    connected: Gauge<u64>,
}

impl Link {
    /// Not connected yet.
    pub(crate) fn new(servers: Servers, settings: &Settings, telemetry: &Telemetry) -> Self {
        let (host, port) = servers.name();
        let counter = |name, description| {
            telemetry.meter().u64_counter(name).with_description(description).with_unit("{operation}").build()
        };
        let meters = Meters {
            failures: counter(
                "waypost.redis.failures",
                "Operations on Redis that failed or had no answer in time",
            ),
            skipped: counter("waypost.redis.skipped", "Operations that were not tried, as Redis was away"),
            connected: telemetry
                .meter()
                .u64_gauge("waypost.redis.connected")
                .with_description("1 while Redis is connected, 0 while it is away")
                .with_unit("{connection}")
                .build(),
        };
        let away = Away { reason: format!("{}: not connected yet", settings.urls.join(", ")) };
        Self {
            traced: telemetry.redis().server(host, port).require_parent(true),
            servers,
            state: Mutex::new(State { connection: Err(away), number: 0 }),
            silent: AtomicU32::new(0),
            lost: Notify::new(),
            meters,
        }
    }

    /// Asks, if there is a connection. `operation` names the question in the metrics.
    pub(crate) async fn ask<T>(
        &self,
        operation: &'static str,
        question: impl AsyncFnOnce(&mut Traced<Connection>) -> RedisResult<T>,
    ) -> Result<T, Away> {
        let (connection, number) = {
            let state = self.lock();
            (state.connection.clone(), state.number)
        };
        let label = KeyValue::new("waypost.redis.operation", operation);
        let mut connection =
            connection.inspect_err(|_| self.meters.skipped.add(1, std::slice::from_ref(&label)))?;
        match question(&mut connection).await {
            Ok(answer) => {
                // Relaxed: the number stands for itself.
                self.silent.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Err(error) => {
                self.meters.failures.add(1, &[label, KeyValue::new("error.type", error.error_type())]);
                Err(self.failed(number, &error))
            }
        }
    }

    /// Whether it answers at the moment.
    pub(crate) async fn ping(&self) -> Result<(), Away> {
        let ping = async |connection: &mut Traced<Connection>| {
            redis::cmd("PING").query_async::<()>(connection).await
        };
        self.ask("ping", ping).await
    }

    /// One attempt to connect. What comes of it is logged when it is news.
    pub(crate) async fn connect(&self) {
        match self.servers.connect().await {
            Ok(connection) => {
                let mut state = self.lock();
                state.number += 1;
                state.connection = Ok(self.traced.wrap(connection));
                drop(state);
                self.silent.store(0, Ordering::Relaxed);
                self.meters.connected.record(1, &[]);
                tracing::info!(urls = self.servers.urls(), "Redis is connected");
            }
            Err(error) => self.away(&error),
        }
    }

    /// Brings the connection back whenever it is lost, for ever.
    pub(crate) async fn keep(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.lock().connection.is_ok() {
                pause = FIRST_PAUSE;
                self.lost.notified().await;
            } else {
                // Those that lost it together do not come back together.
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                pause = pause.saturating_mul(2).min(self.servers.settings().retry_pause.get());
                self.connect().await;
            }
        }
    }

    /// What a failure means for the connection.
    fn failed(&self, number: u64, error: &RedisError) -> Away {
        let away = self.words(error);
        let is_over = if error.is_timeout() {
            self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= self.servers.settings().failures
        } else {
            // A server that has become a replica is looked up anew.
            error.is_unrecoverable_error()
                || matches!(error.code(), Some("READONLY" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN"))
        };
        if is_over && self.lock().number == number {
            self.away(error);
        }
        away
    }

    /// From now on nobody asks. Logged when it is news: the first time, and with another reason.
    fn away(&self, error: &RedisError) {
        let away = self.words(error);
        let mut state = self.lock();
        let is_news = state.connection.as_ref().err().is_none_or(|before| before.reason != away.reason);
        let reason = away.reason.clone();
        state.connection = Err(away);
        drop(state);
        self.meters.connected.record(0, &[]);
        self.lost.notify_one();
        if is_news {
            tracing::warn!(reason, "Redis is away; requests go on without it");
        }
    }

    fn words(&self, error: &RedisError) -> Away {
        Away {
            reason: format!("{}: {}", self.servers.urls(), trouble::words(error, self.servers.settings())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("servers", &self.servers.urls()).finish_non_exhaustive()
    }
}
