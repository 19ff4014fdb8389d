//! A fake OTLP collector over real sockets, for tests of what leaves a process.
//!
//! One port speaks OTLP over HTTP (protobuf and JSON, plain and gzip) and over gRPC. Everything that comes is kept, decoded when
//! it is asked for, and answered as the test says: well, with an error, in part, late, never, or with a connection that is cut.
//! What is kept has a bound ([`MAX_BYTES`]); the oldest requests make room and are counted.
//!
//! ```
//! use std::time::Duration;
//! use waypost_telemetry::config::Exporter;
//! use waypost_telemetry::testing::TestTelemetry;
//! use waypost_telemetry::testing::collector::{FakeCollector, Reply};
//!
//! let collector = FakeCollector::start();
//! // The first request is refused for a moment, the next ones are taken.
//! collector.answer(|request| if request.number == 1 { Reply::throttled(Duration::ZERO) } else { Reply::ok() });
//! let mut settings = TestTelemetry::settings("order-service");
//! settings.traces.exporters = vec![Exporter::OtlpHttp];
//! settings.otlp.endpoint = Some(collector.endpoint());
//! let telemetry = TestTelemetry::with(settings);
//! telemetry.span("place-order").in_scope(|| ());
//! assert!(telemetry.shutdown_blocking(Duration::from_secs(10)).complete);
//!
//! assert_eq!(collector.requests().len(), 2);
//! collector.tree().assert_matches("place-order INTERNAL order-service");
//! ```

mod framing;
mod reply;
mod server;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{oneshot, watch};

use super::SpanTree;
use super::measured::Metrics;
use crate::base::finished::{FinishedLog, FinishedSpan};
use crate::core::export::received;
pub use reply::Reply;

/// Bytes of requests that are kept.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`.
    HttpProtobuf,
    /// `http/json`.
    HttpJson,
    /// `grpc`.
    Grpc,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct CollectedRequest {
    /// Its number, from 1.
    pub number: usize,
    /// What it is about.
    pub signal: Signal,
    /// How it came.
    pub protocol: Protocol,
    /// Path and query.
    pub path: String,
    /// Headers, those of gRPC too.
    pub headers: HeaderMap,
    /// Bytes on the wire: of the body, packed if it was.
    pub wire_bytes: usize,
    /// Whether it was packed by gzip.
    pub is_gzip: bool,
    /// When it was read whole.
    pub at: Instant,
    /// The export request in protobuf's bytes, whatever it came as.
    pub message: Bytes,
    /// Whether it was answered with success, in part or whole.
    pub is_accepted: bool,
}

impl CollectedRequest {
    /// Its spans; none of a request of metrics or logs.
    pub fn spans(&self) -> Vec<FinishedSpan> {
        if self.signal == Signal::Traces { received::spans(&self.message) } else { Vec::new() }
    }

    /// Its log records.
    pub fn logs(&self) -> Vec<FinishedLog> {
        if self.signal == Signal::Logs { received::logs(&self.message) } else { Vec::new() }
    }

    /// Its metrics.
    pub fn metrics(&self) -> Metrics {
        if self.signal == Signal::Metrics { Metrics::decode(&self.message) } else { Metrics::default() }
    }
}

type Answer = Arc<dyn Fn(&CollectedRequest) -> Reply + Send + Sync>;

/// What was collected, shared with the server.
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
    changes: watch::Sender<u64>,
    answer: Mutex<Answer>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<CollectedRequest>,
    bytes: usize,
    number: usize,
    dropped: usize,
    broken: Vec<String>,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a request and keeps it.
    fn take(&self, mut request: CollectedRequest) -> Reply {
        let answer = Arc::clone(&self.answer.lock().unwrap_or_else(PoisonError::into_inner));
        let mut kept = self.kept();
        kept.number += 1;
        request.number = kept.number;
        drop(kept);
        let reply = answer(&request);
        request.is_accepted = reply.is_success();
        let mut kept = self.kept();
        kept.bytes += request.message.len();
        kept.requests.push_back(request);
        while kept.bytes > MAX_BYTES && kept.requests.len() > 1 {
            let oldest = kept.requests.pop_front();
            kept.bytes -= oldest.map_or(0, |oldest| oldest.message.len());
            kept.dropped += 1;
        }
        drop(kept);
        self.tell();
        reply
    }

    fn broken(&self, reason: String) {
        let mut kept = self.kept();
        if kept.broken.len() < 100 {
            kept.broken.push(reason);
        }
        drop(kept);
        self.tell();
    }

    fn tell(&self) {
        self.changed.notify_all();
        self.changes.send_modify(|number| *number += 1);
    }
}

/// The collector. Serves on a thread of its own until it is dropped.
pub struct FakeCollector {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Dropping it stops the server.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeCollector {
    /// On a free port of the loopback, taking everything.
    ///
    /// # Panics
    ///
    /// If there is no port or no thread to be had.
    pub fn start() -> Self {
        Self::start_with(|_| Reply::ok())
    }

    /// As [`Self::start`], answering by `answer`.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub fn start_with(answer: impl Fn(&CollectedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            kept: Mutex::default(),
            changed: Condvar::new(),
            changes: watch::Sender::new(0),
            answer: Mutex::new(Arc::new(answer)),
        });
        match server::start(&shared) {
            Ok((address, stop, thread)) => Self { shared, address, stop: Some(stop), thread: Some(thread) },
            Err(error) => panic!("the fake collector cannot start: {error}"),
        }
    }

    /// Answers from now on so. Called with the lock of nothing held; a reply is chosen before the request is kept.
    pub fn answer(&self, answer: impl Fn(&CollectedRequest) -> Reply + Send + Sync + 'static) {
        *self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(answer);
    }

    /// Its address, for `OTEL_EXPORTER_OTLP_ENDPOINT` with any protocol.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that is kept, oldest first.
    pub fn requests(&self) -> Vec<CollectedRequest> {
        self.shared.kept().requests.iter().cloned().collect()
    }

    /// Requests that made room for newer ones.
    pub fn dropped(&self) -> usize {
        self.shared.kept().dropped
    }

    /// What came and could not be read, with the reason.
    pub fn broken(&self) -> Vec<String> {
        self.shared.kept().broken.clone()
    }

    /// The spans of all requests that were accepted.
    pub fn spans(&self) -> Vec<FinishedSpan> {
        self.accepted().iter().flat_map(CollectedRequest::spans).collect()
    }

    /// The log records of all requests that were accepted.
    pub fn logs(&self) -> Vec<FinishedLog> {
        self.accepted().iter().flat_map(CollectedRequest::logs).collect()
    }

    /// The metrics of the newest request of metrics that was accepted; none if there is none.
    pub fn metrics(&self) -> Metrics {
        let newest = self.accepted().into_iter().rev().find(|request| request.signal == Signal::Metrics);
        newest.map(|request| request.metrics()).unwrap_or_default()
    }

    fn accepted(&self) -> Vec<CollectedRequest> {
        self.requests().into_iter().filter(|request| request.is_accepted).collect()
    }

    /// The accepted spans as one tree.
    ///
    /// # Panics
    ///
    /// If there is no span, or spans of several traces.
    pub fn tree(&self) -> SpanTree {
        SpanTree::only(&self.spans())
    }

    /// Forgets what came so far. Numbers go on.
    pub fn forget(&self) {
        let mut kept = self.shared.kept();
        kept.requests.clear();
        kept.bytes = 0;
    }

    /// Waits until what was collected is enough. Cancel safe.
    ///
    /// # Panics
    ///
    /// With what came instead, if that takes longer than `time_out`.
    pub async fn wait_for(&self, time_out: Duration, is_enough: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        let waits = async {
            while !is_enough(self) {
                // The sender is part of this collector.
                let _ = changes.changed().await;
            }
        };
        if tokio::time::timeout(time_out, waits).await.is_err() {
            self.did_not_come(time_out);
        }
    }

    /// As [`Self::wait_for`], for tests without a runtime; blocks the thread.
    ///
    /// # Panics
    ///
    /// As [`Self::wait_for`].
    pub fn wait_for_blocking(&self, time_out: Duration, is_enough: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + time_out;
        loop {
            let before = *self.shared.changes.borrow();
            if is_enough(self) {
                return;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.did_not_come(time_out);
            }
            let kept = self.shared.kept();
            if *self.shared.changes.borrow() == before {
                drop(self.shared.changed.wait_timeout(kept, left.min(Duration::from_millis(100))));
            }
        }
    }

    fn did_not_come(&self, time_out: Duration) -> ! {
        let requests = self.requests();
        let shown: Vec<String> = requests
            .iter()
            .map(|request| format!("{:?} over {:?}", request.signal, request.protocol))
            .collect();
        panic!(
            "what was waited for did not come within {time_out:?}; {} requests did: {shown:?}, broken: {:?}",
            requests.len(),
            self.broken()
        );
    }
}

impl fmt::Debug for FakeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCollector").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for FakeCollector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
