//! Connections to all addresses of a name, and which of them a call goes over.
//!
//! The less busy of two drawn at random; one that could not be connected to is passed over for a while. The name is
//! looked up at the first call and, when a while has passed or a connection has failed, beside the calls. Nothing runs
//! while nobody calls.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use tokio::time::Instant;
use tonic::body::Body;
use tower_service::Service as _;

use super::resolver::Resolver;
use crate::core::spawn::spawn;
use crate::edges::grpc::connection::{Connection, ConnectionFuture};

/// How long a replica is passed over that could not be connected to.
const MOMENT: Duration = Duration::from_secs(1);
/// The shortest time between two lookups.
const MIN_REFRESH: Duration = Duration::from_millis(500);
/// Addresses of a name that are connected to; more are left out.
const MAX_REPLICAS: usize = 256;

/// Makes the connection to one address.
type Connect = Box<dyn Fn(SocketAddr) -> Option<Connection> + Send + Sync>;

/// The replicas behind a name. Clones share them.
#[derive(Clone)]
pub(super) struct Balance(Arc<Shared>);

struct Shared {
    host: String,
    port: u16,
    refresh: Duration,
    /// How long the first lookup may take.
    patience: Duration,
    resolver: Arc<dyn Resolver>,
    connect: Connect,
    state: Mutex<State>,
    /// Held by whoever looks the name up.
    lookup: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    replicas: Arc<[Arc<Replica>]>,
    looked_up: Option<Instant>,
    is_looking: bool,
}

/// One address and the connection to it.
pub(super) struct Replica {
    address: SocketAddr,
    connection: Connection,
    calls: AtomicUsize,
    failed: Mutex<Option<Instant>>,
}

impl Balance {
    pub(super) fn new(
        (host, port): (String, u16),
        [refresh, patience]: [Duration; 2],
        resolver: Arc<dyn Resolver>,
        connect: Connect,
    ) -> Self {
        let state = Mutex::default();
        let lookup = tokio::sync::Mutex::default();
        Self(Arc::new(Shared { host, port, refresh, patience, resolver, connect, state, lookup }))
    }

    /// A replica for a call, other than those that were tried before as long as there is one.
    pub(super) async fn draw(&self, tried: &[SocketAddr]) -> io::Result<Arc<Replica>> {
        let mut replicas = self.0.known();
        if replicas.is_empty() {
            self.first_lookup().await?;
            replicas = self.0.known();
        } else if self.0.is_stale() {
            let shared = Arc::clone(&self.0);
            drop(spawn(async move {
                // What is known serves on; the next call asks again.
                let _ = shared.look_up().await;
            }));
        }
        draw(&replicas, tried)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    /// How many replicas are known.
    pub(super) fn len(&self) -> usize {
        self.0.state().replicas.len()
    }

    /// A connection to this replica could not be made or was lost.
    pub(super) fn doubt(&self, replica: &Replica) {
        *replica.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let mut state = self.0.state();
        // The name may have other addresses by now; not asked more often than every moment.
        if state.looked_up.is_some_and(|last| last.elapsed() >= MIN_REFRESH) {
            state.looked_up = None;
        }
    }

    async fn first_lookup(&self) -> io::Result<()> {
        let one = self.0.lookup.lock();
        let looking = async {
            let _one = one.await;
            // Whoever waited may find what the one before has found.
            if self.0.state().replicas.is_empty() { self.0.look_up().await } else { Ok(()) }
        };
        let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "the lookup of the name took too long");
        tokio::time::timeout(self.0.patience, looking).await.map_err(|_| timed_out())?
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Arc<[Arc<Replica>]> {
        Arc::clone(&self.state().replicas)
    }

    /// Whether somebody should look the name up again; true for one of those who ask.
    fn is_stale(&self) -> bool {
        let mut state = self.state();
        let is_stale = state.looked_up.is_none_or(|last| last.elapsed() >= self.refresh.max(MIN_REFRESH));
        let is_mine = is_stale && !state.is_looking;
        state.is_looking |= is_mine;
        is_mine
    }

    async fn look_up(&self) -> io::Result<()> {
        let looking = Looking(self);
        let found = self.resolver.resolve(&self.host, self.port).await;
        drop(looking);
        let mut state = self.state();
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                self.replace(&mut state, addresses);
                Ok(())
            }
            Ok(_) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            Err(error) => {
                tracing::warn!(
                    target: "waypost_telemetry::edges",
                    host = self.host,
                    %error,
                    "cannot look a name up; the addresses that are known stay"
                );
                Err(error)
            }
        }
    }

    /// Keeps the connections to addresses that stay.
    fn replace(&self, state: &mut State, mut addresses: Vec<SocketAddr>) {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MAX_REPLICAS);
        let before: HashMap<_, _> =
            state.replicas.iter().map(|replica| (replica.address, Arc::clone(replica))).collect();
        let now = addresses.into_iter().filter_map(|address| match before.get(&address) {
            Some(replica) => Some(Arc::clone(replica)),
            None => Some(Arc::new(Replica {
                address,
                connection: (self.connect)(address)?,
                calls: AtomicUsize::new(0),
                failed: Mutex::default(),
            })),
        });
        state.replicas = now.collect();
    }
}

/// A lookup under way, however it ends.
struct Looking<'a>(&'a Shared);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_looking = false;
        state.looked_up = Some(Instant::now());
    }
}

impl Replica {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way to it, for one call. Counted as busy until the guard is dropped.
    pub(super) fn take(self: &Arc<Self>) -> (Connection, Busy) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        (self.connection.clone(), Busy(Arc::clone(self)))
    }

    fn has_failed_just_now(&self) -> bool {
        let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| failed.elapsed() < MOMENT)
    }
}

/// A call that is under way at a replica.
pub(super) struct Busy(Arc<Replica>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until a connection takes a call.
pub(super) async fn send(
    mut connection: Connection,
    request: Request<Body>,
) -> <ConnectionFuture as std::future::Future>::Output {
    std::future::poll_fn(|task| connection.poll_ready(task)).await?;
    connection.call(request).await
}

/// The less busy of two drawn among the best: not tried and well, else not tried, else any.
fn draw(replicas: &[Arc<Replica>], tried: &[SocketAddr]) -> Option<Arc<Replica>> {
    let is_new = |replica: &&Arc<Replica>| !tried.contains(&replica.address);
    let mut places: Vec<&Arc<Replica>> =
        replicas.iter().filter(is_new).filter(|replica| !replica.has_failed_just_now()).collect();
    if places.is_empty() {
        places = replicas.iter().filter(is_new).collect();
    }
    if places.is_empty() {
        places = replicas.iter().collect();
    }
    let first = places.get(fastrand::usize(..places.len().max(1)))?;
    let second = places.get(fastrand::usize(..places.len()))?;
    let calls = |replica: &Replica| replica.calls.load(Ordering::Relaxed);
    Some(Arc::clone(if calls(second) < calls(first) { second } else { first }))
}
