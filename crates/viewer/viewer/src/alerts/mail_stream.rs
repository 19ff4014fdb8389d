//! The connection of a mail that is encrypted later, read one line at a time.
//!
//! `lettre` (0.11.23) reads answers through a buffer and keeps that buffer over `STARTTLS`. Whoever is on the path can append lines in
//! clear to the answer to `STARTTLS`, and they would be taken for the server's first answers in TLS (RFC 3207, section 6, asks to
//! forget what came before). Here the stream itself holds what came and hands out no more than a line a read, so that the reader above it
//! has nothing left after that answer: TLS is what reads the rest, takes it for a part of its handshake, and ends.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncBufRead as _, AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
};

#[derive(Debug)]
pub(super) struct LineByLine(BufReader<TcpStream>);

impl LineByLine {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }
}

impl AsyncTokioStream for LineByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }
}

impl AsyncRead for LineByLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(&mut self.0);
        let came = ready!(stream.as_mut().poll_fill_buf(context))?;
        let line = came.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let part = line.get(..into.remaining()).unwrap_or(line);
        into.put_slice(part);
        let taken = part.len();
        stream.consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineByLine {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
