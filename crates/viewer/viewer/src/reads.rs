//! Reads of the store whose outcome is an answer, or a problem document.

use crate::problem::Problem;
use axum::{
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use waypost_trace_query::Reads as Bounded;
use waypost_trace_store::TraceStore;

/// The reads of the viewer's own API. Cheap to clone; they count together with those of the query APIs.
#[derive(Clone, Debug)]
pub(crate) struct Reads(Bounded);

impl Reads {
    pub(crate) fn new(reads: Bounded) -> Reads {
        Reads(reads)
    }

    /// Runs a read when it is its turn. Dropping the future does not stop a read that has begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn TraceStore) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.run(read).await
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
