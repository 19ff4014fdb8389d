//! The rows of [`crate::idempotency`], [`crate::inbox`] and [`crate::outbox`] in memory.
//!
//! For the memory stores of the services. A memory store is one lock around its whole state; what is written under one
//! hold of the lock is its atomic unit. The tables below are parts of that state. [`Outbox`] is a handle with a lock of
//! its own, because the relay reads it too: appending is the last thing a unit does, and cannot fail.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Error;
use crate::idempotency::{Claim, Fence, Key, Row, held, judge, lease_until};
use crate::outbox::{Event, Leadership, Pending};

/// Idempotency keys in memory. Answers as [`crate::idempotency`] does.
#[derive(Clone, Debug, Default)]
pub struct Idempotency {
    rows: HashMap<(String, String, String), Row>,
}

impl Idempotency {
    /// Claims a key.
    pub fn claim(&mut self, key: &Key, now: SystemTime) -> Claim {
        let held = self.rows.get(&scope(key));
        let claim = judge(held, &key.fingerprint, now);
        if let Claim::New { fence, recovery_point } = &claim {
            let row = Row {
                fingerprint: key.fingerprint.clone(),
                fence: fence.0,
                lease_until: lease_until(now),
                recovery_point: recovery_point.clone(),
                result: None,
            };
            self.rows.insert(scope(key), row);
        }
        claim
    }

    /// Records how far the holder has come, and starts its lease anew.
    pub fn record(
        &mut self,
        key: &Key,
        fence: Fence,
        recovery_point: &[u8],
        now: SystemTime,
    ) -> Result<(), Error> {
        let row = self.held_row(key, fence)?;
        row.recovery_point = Some(recovery_point.to_vec());
        row.lease_until = lease_until(now);
        Ok(())
    }

    /// Stores the result.
    pub fn finish(&mut self, key: &Key, fence: Fence, result: &[u8]) -> Result<(), Error> {
        self.held_row(key, fence)?.result = Some(result.to_vec());
        Ok(())
    }

    /// Forgets a claim that came to nothing.
    pub fn abandon(&mut self, key: &Key, fence: Fence) -> Result<(), Error> {
        self.held_row(key, fence)?;
        self.rows.remove(&scope(key));
        Ok(())
    }

    /// What [`Idempotency::claim`] would say of a key that was used before; `None` when the key is free.
    pub fn find(&self, key: &Key, now: SystemTime) -> Option<Claim> {
        Some(judge(self.rows.get(&scope(key)), &key.fingerprint, now))
            .filter(|claim| !matches!(claim, Claim::New { .. }))
    }

    /// Deletes the finished keys whose result says so, and tells how many there were.
    pub fn forget(&mut self, is_over: impl Fn(&[u8]) -> bool) -> usize {
        let before = self.rows.len();
        self.rows.retain(|_, row| row.result.as_ref().is_none_or(|result| !is_over(result)));
        before - self.rows.len()
    }

    fn held_row(&mut self, key: &Key, fence: Fence) -> Result<&mut Row, Error> {
        let row = self.rows.get_mut(&scope(key));
        match row.filter(|row| row.fence == fence.0 && row.result.is_none()) {
            Some(row) => Ok(row),
            None => Err(held(false, key).err().unwrap_or(Error::Malformed { what: "idempotency key" })),
        }
    }
}

fn scope(key: &Key) -> (String, String, String) {
    (key.principal.clone(), key.route.clone(), key.key.clone())
}

/// An inbox in memory.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    seen: HashSet<(String, String)>,
}

impl Inbox {
    /// Whether this consumer sees this event for the first time.
    pub fn first_time(&mut self, consumer: &str, event_id: &str) -> bool {
        self.seen.insert((consumer.to_owned(), event_id.to_owned()))
    }
}

/// An outbox in memory. All clones are the same outbox.
#[derive(Clone, Debug)]
pub struct Outbox {
    rows: Arc<Mutex<Rows>>,
    appended: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Rows {
    last_position: i64,
    unpublished: VecDeque<Pending>,
    published: VecDeque<(Instant, String)>,
    parked: Vec<Pending>,
    lead: Option<(String, Leadership)>,
    ids: HashSet<String>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Outbox {
        Outbox { rows: Arc::default(), appended: Arc::new(watch::Sender::new(0)) }
    }

    /// Appends an event. One whose id is in the outbox already is not appended again.
    pub fn append(&self, event: Event, now: SystemTime) {
        let mut rows = self.lock();
        if rows.ids.insert(event.id.clone()) {
            rows.last_position += 1;
            let position = rows.last_position;
            rows.unpublished.push_back(Pending { position, appended_at: now, event });
        }
        drop(rows);
        self.appended.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox::new()
    }
}

impl crate::outbox::Outbox for Outbox {
    fn pending(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Pending>, Error>> {
        Box::pin(async move {
            let rows = self.lock();
            let is_free = |pending: &&Pending| !rows.parked.iter().any(|parked| parked.holds_back(pending));
            Ok(rows.unpublished.iter().filter(is_free).take(limit).cloned().collect())
        })
    }

    fn mark_published(&self, positions: Vec<i64>, keep: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.delete_published(keep, positions.len() * 2).await?;
            let marked: HashSet<i64> = positions.into_iter().collect();
            let mut rows = self.lock();
            let (published, unpublished): (VecDeque<Pending>, _) = std::mem::take(&mut rows.unpublished)
                .into_iter()
                .partition(|row| marked.contains(&row.position));
            rows.unpublished = unpublished;
            rows.published.extend(published.into_iter().map(|row| (Instant::now(), row.event.id)));
            Ok(())
        })
    }

    fn delete_published(&self, age: Duration, limit: usize) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async move {
            let mut rows = self.lock();
            let old = rows.published.iter().take(limit).take_while(|(at, _)| at.elapsed() >= age).count();
            let ids: Vec<String> = rows.published.drain(..old).map(|(_, id)| id).collect();
            for id in ids {
                rows.ids.remove(&id);
            }
            Ok(old)
        })
    }

    fn park(&self, position: i64, _reason: String) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut rows = self.lock();
            let place = rows.unpublished.iter().position(|pending| pending.position == position);
            let parked = place.and_then(|place| rows.unpublished.remove(place));
            rows.parked.extend(parked);
            Ok(())
        })
    }

    fn parked(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { Ok(self.lock().parked.len() as u64) })
    }

    fn try_lead<'a>(
        &'a self,
        relay: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Option<Leadership>, Error>> {
        Box::pin(async move {
            let mut rows = self.lock();
            let is_free =
                |(leader, lead): &(String, Leadership)| leader == relay || lead.remaining().is_zero();
            if !rows.lead.as_ref().is_none_or(is_free) {
                return Ok(None);
            }
            let lead = Leadership::new(Instant::now(), lease);
            rows.lead = Some((relay.to_owned(), lead));
            Ok(Some(lead))
        })
    }

    fn step_down<'a>(&'a self, relay: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.lock().lead.take_if(|(leader, _)| leader == relay);
            Ok(())
        })
    }

    fn wake(&self) -> BoxStream<'static, ()> {
        stream::unfold(self.appended.subscribe(), |mut appended| async {
            appended.changed().await.ok()?;
            Some(((), appended))
        })
        .boxed()
    }
}
