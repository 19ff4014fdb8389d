//! The place of a request's body that stays with a library of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Says how large the body is, as far as that is known, and has nothing in it.
pub(super) struct Announced(pub(super) SizeHint);

impl Announced {
    /// For a body of which only its headers are known.
    #[cfg(any(feature = "actix", feature = "poem"))]
    pub(super) fn unknown() -> Self {
        Self(SizeHint::new())
    }
}

impl Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
    }
}
