//! A response's body that gives its place back when it ends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::Place;

pin_project! {
    /// The body of a request that went through the layer, or of its refusal.
    #[derive(Debug)]
    pub struct ShedBody<B> {
        #[pin]
        inner: Option<B>,
        refusal: Option<Bytes>,
        place: Option<Place>,
    }
}

impl<B> ShedBody<B> {
    pub(super) fn counted(inner: B, place: Place) -> Self {
        Self { inner: Some(inner), refusal: None, place: Some(place) }
    }

    pub(super) fn uncounted(inner: B) -> Self {
        Self { inner: Some(inner), refusal: None, place: None }
    }

    pub(super) fn text(text: Vec<u8>) -> Self {
        Self { inner: None, refusal: Some(text.into()), place: None }
    }
}

impl<B> Default for ShedBody<B> {
    /// An empty body.
    fn default() -> Self {
        Self { inner: None, refusal: None, place: None }
    }
}

impl<B: Body<Data = Bytes>> Body for ShedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(this.refusal.take().map(|text| Ok(Frame::data(text))));
        };
        let frame = ready!(inner.poll_frame(cx));
        // Trailers and errors are the last frame; whoever reads a body need not ask for the end as well.
        if !matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            *this.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.refusal.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(self.refusal.as_ref().map_or(0, |text| text.remaining() as u64)),
        }
    }
}
