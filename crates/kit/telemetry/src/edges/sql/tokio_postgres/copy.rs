//! COPY into a table.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Buf;
use futures_util::Sink;
use pin_project_lite::pin_project;
use tokio_postgres::{CopyInSink, Error};

use super::super::running::Running;

pin_project! {
    /// A sink for what COPY takes. Its span ends when it is finished or closed, or at the first failure; dropped before, it was
    /// cancelled, and the server takes nothing of what was sent.
    #[must_use = "a sink that is not finished copies nothing"]
    pub struct CopyIn<T> {
        #[pin]
        inner: CopyInSink<T>,
        running: Option<Running>,
    }
}

impl<T: Buf + Send + 'static> CopyIn<T> {
    pub(super) fn new(inner: CopyInSink<T>, running: Running) -> Self {
        Self { inner, running: Some(running) }
    }

    /// Ends the copy and returns how many rows the table has now that it had not. As `CopyInSink::finish`.
    pub async fn finish(mut self: Pin<&mut Self>) -> Result<u64, Error> {
        poll_fn(|task| self.as_mut().poll_finish(task)).await
    }

    /// As `CopyInSink::poll_finish`.
    pub fn poll_finish(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<u64, Error>> {
        self.step(true, |inner| inner.poll_finish(task))
    }

    /// One step, and the end of the span if it is the last one or fails.
    fn step<R>(
        self: Pin<&mut Self>,
        is_last: bool,
        step: impl FnOnce(Pin<&mut CopyInSink<T>>) -> Poll<Result<R, Error>>,
    ) -> Poll<Result<R, Error>> {
        let this = self.project();
        let _attached = this.running.as_ref().map(|running| running.context().attach());
        let result = ready!(step(this.inner));
        if (is_last || result.is_err())
            && let Some(running) = this.running.take()
        {
            // What it wrote it did not return.
            running.end(result.as_ref().map(|_| None));
        }
        Poll::Ready(result)
    }
}

impl<T: Buf + Send + 'static> Sink<T> for CopyIn<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.step(false, |inner| inner.poll_ready(task))
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Error> {
        match self.step(false, |inner| Poll::Ready(inner.start_send(item))) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.step(false, |inner| inner.poll_flush(task))
    }

    fn poll_close(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Result<(), Error>> {
        self.step(true, |inner| inner.poll_close(task))
    }
}

impl<T> fmt::Debug for CopyIn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyIn").finish_non_exhaustive()
    }
}
