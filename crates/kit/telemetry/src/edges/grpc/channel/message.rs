//! The message of a call, kept so that it can be sent again.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;

/// The longest message that is kept.
const MAX_KEPT: usize = 256 * 1024;

/// What is known of the body of a request.
pub(super) enum Message {
    /// All of it, at most [`MAX_KEPT`] bytes: as often as one likes.
    Whole(Vec<Bytes>),
    /// A stream, or too long: once.
    Passing(Body),
}

impl Message {
    /// Reads what is there already: the whole of a unary call's, as tonic makes it. Waits for nothing.
    pub(super) fn of(mut body: Body, task: &mut TaskContext<'_>) -> Self {
        let (mut parts, mut length) = (Vec::new(), 0);
        loop {
            match Pin::new(&mut body).poll_frame(task) {
                Poll::Ready(None) => return Self::Whole(parts),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        length += data.len();
                        parts.push(data);
                        if length > MAX_KEPT {
                            return Self::passing(parts, Ok(body));
                        }
                    }
                    Err(_) => return Self::passing(parts, Ok(body)),
                },
                Poll::Ready(Some(Err(failure))) => return Self::passing(parts, Err(failure)),
                Poll::Pending => return Self::passing(parts, Ok(body)),
            }
        }
    }

    fn passing(parts: Vec<Bytes>, rest: Result<Body, tonic::Status>) -> Self {
        let (rest, failure) = match rest {
            Ok(rest) => (Some(rest), None),
            Err(failure) => (None, Some(failure)),
        };
        Self::Passing(Body::new(Again { parts: parts.into_iter(), rest, failure }))
    }

    /// A body to send; `None` if it was sent already and cannot be again.
    pub(super) fn body(&mut self) -> Option<Body> {
        match self {
            Self::Whole(parts) => {
                Some(Body::new(Again { parts: parts.clone().into_iter(), rest: None, failure: None }))
            }
            Self::Passing(body) if body.is_end_stream() => None,
            Self::Passing(body) => Some(std::mem::take(body)),
        }
    }
}

/// Parts that were read before, and what comes behind them.
struct Again {
    parts: std::vec::IntoIter<Bytes>,
    rest: Option<Body>,
    failure: Option<tonic::Status>,
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if let Some(part) = self.parts.next() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(task),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.len() == 0 && self.failure.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(self.parts.as_slice().iter().map(|part| part.len() as u64).sum()),
            Some(_) => SizeHint::new(),
        }
    }
}
