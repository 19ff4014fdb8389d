//! Connections of the other roles.

use crate::{
    Identity, Peer, Transport,
    certificate::Certificate,
    plain::{self, Answer},
    words,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A connection whose other end has shown who it is.
pub type IncomingStream = TlsStream<Transport>;

/// Takes connections of those who show a certificate of the authorities, whoever they are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Incoming {
    identity: Identity,
}

/// A connection that ended with its handshake.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// What was wrong, in a word: for metrics.
    pub kind: &'static str,
    /// What was wrong with the other end.
    pub reason: String,
}

impl Incoming {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// The role that listens.
    pub fn role(&self) -> &'static str {
        self.identity.role()
    }

    /// Speaks TLS with whoever has connected, with the certificate in use at this moment. Has no time-out of its own but
    /// for the farewell to those who are refused, which takes a second at most.
    ///
    /// # Errors
    /// When the other end shows no certificate, or none that can be accepted, or does not speak TLS 1.3. Who does not speak
    /// TLS at all is told so in HTTP.
    pub async fn accept(
        &self,
        connection: impl Into<Transport>,
    ) -> Result<(IncomingStream, Arc<Peer>), Refused> {
        let connection = connection.into();
        let mut first = [0; plain::SEEN];
        let seen = connection.peek(&mut first).await.unwrap_or_default();
        if let Some(answer) = plain::answer(first.get(..seen).unwrap_or_default()) {
            // It may be gone already, which is as good.
            let _ = timeout(FAREWELL, told(connection, answer)).await;
            return Err(Refused { kind: "not_tls", reason: "it does not speak TLS".to_owned() });
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.identity.material().server));
        let stream = match acceptor.accept(connection).into_fallible().await {
            Ok(stream) => stream,
            Err((error, connection)) => {
                let _ = timeout(FAREWELL, left(connection)).await;
                return Err(self.refused(&error));
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        match certificate.map(|der| Certificate::read(der)) {
            Some(Ok(read)) => Ok((stream, Arc::new(Peer::new(self.identity.names(), &read.names)))),
            Some(Err(reason)) => Err(Refused { kind: "bad_certificate", reason }),
            None => Err(self.refused(&io::Error::other(rustls::Error::NoCertificatesPresented))),
        }
    }

    fn refused(&self, error: &io::Error) -> Refused {
        let words = words::of(error, self.identity.files());
        Refused { kind: words.kind, reason: words.text }
    }
}

/// Bytes of a client without TLS that are looked at.
const MAX_SEEN: usize = 4096;

/// How long the other end has to read why it was refused.
const FAREWELL: Duration = Duration::from_secs(1);

/// Tells a client without TLS that this is no place for it.
async fn told(mut connection: Transport, answer: Answer) -> io::Result<()> {
    match answer {
        Answer::Http1(words) => connection.write_all(&words).await?,
        Answer::Http2(first, then) => {
            connection.write_all(&first).await?;
            let mut seen = Vec::new();
            while !plain::has_request(&seen)
                && seen.len() < MAX_SEEN
                && connection.read_buf(&mut seen).await? > 0
            {}
            connection.write_all(&then).await?;
        }
    }
    left(connection).await
}

/// Waits for the other end to leave. Closing at once, with unread bytes of it around, would make the system throw away what
/// was said to it last.
async fn left(mut connection: Transport) -> io::Result<()> {
    connection.shutdown().await?;
    let mut rest = [0; 1024];
    while connection.read(&mut rest).await? > 0 {}
    Ok(())
}
