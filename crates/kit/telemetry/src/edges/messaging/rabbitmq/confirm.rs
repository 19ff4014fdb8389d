//! The broker's confirmation of a message.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use lapin::{Confirmation, PublisherConfirm, Result};

use super::super::client::Operation;
use crate::base::error::{ErrorClass, ErrorType};
use crate::core::spawn::spawn;

/// The confirmation of a message that was handed over. It may be dropped: the span of the message ends with the confirmation
/// all the same, while the runtime runs.
///
/// A message that the broker has refused, or that was mandatory and came back because no queue takes it, is a failure of its
/// span; to the program they are answers, as with `lapin`.
#[must_use = "it tells whether the broker has the message"]
pub struct Confirm {
    /// Until there is an answer.
    pending: Option<(PublisherConfirm, Operation)>,
}

impl Confirm {
    pub(super) fn new(answer: PublisherConfirm, operation: Operation) -> Self {
        Self { pending: Some((answer, operation)) }
    }
}

impl Future for Confirm {
    type Output = Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some((answer, _)) = &mut self.pending else { return Poll::Pending };
        let answer = ready!(Pin::new(answer).poll(task));
        if let Some((_, operation)) = self.pending.take() {
            end(operation, &answer);
        }
        Poll::Ready(answer)
    }
}

impl Drop for Confirm {
    fn drop(&mut self) {
        let Some((answer, operation)) = self.pending.take() else { return };
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(spawn(async move { end(operation, &answer.await) }));
        }
    }
}

fn end(operation: Operation, answer: &Result<Confirmation>) {
    match answer {
        Err(_) => operation.end(answer),
        Ok(Confirmation::NotRequested | Confirmation::Ack(None)) => operation.end(&Ok::<(), Refused>(())),
        Ok(Confirmation::Ack(Some(returned))) => {
            operation.end(&Err::<(), _>(Refused::Returned(returned.reply_code)));
        }
        Ok(Confirmation::Nack(_)) => operation.end(&Err::<(), _>(Refused::Nack)),
    }
}

/// The broker does not have the message.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the broker refused the message")]
    Nack,
    /// With its code of that.
    #[error("the broker returned the message: {0}")]
    Returned(u16),
}

impl ErrorType for Refused {
    fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::Nack => "nack".into(),
            Self::Returned(312) => "no_route".into(),
            Self::Returned(313) => "no_consumers".into(),
            Self::Returned(_) => "returned".into(),
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Dependency
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirm").finish_non_exhaustive()
    }
}
