//! Small receivers of OTLP: over HTTP one that can misbehave, over gRPC one that takes everything.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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
}

impl Posted {
    pub(crate) fn spans(&self) -> Vec<Span> {
        spans_of(ExportTraceServiceRequest::decode(self.body.as_slice()).unwrap())
    }
}

pub(crate) fn spans_of(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// An OTLP receiver over HTTP/1.1 on a free port; lives as long as the test process.
pub(crate) struct HttpReceiver {
    pub(crate) address: SocketAddr,
    posted: Receiver<Posted>,
}

impl HttpReceiver {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, posted) = channel();
        let count = Arc::new(Mutex::new(0));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (sender, count) = (sender.clone(), Arc::clone(&count));
                std::thread::spawn(move || serve(connection.unwrap(), manner, &count, &sender));
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

fn serve(connection: TcpStream, manner: Manner, count: &Mutex<usize>, posted: &Sender<Posted>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection;
    while let Some(request) = read_request(&mut reader) {
        let _ = posted.send(request);
        let nth = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count
        };
        let (status, body) = match manner {
            Manner::Takes => (200, Vec::new()),
            Manner::Answers(status) => (status, Vec::new()),
            Manner::AnswersFirst(first, status) => (if nth <= first { status } else { 200 }, Vec::new()),
            Manner::RefusesSpans(rejected_spans) => {
                let partial =
                    ExportTracePartialSuccess { rejected_spans, error_message: "too many".to_owned() };
                (200, ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
            }
            // Read on until the client gives up.
            Manner::Hangs => continue,
        };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
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
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = head.split_whitespace().nth(1)?.to_owned();
    Some(Posted { path, head, body })
}

/// What the gRPC receiver took.
#[derive(Clone, Default)]
pub(crate) struct GrpcReceiver {
    pub(crate) traces: Arc<Mutex<Vec<Request<ExportTraceServiceRequest>>>>,
    pub(crate) metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    pub(crate) logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
}

impl GrpcReceiver {
    /// Serves on a free port until the runtime ends.
    pub(crate) async fn start() -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self::default();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(receiver.clone()))
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
        self.traces.lock().unwrap().push(request);
        Ok(Response::new(ExportTraceServiceResponse::default()))
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
