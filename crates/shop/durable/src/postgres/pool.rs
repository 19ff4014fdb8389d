//! Connections that units take turns with.
//!
//! Not the driver's own pool: that one asks the server once more for each connection that is given back, tries a refused
//! address again until its time-out and then says only that the time is over, and may put back a connection whose `BEGIN`
//! was dropped half-way. Here a connection comes back only from a task that nobody cancels, and only when nothing is open
//! on it; every other one is closed.
//!
//! One that nobody has needed for a while is closed as well, so that what a role took in a rush goes to others when the server
//! has few. While it has none left, a unit waits for one of this pool.

mod measures;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use waypost_telemetry::Telemetry;

use super::Server;
use super::error::{NO_CONNECTION_LEFT, sqlstate, unanswered};
use super::unit::PREPARED;
use crate::Error;
use crate::error::Cause;
use measures::{Held, Measures};

/// A connection that lay idle for so long is asked whether it still answers before a unit has it.
const TRUSTED: Duration = Duration::from_secs(1);

/// A connection is not used for longer, so that servers behind a balancer come to have their share.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// How long a connection is waited for that is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Before a server that has no connection left is asked again.
const FULL_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Pool {
    name: &'static str,
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    connect_timeout: Duration,
    acquire_timeout: Duration,
    idle_timeout: Duration,
    measures: Measures,
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
    held: Held,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(
        name: &'static str,
        server: &Server,
        options: PgConnectOptions,
        telemetry: &Telemetry,
    ) -> Arc<Pool> {
        Arc::new_cyclic(|pool| Pool {
            name,
            options,
            permits: Arc::new(Semaphore::new(server.max_connections.max(1) as usize)),
            idle: Mutex::default(),
            connect_timeout: server.connect_timeout,
            acquire_timeout: server.acquire_timeout,
            idle_timeout: server.idle_timeout,
            measures: Measures::new(telemetry, name, server, pool.clone()),
        })
    }

    /// A connection, when one is free within the time-out.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Lease, Error> {
        let _waits = self.measures.waits();
        let asked = Instant::now();
        let turn = timeout(self.acquire_timeout, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = match turn {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Error::Closed(self.name)),
            Err(_) => {
                self.measures.timed_out();
                return Err(Error::Busy(Cause::new("pool_timeout", NoConnection)));
            }
        };
        let (connection, born) = self.find(asked).await?;
        self.measures.waited(asked.elapsed());
        let held = self.measures.hold();
        Ok(Lease { connection, born, pool: Arc::clone(self), held, _permit: permit })
    }

    /// One that lies idle and answers, or else a new one.
    async fn find(&self, asked: Instant) -> Result<(PgConnection, Instant), Error> {
        loop {
            while let Some(Idle { mut connection, born, since }) = self.pop() {
                if born.elapsed() > MAX_LIFETIME {
                    close(connection).await;
                } else if since.elapsed() < TRUSTED || answers(&mut connection, self.connect_timeout).await {
                    return Ok((connection, born));
                }
            }
            let begun = Instant::now();
            let refused = match self.connect().await {
                Ok(connection) => {
                    self.measures.created(begun.elapsed());
                    return Ok((connection, Instant::now()));
                }
                Err(refused) => refused,
            };
            // The server has none for us, but others of this pool will be given back.
            let may_come = self.measures.held() > 0 || self.idle() > 0;
            let is_late = asked.elapsed() >= self.acquire_timeout;
            if !may_come || is_late || sqlstate(&refused).as_deref() != Some(NO_CONNECTION_LEFT) {
                return Err(refused);
            }
            sleep(FULL_PAUSE).await;
        }
    }

    /// A connection beside those that are counted.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            connection.execute(sqlx::raw_sql(PREPARED)).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match timeout(self.connect_timeout, connecting).await {
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

    /// Keeps a connection, and closes the one that has been idle for longest if that is for too long. Every role asks its
    /// database whether it answers, so this comes by also when nothing else does.
    fn push(&self, connection: PgConnection, born: Instant) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = idle.first().is_some_and(|oldest| oldest.since.elapsed() >= self.idle_timeout);
        let old = is_old.then(|| idle.remove(0));
        idle.push(Idle { connection, born, since: Instant::now() });
        drop(idle);
        if let Some(old) = old {
            waypost_telemetry::spawn(close(old.connection));
        }
    }

    fn idle(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Lease {
    /// Puts the connection back. Nothing may be open on it.
    pub(super) fn give_back(self) {
        let Lease { connection, born, pool, held, _permit } = self;
        if !pool.permits.is_closed() {
            pool.push(connection, born);
        }
        // Only now: whoever waits for it must find it in one place or the other.
        drop(held);
    }
}

async fn answers(connection: &mut PgConnection, max_wait: Duration) -> bool {
    matches!(timeout(max_wait, connection.ping()).await, Ok(Ok(())))
}

pub(crate) async fn close(connection: PgConnection) {
    // It is gone either way.
    let _ = timeout(CLOSE_TIMEOUT, connection.close()).await;
}

#[derive(Debug, thiserror::Error)]
#[error("no connection of the pool became free; raise database.max_connections, or find what holds them")]
struct NoConnection;
