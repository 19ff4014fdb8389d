//! A stream that is written as a future which hands over one item after the other.
//!
//! A stream of rows borrows from the connection that it holds, which no type can say; a future may do so.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::Stream;

/// Where a future puts its items.
pub(super) struct Giver<T>(Arc<Mutex<Option<T>>>);

impl<T> Giver<T> {
    /// Hands over an item and goes on when the next one is asked for. Only to be awaited by the stream's own future.
    pub(super) async fn give(&self, item: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(item);
        let mut is_taken = false;
        poll_fn(|_| if std::mem::replace(&mut is_taken, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}

/// The items of a future, and its error as the last one.
pub(super) struct Steps<T, F> {
    given: Arc<Mutex<Option<T>>>,
    future: Option<Pin<Box<F>>>,
}

impl<T, E, F: Future<Output = Result<(), E>>> Steps<T, F> {
    pub(super) fn of(make: impl FnOnce(Giver<T>) -> F) -> Self {
        let given = Arc::new(Mutex::new(None));
        let future = make(Giver(Arc::clone(&given)));
        Self { given, future: Some(Box::pin(future)) }
    }
}

impl<T, E, F: Future<Output = Result<(), E>>> Stream for Steps<T, F> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(future) = &mut self.future else { return Poll::Ready(None) };
        match future.as_mut().poll(task) {
            Poll::Ready(result) => {
                self.future = None;
                Poll::Ready(result.err().map(Err))
            }
            Poll::Pending => match self.given.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(item) => Poll::Ready(Some(Ok(item))),
                None => Poll::Pending,
            },
        }
    }
}

// Nothing in it is pinned in its place: the future has a box of its own.
impl<T, F> Unpin for Steps<T, F> {}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn items_come_in_order_and_the_error_last() {
        let steps = Steps::of(|giver| async move {
            for number in 0..3 {
                tokio::task::yield_now().await;
                giver.give(number).await;
            }
            Err("the end")
        });
        let items: Vec<_> = steps.collect().await;
        assert_eq!(items, [Ok(0), Ok(1), Ok(2), Err("the end")]);
    }
}
