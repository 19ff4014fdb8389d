//! A number of places, and those who wait for one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{Reason, Settings};
use crate::deadline;

#[derive(Debug)]
pub(super) struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Lane {
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A place, if one is free and nobody waits for it.
    pub(super) fn free_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// A place, now or after a short wait.
    pub(super) async fn place(&self, settings: &Settings) -> Result<OwnedSemaphorePermit, Reason> {
        if let Some(permit) = self.free_place() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.waiting, settings.max_waiting).ok_or(Reason::TooManyWait)?;
        let max = Instant::now() + settings.max_wait;
        let until = deadline::current().map_or(max, |deadline| deadline.min(max));
        match timeout_at(until, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed, so this is the time-out.
            Ok(Err(_)) | Err(_) => Err(Reason::WaitedTooLong),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.places.available_permits() > 0
    }

    pub(super) fn may_wait(&self, settings: &Settings) -> bool {
        self.waiting.load(Ordering::Relaxed) < settings.max_waiting
    }
}

/// One of those who wait, counted until it is dropped, also when its client has hung up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        // Relaxed: the number stands for itself and orders nothing else.
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < max).then_some(now + 1))
            .ok()
            .map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
