//! Rows as they come.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::{Error, Row, RowStream, SimpleQueryMessage};

use super::super::running::Running;

/// What may be a row that a statement returned.
pub trait Counted {
    /// Whether rows are counted in what this is part of.
    const ROWS: bool = true;

    /// Whether it is one.
    fn is_row(&self) -> bool;
}

impl Counted for Row {
    fn is_row(&self) -> bool {
        true
    }
}

impl Counted for SimpleQueryMessage {
    fn is_row(&self) -> bool {
        matches!(self, Self::Row(_))
    }
}

/// A piece of what COPY sends.
impl Counted for Bytes {
    const ROWS: bool = false;

    fn is_row(&self) -> bool {
        false
    }
}

pin_project! {
    /// What a statement returns, piece by piece. Its span ends with the last piece or the first failure; dropped before, it
    /// was cancelled.
    #[must_use = "streams do nothing unless polled"]
    pub struct Rows<S> {
        #[pin]
        inner: S,
        running: Option<Running>,
        read: u64,
    }
}

impl<S> Rows<S> {
    pub(super) fn new(inner: S, running: Running) -> Self {
        Self { inner, running: Some(running), read: 0 }
    }
}

impl Rows<RowStream> {
    /// As `RowStream::rows_affected`.
    pub fn rows_affected(&self) -> Option<u64> {
        self.inner.rows_affected()
    }
}

impl<T: Counted, S: Stream<Item = Result<T, Error>>> Stream for Rows<S> {
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let _attached = this.running.as_ref().map(|running| running.context().attach());
        let item = ready!(this.inner.poll_next(task));
        let end = match &item {
            Some(Ok(piece)) => {
                *this.read += u64::from(piece.is_row());
                None
            }
            Some(Err(error)) => Some(Err(error)),
            None => Some(Ok(T::ROWS.then_some(*this.read))),
        };
        if let Some(end) = end
            && let Some(running) = this.running.take()
        {
            running.end(end);
        }
        Poll::Ready(item)
    }
}

impl<S> fmt::Debug for Rows<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("read", &self.read).finish_non_exhaustive()
    }
}
