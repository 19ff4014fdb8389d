//! Small receivers of OTLP, over HTTP and over gRPC, that can misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tonic::{Request, Response, Status};

/// Longest wait of a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How the HTTP receiver answers.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    Takes,
    Answers(u16),
    /// The first requests get this status, all after them are taken.
    AnswersFirst(usize, u16),
    /// Accepts and reads, and never answers.
    Hangs,
    RefusesSpans(i64),
}

/// One request.
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// Whether it is answered with success.
    pub(crate) is_taken: bool,
}

impl Posted {
    pub(crate) fn spans(&self) -> Vec<Span> {
        spans_of(ExportTraceServiceRequest::decode(self.body.as_slice()).unwrap())
    }

    /// A header's value; names in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

pub(crate) fn spans_of(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// What the HTTP receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        /// Whole lines, each with its end.
        headers: String,
        body: Vec<u8>,
        after: Duration,
    },
    /// Ends the connection without an answer.
    Cut,
    /// Reads on until the client gives up.
    Nothing,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: String::new(), body: Vec::new(), after: Duration::ZERO }
    }

    pub(crate) fn slow(after: Duration) -> Self {
        Self::Answer { status: 200, headers: String::new(), body: Vec::new(), after }
    }

    pub(crate) fn unavailable(retry_after: &str) -> Self {
        let headers = format!("retry-after: {retry_after}\r\n");
        Self::Answer { status: 503, headers, body: Vec::new(), after: Duration::ZERO }
    }

    fn is_success(&self) -> bool {
        matches!(self, Self::Answer { status: 200..300, .. })
    }
}

/// Asked with the number of the request, beginning with 1.
type Replies = Arc<dyn Fn(usize) -> Reply + Send + Sync>;

impl Manner {
    fn reply(self, nth: usize) -> Reply {
        match self {
            Self::Takes => Reply::status(200),
            Self::Answers(status) => Reply::status(status),
            Self::AnswersFirst(first, status) => Reply::status(if nth <= first { status } else { 200 }),
            Self::Hangs => Reply::Nothing,
            Self::RefusesSpans(rejected_spans) => {
                let partial =
                    ExportTracePartialSuccess { rejected_spans, error_message: "too many".to_owned() };
                let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
                Reply::Answer { status: 200, headers: String::new(), body, after: Duration::ZERO }
            }
        }
    }
}

/// An OTLP receiver over HTTP/1.1 on a free port; lives as long as the test process.
pub(crate) struct HttpReceiver {
    pub(crate) address: SocketAddr,
    posted: Receiver<Posted>,
}

impl HttpReceiver {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::with(move |nth| manner.reply(nth))
    }

    pub(crate) fn with(replies: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, posted) = channel();
        let (count, replies): (_, Replies) = (Arc::new(AtomicUsize::new(0)), Arc::new(replies));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (sender, count, replies) = (sender.clone(), Arc::clone(&count), Arc::clone(&replies));
                std::thread::spawn(move || serve(connection.unwrap(), &replies, &count, &sender));
            }
        });
        Self { address, posted }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request.
    pub(crate) fn next(&self) -> Posted {
        self.posted.recv_timeout(PATIENCE).expect("no request came")
    }

    /// All requests so far.
    pub(crate) fn taken(&self) -> Vec<Posted> {
        self.posted.try_iter().collect()
    }
}

fn serve(connection: TcpStream, replies: &Replies, count: &AtomicUsize, posted: &Sender<Posted>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection;
    while let Some(mut request) = read_request(&mut reader) {
        let reply = replies(count.fetch_add(1, Ordering::SeqCst) + 1);
        request.is_taken = reply.is_success();
        let _ = posted.send(request);
        let (status, headers, body) = match reply {
            Reply::Answer { status, headers, body, after } => {
                std::thread::sleep(after);
                (status, headers, body)
            }
            Reply::Cut => {
                let _ = writer.shutdown(std::net::Shutdown::Both);
                return;
            }
            Reply::Nothing => continue,
        };
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&body)).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Posted> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let at = Instant::now();
    let path = head.split_whitespace().nth(1)?.to_owned();
    let mut posted = Posted { path, head, body: Vec::new(), at, is_taken: false };
    let length = posted.header("content-length").map_or(0, |length| length.parse().unwrap());
    posted.body = vec![0; length];
    reader.read_exact(&mut posted.body).ok()?;
    Some(posted)
}

/// What the gRPC receiver says to a request for spans; asked with its number, beginning with 1.
type GrpcReplies = Arc<dyn Fn(usize) -> Result<ExportTraceServiceResponse, Status> + Send + Sync>;

/// What the gRPC receiver got.
#[derive(Clone)]
pub(crate) struct GrpcReceiver {
    pub(crate) traces: Arc<Mutex<Vec<Request<ExportTraceServiceRequest>>>>,
    /// When the requests of `traces` came.
    pub(crate) times: Arc<Mutex<Vec<Instant>>>,
    pub(crate) metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    pub(crate) logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    replies: GrpcReplies,
}

impl GrpcReceiver {
    /// Serves on a free port until the runtime ends.
    pub(crate) async fn start() -> (Self, String) {
        Self::with(|_| Ok(ExportTraceServiceResponse::default())).await
    }

    pub(crate) async fn with(
        replies: impl Fn(usize) -> Result<ExportTraceServiceResponse, Status> + Send + Sync + 'static,
    ) -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self {
            traces: Arc::default(),
            times: Arc::default(),
            metrics: Arc::default(),
            logs: Arc::default(),
            replies: Arc::new(replies),
        };
        let traces = TraceServiceServer::new(receiver.clone());
        let server = tonic::transport::Server::builder()
            .add_service(traces.accept_compressed(tonic::codec::CompressionEncoding::Gzip))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .add_service(LogsServiceServer::new(receiver.clone()))
            .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
        waypost_telemetry::spawn(server);
        (receiver, format!("http://{address}"))
    }
}

#[tonic::async_trait]
impl TraceService for GrpcReceiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.times.lock().unwrap().push(Instant::now());
        let nth = {
            let mut traces = self.traces.lock().unwrap();
            traces.push(request);
            traces.len()
        };
        (self.replies)(nth).map(Response::new)
    }
}

#[tonic::async_trait]
impl MetricsService for GrpcReceiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for GrpcReceiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::yield_now();
    }
}
