//! Watches a connection's first bytes.
//!
//! hyper-util reads up to 24 bytes to tell HTTP/1 from HTTP/2, and no time-out of hyper runs meanwhile: a client
//! that connects and says nothing, or stops inside the HTTP/2 preface, would hold its connection for ever. The
//! wire tells how far that reading has come, so that the connection can be given a time for it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
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
    /// HTTP/1 or HTTP/2; hyper's own time-outs run from here on.
    Decided,
}

/// Sees the opening of a [`Wire`] from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<AtomicU8>);

impl Watch {
    pub(super) fn opening(&self) -> Opening {
        match usize::from(self.0.load(Ordering::Relaxed)) {
            0 => Opening::Silent,
            matched if matched < HTTP2_PREFACE.len() => Opening::Undecided,
            _ => Opening::Decided,
        }
    }

    /// The state is the number of preface bytes seen; anything else counts as a whole preface.
    fn observe(&self, bytes: &[u8]) {
        let seen = usize::from(self.0.load(Ordering::Relaxed));
        let Some(expected) = HTTP2_PREFACE.get(seen..) else { return };
        let is_preface = expected.iter().zip(bytes).all(|(expected, byte)| expected == byte);
        let has_ended = bytes.is_empty();
        let matched = if is_preface && !has_ended { seen + bytes.len() } else { HTTP2_PREFACE.len() };
        let matched = u8::try_from(matched.min(HTTP2_PREFACE.len())).unwrap_or(u8::MAX);
        self.0.store(matched, Ordering::Relaxed);
    }
}

/// A TCP stream that shows its opening to a [`Watch`].
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    watch: Watch,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> (Wire, Watch) {
        let watch = Watch::default();
        (Wire { stream, watch: watch.clone() }, watch)
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
        if self.watch.opening() != Opening::Decided {
            self.watch.observe(buf.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
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
        assert_eq!(after(&[b"G"]), Opening::Decided);
        assert_eq!(after(&[b"P", b"OST /"]), Opening::Decided);
    }

    #[test]
    fn http2_is_undecided_until_its_preface_is_whole() {
        assert_eq!(after(&[b"PRI * HT"]), Opening::Undecided);
        assert_eq!(after(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n\0\0"]), Opening::Decided);
    }
}
