//! A lossy proxy between two roles: HTTP/1 and HTTP/2, seeded, and what it did can be looked up.
//!
//! Each call that carries a [`Marker`] meets the [`Fault`] that its seed gives it; what carries none is passed on as it
//! is. So are all calls while the [`Weather`] is fair. A proxy whose target cannot be reached closes the connection of
//! whoever called, as the target itself would.
//!
//! Left out: streaming. Every call of the shop is one message each way.

mod fault;
mod forward;
mod weather;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use fault::{Fault, Form, Marker, Refusal};
use forward::{Lost, Message, Reply, Target};
pub use weather::{Script, Weather};

/// Streams of one connection: more than a test has calls at once.
const STREAMS: u32 = 2048;

/// A call that a proxy has seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The proxy.
    pub link: String,
    /// Whose call it was.
    pub marker: Marker,
    /// The method and the path without ids.
    pub call: String,
    /// How many of its kind came before, for the same request.
    pub nth: u32,
    /// What was done to it.
    pub fault: Fault,
    /// Milliseconds since the proxy was started.
    pub at: u128,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { link, marker, call, nth, fault, at } = self;
        write!(f, "{at:>7} ms  send {}  {link}  {call} #{nth}: {fault:?}", marker.send)
    }
}

/// A proxy. Dropped, it is gone, with its connections.
#[derive(Debug)]
pub struct LossyProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    link: String,
    weather: Weather,
    target: Target,
    started: tokio::time::Instant,
    seen: Mutex<Vec<Seen>>,
    counts: Mutex<HashMap<(Marker, String), u32>>,
    detached: AtomicUsize,
    late: Mutex<Vec<Late>>,
}

/// A call that was [held back](Fault::Hold) and what its target answered when it came at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// The method and the path without ids.
    pub call: String,
    /// The code of the error that our own service named (`waypost-error`); `None` without one.
    pub code: Option<String>,
}

/// What a call does to its connection.
#[derive(Debug)]
enum Ending {
    GoAway,
    Cut,
}

impl LossyProxy {
    /// A proxy on a free port, whose target is still to be [set](LossyProxy::set_target).
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(link: &str, weather: &Weather) -> anyhow::Result<LossyProxy> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            link: link.to_owned(),
            weather: weather.clone(),
            target: Target::default(),
            started: tokio::time::Instant::now(),
            seen: Mutex::default(),
            counts: Mutex::default(),
            detached: AtomicUsize::new(0),
            late: Mutex::default(),
        });
        let accepting = waypost_telemetry::spawn(accept(listener, Arc::clone(&shared)));
        Ok(LossyProxy { address, shared, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends further calls there.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.target.set(target);
    }

    /// What it did to the calls of an order, in the order of their arrival.
    pub fn seen(&self, seed: u64, order: u32) -> Vec<Seen> {
        let is_of_order = |seen: &&Seen| seen.marker.seed == seed && seen.marker.order == order;
        lock(&self.shared.seen).iter().filter(is_of_order).cloned().collect()
    }

    /// How many calls met each kind of fault.
    pub fn faults(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for seen in lock(&self.shared.seen).iter() {
            let name = format!("{:?}", seen.fault);
            let name = name.split('(').next().unwrap_or_default().to_owned();
            *counts.entry(name).or_default() += 1;
        }
        counts
    }

    /// The calls that were held back and have been answered since.
    pub fn late(&self) -> Vec<Late> {
        lock(&self.shared.late).clone()
    }

    /// True when it holds back nothing that its caller does not wait for any more.
    pub fn is_idle(&self) -> bool {
        self.shared.detached.load(Ordering::SeqCst) == 0
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (endings, mut ended) = mpsc::unbounded_channel();
    let service = service_fn(move |request| answer(Arc::clone(&shared), request, endings.clone()));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(STREAMS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // How a connection ends is the peers' business.
            _ = connection.as_mut() => return,
            Some(ending) = ended.recv() => match ending {
                Ending::GoAway => connection.as_mut().graceful_shutdown(),
                Ending::Cut => return,
            },
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    endings: mpsc::UnboundedSender<Ending>,
) -> Result<Reply, Lost> {
    let (head, body) = request.into_parts();
    let body: Bytes = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let (fault, version) = (shared.fault_of(&head), head.version);
    let message = Message { head, body };
    let end = |ending| {
        // The connection may be gone already.
        let _ = endings.send(ending);
    };
    match fault {
        Fault::None => {
            let answer = shared.target.call(message).await;
            if answer.is_err() {
                end(Ending::Cut);
            }
            answer
        }
        Fault::LoseAnswer => {
            let _ = shared.detach(message, None).await;
            Err(Lost)
        }
        Fault::LateAnswer(pause) => {
            let answer = shared.detach(message, None).await;
            tokio::time::sleep(pause).await;
            answer
        }
        Fault::LateRequest(pause) => shared.detach(message, Some(pause)).await,
        Fault::Hold => shared.hold(message).await,
        Fault::Repeat => {
            let again = shared.detach(message.clone(), None);
            let (answer, _) = tokio::join!(shared.detach(message, None), again);
            answer
        }
        Fault::RepeatLate(pause) => {
            drop(shared.detach(message.clone(), Some(pause)));
            shared.detach(message, None).await
        }
        Fault::Refuse(refusal) => Ok(forward::own(refusal, version)),
        Fault::Mask(refusal) => {
            let _ = shared.detach(message, None).await;
            Ok(forward::own(refusal, version))
        }
        Fault::Reset => Err(Lost),
        Fault::GoAway => {
            end(Ending::GoAway);
            shared.detach(message, None).await
        }
        Fault::Cut => {
            let _ = shared.detach(message, None).await;
            end(Ending::Cut);
            Err(Lost)
        }
        Fault::Abandon => {
            drop(shared.detach(message, None));
            end(Ending::Cut);
            // No stream is reset: the connection goes, as that of a process that was killed.
            std::future::pending().await
        }
    }
}

impl Shared {
    fn fault_of(&self, head: &http::request::Parts) -> Fault {
        let traceparent = head.headers.get("traceparent").and_then(|value| value.to_str().ok());
        let Some(marker) = traceparent.and_then(Marker::of_traceparent) else { return Fault::None };
        if !self.weather.is_foul() {
            return Fault::None;
        }
        let call = format!("{} {}", head.method, without_ids(head.uri.path()));
        let nth = {
            // A script counts the calls of an order, however often its request was sent.
            let counted =
                if self.weather.has_script(marker.seed) { Marker { send: 0, ..marker } } else { marker };
            let mut counts = lock(&self.counts);
            let count = counts.entry((counted, call.clone())).or_default();
            *count += 1;
            *count - 1
        };
        let scripted = self.weather.scripted(marker, &self.link, &call, nth);
        let fault = scripted.unwrap_or_else(|| fault::fault(marker, &self.link, &call, nth));
        let (link, at) = (self.link.clone(), self.started.elapsed().as_millis());
        lock(&self.seen).push(Seen { link, marker, call, nth, fault, at });
        fault
    }

    /// Forwards a call in a task of its own, so that it happens although its caller leaves.
    fn detach(
        self: &Arc<Shared>,
        message: Message,
        after: Option<std::time::Duration>,
    ) -> impl Future<Output = Result<Reply, Lost>> + use<> {
        let until = async move {
            if let Some(pause) = after {
                tokio::time::sleep(pause).await;
            }
        };
        self.detach_until(message, until, |_| {})
    }

    /// The same for a call that the weather decides about.
    fn hold(self: &Arc<Shared>, message: Message) -> impl Future<Output = Result<Reply, Lost>> + use<> {
        let (weather, shared) = (self.weather.clone(), Arc::clone(self));
        let call = format!("{} {}", message.head.method, without_ids(message.head.uri.path()));
        self.detach_until(message, async move { weather.until_let_go().await }, move |answer| {
            if let Ok(answer) = answer {
                let code = answer.headers().get("waypost-error").and_then(|code| code.to_str().ok());
                let code = code.map(str::to_owned);
                lock(&shared.late).push(Late { call, code });
            }
        })
    }

    fn detach_until<F, A>(
        self: &Arc<Shared>,
        message: Message,
        until: F,
        answered: A,
    ) -> impl Future<Output = Result<Reply, Lost>> + use<F, A>
    where
        F: Future<Output = ()> + Send + 'static,
        A: FnOnce(&Result<Reply, Lost>) + Send + 'static,
    {
        let shared = Arc::clone(self);
        shared.detached.fetch_add(1, Ordering::SeqCst);
        let call = waypost_telemetry::spawn(async move {
            until.await;
            let answer = tokio::time::timeout(crate::PATIENCE, shared.target.call(message)).await;
            let answer = answer.unwrap_or(Err(Lost));
            answered(&answer);
            shared.detached.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        async move { call.await.unwrap_or(Err(Lost)) }
    }
}

/// The path with `*` in place of what names one thing, as in `/v1/charges/*/capture`.
fn without_ids(path: &str) -> String {
    let segment =
        |segment: &str| if segment.starts_with("ch_") { "*".to_owned() } else { segment.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
