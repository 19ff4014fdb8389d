//! Events for single messages of a call, for those who ask for them.
//!
//! Reads the five bytes of framing before every message and nothing else.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use pin_project_lite::pin_project;

use super::frames::{Frames, Piece};
use crate::core::handle::Telemetry;

/// Flags of messages.
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// Turns the bytes of one direction of a call into `rpc.message` events.
#[derive(Debug)]
pub(super) struct MessageEvents {
    direction: &'static str,
    count: i64,
    frames: Frames,
}

impl MessageEvents {
    pub(super) fn sent() -> Self {
        Self::in_direction("SENT")
    }

    pub(super) fn received() -> Self {
        Self::in_direction("RECEIVED")
    }

    fn in_direction(direction: &'static str) -> Self {
        Self { direction, count: 0, frames: Frames::default() }
    }

    /// Looks at the next bytes; adds an event to the span of `context` for every message that begins in them.
    pub(super) fn feed(&mut self, context: &Context, data: &[u8]) {
        self.each_message(data, |direction, count, is_compressed, size| {
            let mut event = vec![
                KeyValue::new("rpc.message.type", direction),
                KeyValue::new("rpc.message.id", count),
                KeyValue::new("rpc.message.compressed_size", i64::from(size)),
            ];
            if !is_compressed {
                event.push(KeyValue::new("rpc.message.uncompressed_size", i64::from(size)));
            }
            let now = Telemetry::clock_of(context).now();
            context.span().add_event_with_timestamp("rpc.message", now, event);
        });
    }

    fn each_message(&mut self, data: &[u8], mut found: impl FnMut(&'static str, i64, bool, u32)) {
        let Self { direction, count, frames } = self;
        frames.read(data, |piece| match piece {
            Piece::Begins { flag: flag @ (PLAIN | COMPRESSED), size } => {
                *count += 1;
                found(direction, *count, flag == COMPRESSED, size);
            }
            // The trailers of gRPC-Web are a frame, but no message.
            Piece::Begins { .. } | Piece::Payload(_) => {}
        });
    }
}

/// Watches the request's messages, if its body is one of those tonic and axum use; others pass unwatched.
pub(super) fn watch_request<B: 'static>(body: &mut B, events: MessageEvents, context: &Context) {
    let any: &mut dyn Any = body;
    let context = context.clone();
    if let Some(body) = any.downcast_mut::<tonic::body::Body>() {
        *body = tonic::body::Body::new(Watched { body: std::mem::take(body), events, context });
    } else if let Some(body) = any.downcast_mut::<axum::body::Body>() {
        *body = axum::body::Body::new(Watched { body: std::mem::take(body), events, context });
    }
}

pin_project! {
    struct Watched<B> {
        #[pin]
        body: B,
        events: MessageEvents,
        context: Context,
    }
}

impl<B: Body<Data = Bytes>> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(task);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.events.feed(this.context, data);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_bytes_are_cut() {
        let stream = [0, 0, 0, 0, 3, 1, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9];
        let stream = [&stream[..], &[0; 255], &[0x80, 0, 0, 0, 1, 0]].concat();
        for cut in [1, 2, 4, 7, 300] {
            let mut events = MessageEvents::sent();
            let mut found = Vec::new();
            for part in stream.chunks(cut) {
                events.each_message(part, |_, count, is_compressed, size| {
                    found.push((count, is_compressed, size));
                });
            }
            assert_eq!(found, [(1, false, 3), (2, true, 0), (3, false, 256)], "cut at {cut}");
        }
    }
}
