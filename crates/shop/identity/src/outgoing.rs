//! Connections to another role.

use crate::{Identity, Transport, words};
use rustls::pki_types::ServerName;
use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Makes connections to one role: whoever is at the other end has to have a certificate with one of the role's names.
/// Cheap to clone. Equal to its clones.
#[derive(Clone)]
pub struct Outgoing {
    identity: Identity,
    role: &'static str,
}

impl PartialEq for Outgoing {
    fn eq(&self, other: &Self) -> bool {
        self.role == other.role && self.identity.is(&other.identity)
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("role", &self.role).finish_non_exhaustive()
    }
}

impl Outgoing {
    pub(crate) fn new(identity: Identity, role: &'static str) -> Self {
        Self { identity, role }
    }

    /// The role that is called.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Speaks TLS over a connection that was just made, with the certificate in use at this moment.
    ///
    /// The other end may refuse our certificate after this: TLS 1.3 tells it with what is read first. That is the error of
    /// the stream then, in the same words.
    ///
    /// # Errors
    /// When the other end does not speak TLS 1.3, or is not the role. The error says which, and what to look at; it is
    /// in the log, too, once until it changes.
    pub async fn connect(&self, connection: impl Into<Transport>) -> io::Result<OutgoingStream> {
        let connection = connection.into();
        let peer = connection.peer();
        let material = self.identity.material();
        let config = material.client(self.role, self.identity.names().of(self.role));
        let config = config.map_err(io::Error::other)?;
        let name = ServerName::try_from(self.role).map_err(io::Error::other)?;
        match Box::pin(TlsConnector::from(config).connect(name, connection)).await {
            Ok(stream) => Ok(OutgoingStream { stream, of: self.clone(), peer, has_been_heard: false }),
            Err(error) => Err(self.explained(&error, peer.as_deref())),
        }
    }

    /// The error in words, said in the log when it is news.
    fn explained(&self, error: &io::Error, peer: Option<&str>) -> io::Error {
        let role = self.role;
        let at = peer.map(|peer| format!(" at {peer}")).unwrap_or_default();
        let text = format!("TLS with {role}{at}: {}", words::of(error, self.identity.files()).text);
        if self.identity.is_news(self.role, peer, &text) {
            tracing::warn!(role, reason = text, "cannot call a role");
        }
        io::Error::new(error.kind(), text)
    }
}

/// A connection to a role.
#[derive(Debug)]
pub struct OutgoingStream {
    stream: TlsStream<Transport>,
    of: Outgoing,
    peer: Option<String>,
    has_been_heard: bool,
}

impl AsyncRead for OutgoingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(task, buf));
        match read {
            Ok(()) => {
                if !self.has_been_heard && !buf.filled().is_empty() {
                    self.has_been_heard = true;
                    self.of.identity.heard(self.of.role, self.peer.as_deref());
                }
                Poll::Ready(Ok(()))
            }
            Err(error)
                if error
                    .get_ref()
                    .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) =>
            {
                Poll::Ready(Err(self.of.explained(&error, self.peer.as_deref())))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for OutgoingStream {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(task, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
