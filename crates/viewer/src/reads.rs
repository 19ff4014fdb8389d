//! Reads of the store: on threads that may block, a bounded number at once, each for a bounded time.
//!
//! A read that is given up on still runs to its end and keeps its turn until then, so that slow reads never pile up
//! behind callers who have gone.

use crate::problem::Problem;
use axum::{
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};
use waypost_trace_store::TraceStore;

/// A store with a bounded number of readers. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    store: Arc<dyn TraceStore>,
    turns: Arc<Semaphore>,
    wait: Duration,
    time: Duration,
}

impl Reads {
    pub(crate) fn new(store: Arc<dyn TraceStore>, at_once: usize, wait: Duration, time: Duration) -> Reads {
        Reads { store, turns: Arc::new(Semaphore::new(at_once)), wait, time }
    }

    /// Runs a read when it is its turn. Dropping the future does not stop a read that has begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn TraceStore) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = timeout(self.wait, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::busy("too many reads at once; try again after a moment"));
        };
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
                Err(Problem::internal())
            }
            Err(_) => Err(Problem::unavailable("the read took too long; ask for less at once")),
        }
    }

    /// As [`Reads::run`]; the answer is made into JSON on the same thread, as that of a large trace takes its time.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        read: impl FnOnce(&dyn TraceStore) -> Result<T, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let body = self
            .run(move |store| {
                let answer = read(store)?;
                serde_json::to_vec(&answer).map_err(|error| {
                    tracing::error!(%error, "an answer cannot be made into JSON");
                    Problem::internal()
                })
            })
            .await?;
        Ok(json(body.into()))
    }
}

/// An answer that nobody keeps: what is in the store changes.
pub(crate) fn json(body: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use std::sync::mpsc;
    use waypost_trace_store::{MemoryStore, Settings};

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(1);

    fn reads(wait: Duration, time: Duration) -> Reads {
        Reads::new(Arc::new(MemoryStore::new(Settings::default())), 1, wait, time)
    }

    fn status(problem: Problem) -> StatusCode {
        problem.into_response().status()
    }

    #[tokio::test]
    async fn a_read_waits_for_its_turn_only_for_a_while() {
        let reads = reads(SHORT, LONG);
        let (release, held) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let first = reads.run(move |_| {
            begun.send(()).unwrap();
            held.recv().ok();
            Ok("done")
        });
        let second = async {
            has_begun.await.unwrap();
            let refused = reads.run(|_| Ok(())).await;
            release.send(()).unwrap();
            refused
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(first, Ok("done"));
        assert_eq!(second, Err(Problem::busy("too many reads at once; try again after a moment")));
        assert_eq!(reads.run(|_| Ok(5)).await, Ok(5));
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
        assert_eq!(slow.await.map_err(status), Err(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(reads.turns.available_permits(), 0);
        release.send(()).unwrap();
        assert_eq!(patient.run(|_| Ok(5)).await, Ok(5));
    }

    #[tokio::test]
    async fn a_panic_in_a_read_is_answered() {
        let reads = reads(LONG, LONG);
        let outcome = reads.run::<()>(|_| panic!("a block is damaged")).await;
        assert_eq!(outcome, Err(Problem::internal()));
        assert_eq!(reads.run(|_| Ok(5)).await, Ok(5), "its turn is free again");
    }
}
