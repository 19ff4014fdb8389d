//! The future that a span is made around.
//!
//! The span starts at the first poll, is attached on every poll and while the future is dropped, and ends once.
//! A future dropped before its first poll leaves no span: nothing happened.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use super::{Outcome, SpanBuilder, SpanGuard};

pin_project! {
    /// A future inside a span; made by [`SpanBuilder::run`] and [`SpanBuilder::observe`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Run<F: Future> {
        #[pin]
        future: Option<F>,
        span: State,
        conclude: fn(&F::Output, &mut SpanGuard),
    }

    impl<F: Future> PinnedDrop for Run<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some((span, outcome)) = this.span.abandon() {
                let _attached = span.context().clone().attach();
                this.future.set(None);
                let mut span = span;
                span.end_once(outcome);
            }
        }
    }
}

/// Where the span stands.
enum State {
    Waiting(SpanBuilder),
    Open { span: SpanGuard, polling: bool },
    Ended,
}

impl State {
    /// Takes the open span and says how it ended, if the future did not.
    fn abandon(&mut self) -> Option<(SpanGuard, Outcome)> {
        match std::mem::replace(self, Self::Ended) {
            // Left inside `poll`: only a panic leaves it that way.
            Self::Open { span, polling: true } => Some((span, Outcome::Panic)),
            Self::Open { span, polling: false } => Some((span, Outcome::Cancelled)),
            Self::Waiting(_) | Self::Ended => None,
        }
    }
}

impl<F: Future> Run<F> {
    pub(super) fn new(builder: SpanBuilder, future: F, conclude: fn(&F::Output, &mut SpanGuard)) -> Self {
        Self { future: Some(future), span: State::Waiting(builder), conclude }
    }
}

impl<F: Future> Future for Run<F> {
    type Output = F::Output;

    /// # Panics
    ///
    /// If polled again after it was ready, as an `async` block does.
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let State::Waiting(_) = this.span
            && let State::Waiting(builder) = std::mem::replace(this.span, State::Ended)
        {
            *this.span = State::Open { span: builder.start(), polling: false };
        }
        let (State::Open { span, polling }, Some(future)) =
            (&mut *this.span, this.future.as_mut().as_pin_mut())
        else {
            panic!("a span's future was polled after completion");
        };

        let attached = span.context().clone().attach();
        *polling = true;
        let polled = future.poll(task);
        *polling = false;

        if let Poll::Ready(output) = &polled {
            this.future.set(None);
            (this.conclude)(output, span);
            drop(attached);
            *this.span = State::Ended;
        }
        polled
    }
}

impl<F: Future> fmt::Debug for Run<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("done", &self.future.is_none()).finish_non_exhaustive()
    }
}
