//! Where the store is read: on threads that may block, a few at once.

use crate::error::Error;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use waypost_trace_store::TraceStore;

/// Reads of one router at once. Each may hold an answer of the largest size in memory.
const AT_ONCE: usize = 4;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store with a bound on how many read it at once. Cloning gives another handle to the same bound.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    store: Arc<dyn TraceStore>,
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Reads {
    pub(crate) fn new(store: Arc<dyn TraceStore>) -> Reads {
        Reads { store, turns: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE }
    }

    /// Runs `read` where it may block. When the returned future is dropped while `read` runs, `read` runs to its end
    /// and keeps its turn until then.
    pub(crate) async fn run<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&dyn TraceStore) -> Result<T, Error> + Send + 'static,
    {
        let turn = timeout(self.patience, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| Error::Busy)?
            .map_err(|_| Error::Failed)?;
        let store = Arc::clone(&self.store);
        let running = spawn_blocking(move || {
            let result = read(&*store);
            drop(turn);
            result
        });
        running.await.map_err(|panicked| {
            tracing::error!(error = %panicked, "a query panicked");
            Error::Failed
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_store::{MemoryStore, Settings};

    #[tokio::test]
    async fn who_waits_too_long_for_a_turn_is_sent_away() {
        let store = Arc::new(MemoryStore::new(Settings::default()));
        let reads = Reads { patience: Duration::ZERO, ..Reads::new(store) };
        let turns = Arc::clone(&reads.turns).acquire_many_owned(4).await.unwrap();
        assert!(matches!(reads.run(|_| Ok(())).await, Err(Error::Busy)));
        drop(turns);
        reads.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_read_that_panics_is_an_error_and_gives_its_turn_back() {
        let reads = Reads::new(Arc::new(MemoryStore::new(Settings::default())));
        for _ in 0..=AT_ONCE {
            let result: Result<(), Error> = reads.run(|_| panic!("on purpose")).await;
            assert!(matches!(result, Err(Error::Failed)));
        }
    }
}
