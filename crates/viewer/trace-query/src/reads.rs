//! Reads of a store: on threads that may block, a bounded number at once, each for a bounded time.
//!
//! For the routers of this crate and for the viewer's own API: whoever shares a [`Reads`] shares its bound.
//!
//! Invariant: a read that is given up on still runs to its end and keeps its turn until then, so that slow reads never
//! pile up behind callers who have gone.

use crate::error::Error;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use waypost_trace_store::TraceStore;

/// A store with a bounded number of readers. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Reads {
    store: Arc<dyn TraceStore>,
    turns: Arc<Semaphore>,
    wait: Duration,
    time: Duration,
}

/// Why a read has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// Its turn did not come.
    #[error("too many reads at once; try again after a moment")]
    Busy,
    /// It began and took too long.
    #[error("the read took too long; ask for less at once")]
    Slow,
    /// It panicked, which is in the log.
    #[error("the read failed")]
    Panicked,
}

impl Reads {
    /// At most `at_once` reads, each of which waits for its turn for at most `wait` and is given up on after `time`.
    pub fn new(store: Arc<dyn TraceStore>, at_once: usize, wait: Duration, time: Duration) -> Reads {
        Reads { store, turns: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))), wait, time }
    }

    /// Runs a read when it is its turn. Dropping the future does not stop a read that has begun.
    ///
    /// # Errors
    /// Those of the read, and [`Unread`].
    pub async fn run<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unread> + Send + 'static,
        F: FnOnce(&dyn TraceStore) -> Result<T, E> + Send + 'static,
    {
        let turn = timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Unread::Busy.into()) };
        let store = Arc::clone(&self.store);
        let reading = spawn_blocking(move || {
            let outcome = read(&*store);
            drop(turn);
            outcome
        });
        match timeout(self.time, reading).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                tracing::error!("a read panicked; the panic hook has written where");
                Err(Unread::Panicked.into())
            }
            Err(_) => Err(Unread::Slow.into()),
        }
    }

    /// The same with the errors of this crate.
    pub(crate) async fn ask<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn TraceStore) -> Result<T, Error> + Send + 'static,
    {
        self.run(read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use waypost_trace_store::{MemoryStore, Settings};

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(1);

    fn reads(wait: Duration, time: Duration) -> Reads {
        Reads::new(Arc::new(MemoryStore::new(Settings::default())), 1, wait, time)
    }

    async fn answer(reads: &Reads) -> Result<u8, Unread> {
        reads.run(|_| Ok(5)).await
    }

    #[tokio::test]
    async fn a_read_waits_for_its_turn_only_for_a_while() {
        let reads = reads(SHORT, LONG);
        let (release, held) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = reads.run(move |_| {
            begun.send(()).unwrap();
            held.recv().ok();
            Ok::<_, Unread>("done")
        });
        let second = async {
            has_begun.await.unwrap();
            let refused = answer(&reads).await;
            release.send(()).unwrap();
            refused
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first, Ok("done"));
        assert_eq!(second, Err(Unread::Busy));
        assert_eq!(answer(&reads).await, Ok(5));
    }

    #[tokio::test]
    async fn a_read_that_takes_too_long_keeps_its_turn_until_it_ends() {
        let (reads, patient) = (reads(SHORT, SHORT), reads(LONG, LONG));
        let patient = Reads { turns: Arc::clone(&reads.turns), ..patient };
        let (release, held) = mpsc::channel::<()>();
        let slow = reads.run(move |_| {
            held.recv().ok();
            Ok(())
        });
        assert_eq!(slow.await, Err(Unread::Slow));
        assert_eq!(reads.turns.available_permits(), 0);
        release.send(()).unwrap();
        assert_eq!(answer(&patient).await, Ok(5));
    }

    #[tokio::test]
    async fn a_read_that_panics_is_an_error_and_gives_its_turn_back() {
        let reads = reads(LONG, LONG);
        let outcome: Result<(), Unread> = reads.run(|_| panic!("a block is damaged")).await;
        assert_eq!(outcome, Err(Unread::Panicked));
        assert_eq!(answer(&reads).await, Ok(5), "its turn is free again");
    }
}
