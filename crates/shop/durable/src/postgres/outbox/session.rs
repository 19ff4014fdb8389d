//! The sessions of an outbox that are no transactions: of its leader, and of who listens for others' commits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Executor as _, PgConnection, Row as _};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::pool::close;
use super::super::unit::within;
use super::super::{Database, Heard, params};
use crate::Error;
use crate::outbox::Leadership;

/// What its processes tell each other of.
const TOPIC: &str = "outbox";

/// What an outbox keeps beside the pool.
#[derive(Debug)]
pub(super) struct Sessions {
    database: Database,
    /// The session of each relay, by the relay's id.
    of_relays: Mutex<HashMap<String, Session>>,
    /// Whether a relay of this outbox leads, so that nobody else has to be told of an append.
    leads: Arc<AtomicBool>,
    /// Rises when another process says that it appended.
    told: watch::Sender<u64>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Session {
    connection: PgConnection,
    /// Whether it has the lock.
    leads: bool,
}

impl Sessions {
    /// Starts to listen and to tell, until the database is closed or nobody has the outbox any more.
    pub(super) fn start(database: &Database) -> Arc<Sessions> {
        let end = database.shared.closing.child_token();
        let (told, leads) = (watch::Sender::new(0), Arc::new(AtomicBool::new(false)));
        waypost_telemetry::spawn(tell(database.clone(), Arc::clone(&leads), end.clone()));
        waypost_telemetry::spawn(listen(database.listen(TOPIC), told.clone(), end.clone()));
        Arc::new(Sessions {
            database: database.clone(),
            of_relays: Mutex::default(),
            leads,
            told,
            _end: end.drop_guard(),
        })
    }

    /// Sees each time that another process says that it appended.
    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// Takes the lead or renews it. A session that has it is only asked whether it is still there, which is what the server
    /// counts the lease from.
    pub(super) async fn try_lead(&self, relay: &str, lease: Duration) -> Result<Option<Leadership>, Error> {
        let mut sessions = self.of_relays.lock().await;
        let (asked_at, max_wait) = (Instant::now(), self.database.shared.max_wait);
        if let Some(mut session) = sessions.remove(relay) {
            let asked = if session.leads {
                within(max_wait, session.connection.execute("SELECT 1")).await.map(|_| true)
            } else {
                within(max_wait, take(&mut session.connection, self.database.schema(), lease)).await
            };
            // One that was lost is no answer: a new one asks.
            if let Ok(leads) = asked {
                return Ok(self.keep(&mut sessions, relay, Session { leads, ..session }, asked_at, lease));
            }
        }
        let mut connection = self.database.shared.pool.connect().await?;
        let taken = within(max_wait, take(&mut connection, self.database.schema(), lease)).await;
        match taken {
            Ok(leads) => Ok(self.keep(&mut sessions, relay, Session { connection, leads }, asked_at, lease)),
            Err(error) => {
                self.leads.store(sessions.values().any(|session| session.leads), Ordering::Release);
                Err(error)
            }
        }
    }

    fn keep(
        &self,
        sessions: &mut HashMap<String, Session>,
        relay: &str,
        session: Session,
        asked_at: Instant,
        lease: Duration,
    ) -> Option<Leadership> {
        let leads = session.leads;
        sessions.insert(relay.to_owned(), session);
        self.leads.store(sessions.values().any(|session| session.leads), Ordering::Release);
        leads.then(|| Leadership::new(asked_at, lease))
    }

    /// Ends the session of a relay, and its lead with it.
    pub(super) async fn step_down(&self, relay: &str) {
        let mut sessions = self.of_relays.lock().await;
        if let Some(mut session) = sessions.remove(relay) {
            // Said before it ends, because the server takes a moment to notice that.
            let unlock = session.connection.execute("SELECT pg_advisory_unlock_all()");
            if within(self.database.shared.max_wait, unlock).await.is_ok() {
                close(session.connection).await;
            }
        }
        self.leads.store(sessions.values().any(|session| session.leads), Ordering::Release);
    }
}

/// Takes the lock, if nobody has it. The server ends the session that is silent for as long as the lease.
async fn take(session: &mut PgConnection, schema: String, lease: Duration) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query("SELECT pg_try_advisory_lock(hashtextextended('waypost outbox ' || $1, 0))")
        .bind(schema)
        .fetch_one(&mut *session)
        .await?
        .try_get(0)?;
    if taken {
        let silence = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX).clamp(1, i64::from(i32::MAX));
        sqlx::query("SELECT set_config('idle_session_timeout', $1, false)")
            .bind(silence.to_string())
            .execute(session)
            .await?;
    }
    Ok(taken)
}

/// Tells others of appends, unless the relay of this process sees to them.
async fn tell(database: Database, leads: Arc<AtomicBool>, end: CancellationToken) {
    let mut appended = database.shared.appended.subscribe();
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            changed = appended.changed() => if changed.is_err() { return },
        }
        if leads.load(Ordering::Acquire) {
            continue;
        }
        let told: Result<(), Error> = database
            .read("tell-of-events", database.channel(TOPIC), |unit, channel| {
                Box::pin(async move {
                    unit.query_row("SELECT pg_notify($1, '')", params![channel], |_| Ok(())).await
                })
            })
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "other relays were not told of events; they look by themselves");
        }
    }
}

/// Hears of what others append, and of what they may have appended unheard.
async fn listen(mut heard: mpsc::Receiver<Heard>, told: watch::Sender<u64>, end: CancellationToken) {
    let listening = async {
        // The first is that it is listened from now on. A relay that begins looks by itself.
        heard.recv().await;
        while heard.recv().await.is_some() {
            told.send_modify(|times| *times = times.wrapping_add(1));
        }
    };
    tokio::select! {
        () = end.cancelled() => {}
        () = listening => {}
    }
}
