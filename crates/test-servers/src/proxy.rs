//! A way to a server that a test breaks where it wants to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes bytes on between clients and a server of this machine. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// The task that accepts; it ends with this.
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    /// The port that it leads to.
    port: AtomicU16,
    breaks_at_commit: AtomicBool,
    breaks_at_statement: AtomicBool,
    /// How many new connections end at once.
    ends: AtomicUsize,
    passing: Mutex<JoinSet<()>>,
}

impl Proxy {
    /// One that leads to this port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.unwrap_or_else(|error| panic!("no port for a proxy: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address of a proxy: {error}"));
        let shared = Arc::new(Shared {
            port: AtomicU16::new(port),
            breaks_at_commit: AtomicBool::new(false),
            breaks_at_statement: AtomicBool::new(false),
            ends: AtomicUsize::new(0),
            passing: Mutex::default(),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _accepting: accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets new connections lead to another port.
    pub fn lead_to(&self, port: u16) {
        self.shared.port.store(port, Ordering::SeqCst);
    }

    /// Ends every connection; new ones are passed on.
    pub fn cut(&self) {
        self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Ends so many of the connections to come as soon as their clients have said something.
    pub fn end_next(&self, connections: usize) {
        self.shared.ends.store(connections, Ordering::SeqCst);
    }

    /// The next connection that says COMMIT ends once the server has heard it and before its answer gets through.
    pub fn break_at_commit(&self) {
        self.shared.breaks_at_commit.store(true, Ordering::SeqCst);
    }

    /// The same of the next connection that runs a prepared statement outside of a transaction, which commits by itself.
    pub fn break_at_statement(&self) {
        self.shared.breaks_at_statement.store(true, Ordering::SeqCst);
    }

    /// Whether all that was to break at its commit or statement has broken.
    pub fn has_broken(&self) -> bool {
        let waits = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        !waits(&self.shared.breaks_at_commit) && !waits(&self.shared.breaks_at_statement)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let port = shared.port.load(Ordering::SeqCst);
        let passing = pass(client, port, Arc::clone(&shared));
        let mut all = shared.passing.lock().unwrap_or_else(PoisonError::into_inner);
        while all.try_join_next().is_some() {}
        all.spawn(passing);
    }
}

async fn pass(client: TcpStream, port: u16, shared: Arc<Shared>) {
    let ends = shared.ends.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if ends.is_ok() {
        // Once it was heard, so that its client sees a connection that breaks.
        let _ = client.readable().await;
        return;
    }
    // Without a server the client's connection ends, as one does that is refused.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut said) = (vec![0; 8192], vec![0; 8192]);
    let (mut is_in_transaction, mut breaks) = (false, false);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = asked.get(..length).unwrap_or_default();
                if to_server.write_all(bytes).await.is_err() {
                    return;
                }
                let says = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
                let is_commit = says(b"COMMIT\0");
                is_in_transaction = (is_in_transaction || says(b"BEGIN")) && !is_commit && !says(b"ROLLBACK\0");
                // The message that binds a prepared statement to its parameters.
                let is_statement = bytes.first() == Some(&b'B') && !is_in_transaction;
                breaks |= is_commit && shared.breaks_at_commit.swap(false, Ordering::SeqCst)
                    || is_statement && shared.breaks_at_statement.swap(false, Ordering::SeqCst);
            }
            read = from_server.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                if breaks {
                    // The answer came here and goes no further.
                    return;
                }
                if to_client.write_all(said.get(..length).unwrap_or_default()).await.is_err() {
                    return;
                }
            }
        }
    }
}
