//! Connects to a Unix-domain socket, whatever the URI, and remembers it as the peer.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::Uri;
use hyper::rt::{Read, Write};
use tokio::net::UnixStream;
use tower_service::Service;

use super::connection::{BoxError, Peer};
use crate::core::exchange::unix_socket::UnixSocket;

pub(super) struct UnixConnector<F> {
    path: Arc<Path>,
    socket: UnixSocket,
    peer: Peer,
    over: F,
}

impl<F> UnixConnector<F> {
    pub(super) fn new(path: PathBuf, peer: Peer, over: F) -> Self {
        Self { socket: UnixSocket::new(&path), path: path.into(), peer, over }
    }
}

impl<F, Fut, Io> Service<Uri> for UnixConnector<F>
where
    F: Fn(UnixStream) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Io, BoxError>> + Send + 'static,
    Io: Read + Write + Send + Unpin + 'static,
{
    type Response = Io;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Io, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (path, socket, peer) = (Arc::clone(&self.path), self.socket.clone(), self.peer.clone());
        let over = self.over.clone();
        Box::pin(async move {
            // The system's own error does not say which socket it was.
            let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let stream = UnixStream::connect(&path).await.map_err(at)?;
            peer.set_socket(socket);
            over(stream).await
        })
    }
}
