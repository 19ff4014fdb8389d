//! The stream that a span is made around.
//!
//! The span starts at the first poll and ends with the stream: as cancelled if it is dropped before its end. It is
//! attached on every poll and while the stream is dropped, not while its items are worked on.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use futures_util::Stream;
use opentelemetry::Context;
use pin_project_lite::pin_project;

use super::{Outcome, SpanBuilder, SpanGuard};
use crate::base::error::AsErrorType;

impl SpanBuilder {
    /// Runs a stream inside the span, which lasts until the stream has ended. Items that are errors are recorded as
    /// by [`run`](Self::run); they do not end the stream.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use futures_util::{StreamExt, stream};
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let telemetry = TestTelemetry::new("order-service");
    /// let rows = stream::iter([Ok(1), Err(std::io::Error::other("the connection broke"))]);
    /// let read = telemetry.span("read-orders").run_stream(rows).count().await;
    /// assert_eq!(read, 2);
    /// telemetry.tree().assert_matches("read-orders INTERNAL order-service ERROR error.type=other");
    /// # });
    /// ```
    pub fn run_stream<T, E, S>(self, stream: S) -> RunStream<S>
    where
        E: AsErrorType,
        S: Stream<Item = Result<T, E>>,
    {
        RunStream::new(self, stream, |item, span| {
            if let Err(failure) = item {
                span.record_error(failure);
            }
        })
    }

    /// As [`run_stream`](Self::run_stream), whatever the items are.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use futures_util::{StreamExt, stream};
    ///
    /// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
    /// let rows = telemetry.span("read-orders").observe_stream(stream::iter([1, 2])).count().await;
    /// assert_eq!((rows, telemetry.only_span("read-orders").is_error()), (2, false));
    /// # });
    /// ```
    pub fn observe_stream<S: Stream>(self, stream: S) -> RunStream<S> {
        RunStream::new(self, stream, |_, _| ())
    }
}

pin_project! {
    /// A stream inside a span; made by [`SpanBuilder::run_stream`] and [`SpanBuilder::observe_stream`].
    #[must_use = "streams do nothing unless polled"]
    pub struct RunStream<S: Stream> {
        #[pin]
        stream: Option<S>,
        waiting: Option<SpanBuilder>,
        span: Option<SpanGuard>,
        polling: bool,
        look: fn(&S::Item, &SpanGuard),
    }

    impl<S: Stream> PinnedDrop for RunStream<S> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(mut span) = this.span.take() {
                let _attached = span.context().clone().attach();
                this.stream.set(None);
                // Left inside a poll: only a panic leaves it that way.
                span.end_once(if *this.polling { Outcome::Panic } else { Outcome::Cancelled });
            }
        }
    }
}

impl<S: Stream> RunStream<S> {
    fn new(builder: SpanBuilder, stream: S, look: fn(&S::Item, &SpanGuard)) -> Self {
        Self { stream: Some(stream), waiting: Some(builder), span: None, polling: false, look }
    }
}

impl<S: Stream> Stream for RunStream<S> {
    type Item = S::Item;

    /// Gives `None` again after the end.
    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        if let Some(builder) = this.waiting.take() {
            *this.span = Some(builder.start());
        }
        let (Some(span), Some(stream)) = (&mut *this.span, this.stream.as_mut().as_pin_mut()) else {
            return Poll::Ready(None);
        };
        let context: Context = span.context().clone();
        let attached = context.attach();
        *this.polling = true;
        let polled = stream.poll_next(task);
        *this.polling = false;

        let item = ready!(polled);
        if let Some(item) = &item {
            (this.look)(item, span);
        } else {
            this.stream.set(None);
            span.end_once(Outcome::Ok);
            drop(attached);
            *this.span = None;
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

impl<S: Stream> fmt::Debug for RunStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunStream").field("done", &self.stream.is_none()).finish_non_exhaustive()
    }
}
