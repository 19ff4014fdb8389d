//! Connections that units take turns with.
//!
//! Not the driver's own pool: that one asks the server once more for each connection that is given back, tries a refused
//! address again until its time-out and then says only that the time is over, and may put back a connection whose `BEGIN`
//! was dropped half-way. Here a connection comes back only from a task that nobody cancels, and only when nothing is open
//! on it; every other one is closed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::Server;
use super::error::unanswered;
use crate::Error;
use crate::error::Cause;

/// A connection that lay idle for so long is asked whether it still answers before a unit has it.
const TRUSTED: Duration = Duration::from_secs(1);

/// A connection is not used for longer, so that servers behind a balancer come to have their share.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// How long a connection is waited for that is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    name: &'static str,
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    connect_timeout: Duration,
    acquire_timeout: Duration,
}

struct Idle {
    connection: PgConnection,
    born: Instant,
    since: Instant,
}

/// A connection for the time of one unit. Dropped without [`Lease::give_back`] it is closed.
pub(super) struct Lease {
    pub(super) connection: PgConnection,
    born: Instant,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(name: &'static str, server: &Server, options: PgConnectOptions) -> Pool {
        Pool {
            name,
            options,
            permits: Arc::new(Semaphore::new(server.max_connections.max(1) as usize)),
            idle: Mutex::default(),
            connect_timeout: server.connect_timeout,
            acquire_timeout: server.acquire_timeout,
        }
    }

    /// A connection, when one is free within the time-out.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Lease, Error> {
        let turn = timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = match turn {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Error::Closed(self.name)),
            Err(_) => return Err(Error::Busy(Cause::new("pool_timeout", NoConnection))),
        };
        while let Some(Idle { mut connection, born, since }) = self.pop() {
            if born.elapsed() > MAX_LIFETIME {
                close(connection).await;
            } else if since.elapsed() < TRUSTED || answers(&mut connection, self.connect_timeout).await {
                return Ok(Lease { connection, born, pool: Arc::clone(self), _permit: permit });
            }
        }
        let connection = self.connect().await?;
        Ok(Lease { connection, born: Instant::now(), pool: Arc::clone(self), _permit: permit })
    }

    /// A connection beside those that are counted.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        match timeout(self.connect_timeout, self.options.connect()).await {
            Ok(connected) => connected.map_err(Error::from),
            Err(_) => Err(unanswered()),
        }
    }

    /// Refuses whoever comes from now on, and closes what lies idle.
    pub(super) async fn close(&self) {
        self.permits.close();
        while let Some(idle) = self.pop() {
            close(idle.connection).await;
        }
    }

    /// Gives up what lies idle.
    pub(super) fn forget(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn pop(&self) -> Option<Idle> {
        // The one that was used last, so that those too many grow old.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Lease {
    /// Puts the connection back. Nothing may be open on it.
    pub(super) fn give_back(self) {
        let Lease { connection, born, pool, _permit } = self;
        if !pool.permits.is_closed() {
            let idle = Idle { connection, born, since: Instant::now() };
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
        }
    }
}

async fn answers(connection: &mut PgConnection, patience: Duration) -> bool {
    matches!(timeout(patience, connection.ping()).await, Ok(Ok(())))
}

pub(super) async fn close(connection: PgConnection) {
    // It is gone either way.
    let _ = timeout(CLOSE_TIMEOUT, connection.close()).await;
}

#[derive(Debug, thiserror::Error)]
#[error("no connection of the pool became free; raise database.max_connections, or find what holds them")]
struct NoConnection;
