//! Watches what comes on a connection, and ends it when its peer leaves an answer unread.
//!
//! hyper-util reads up to 24 bytes to tell HTTP/1 from HTTP/2, and no time-out of hyper runs meanwhile: a client
//! that connects and says nothing, or stops inside the HTTP/2 preface, would hold its connection for ever. The
//! wire tells how far that reading has come, so that the connection can be given a time for it.
//!
//! On HTTP/1, hyper has one time for both the wait for a request and the arrival of its head. The wire notes when bytes
//! come, so that the two can have times of their own.
//!
//! Nor has hyper a time-out for writing: a peer that asks for much and reads nothing would hold the answer's memory for
//! ever. A write that makes no progress for a while fails here, which ends the connection.

use super::stream::Stream;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing was sent yet.
    Silent,
    /// A part of the HTTP/2 preface.
    Undecided,
    /// Anything else.
    Http1,
    /// The whole preface; hyper's own time-outs run from here on.
    Http2,
}

impl Opening {
    /// True when the protocol is known.
    pub(super) fn is_decided(self) -> bool {
        matches!(self, Opening::Http1 | Opening::Http2)
    }
}

/// Sees from outside what comes on a [`Wire`].
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The number of preface bytes seen, or [`NOT_HTTP2`].
    preface: AtomicU8,
    /// Bytes have come since it was last asked.
    has_read: AtomicBool,
}

const NOT_HTTP2: u8 = u8::MAX;

impl Watch {
    pub(super) fn opening(&self) -> Opening {
        match self.0.preface.load(Ordering::Relaxed) {
            NOT_HTTP2 => Opening::Http1,
            0 => Opening::Silent,
            matched if usize::from(matched) < HTTP2_PREFACE.len() => Opening::Undecided,
            _ => Opening::Http2,
        }
    }

    /// True when bytes have come since the last call.
    pub(super) fn take_has_read(&self) -> bool {
        self.0.has_read.swap(false, Ordering::Relaxed)
    }

    fn observe(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.has_read.store(true, Ordering::Relaxed);
        }
        if self.opening().is_decided() {
            return;
        }
        let seen = usize::from(self.0.preface.load(Ordering::Relaxed));
        let expected = HTTP2_PREFACE.get(seen..).unwrap_or_default();
        let is_preface = expected.iter().zip(bytes).all(|(expected, byte)| expected == byte);
        let has_ended = bytes.is_empty();
        let matched = (seen + bytes.len()).min(HTTP2_PREFACE.len());
        let matched = if is_preface && !has_ended { u8::try_from(matched).ok() } else { None };
        self.0.preface.store(matched.unwrap_or(NOT_HTTP2), Ordering::Relaxed);
    }
}

/// A stream that shows its opening to a [`Watch`] and whose writes do not stall for long.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    watch: Watch,
    write_timeout: Duration,
    /// Runs while a write waits for the peer.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(stream: Stream, write_timeout: Duration) -> (Wire, Watch) {
        let watch = Watch::default();
        (Wire { stream, watch: watch.clone(), write_timeout, stall: None }, watch)
    }

    /// Fails a write that has been waiting for too long.
    fn watched<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let timeout = self.write_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer")))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.watch.observe(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What TLS has taken and not yet sent waits here.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watched(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(reads: &[&[u8]]) -> Opening {
        let watch = Watch::default();
        for bytes in reads {
            watch.observe(bytes);
        }
        watch.opening()
    }

    #[test]
    fn the_first_byte_of_http1_decides() {
        assert_eq!(after(&[]), Opening::Silent);
        assert_eq!(after(&[b"G"]), Opening::Http1);
        assert_eq!(after(&[b"P", b"OST /"]), Opening::Http1);
    }

    #[test]
    fn http2_is_undecided_until_its_preface_is_whole() {
        assert_eq!(after(&[b"PRI * HT"]), Opening::Undecided);
        assert_eq!(after(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0"]), Opening::Http2);
    }
}
