//! A connection that breaks where a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes on between clients and the server.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    /// Whether a connection breaks once its client has said COMMIT, and the server has heard it.
    pub(super) breaks_at_commit: Arc<AtomicBool>,
}

impl Proxy {
    pub(super) async fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let breaks_at_commit = Arc::new(AtomicBool::new(false));
        let breaks = Arc::clone(&breaks_at_commit);
        waypost_telemetry::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                waypost_telemetry::spawn(pass(client, server, Arc::clone(&breaks)));
            }
        });
        Proxy { address, breaks_at_commit }
    }
}

async fn pass(client: TcpStream, server: TcpStream, breaks: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut said) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                if to_server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
                let is_commit = asked[..length].windows(7).any(|window| window == b"COMMIT\0");
                if is_commit && breaks.swap(false, Ordering::SeqCst) {
                    // The answer comes here and goes no further.
                    let _ = from_server.read(&mut said).await;
                    return;
                }
            }
            read = from_server.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                if to_client.write_all(&said[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
