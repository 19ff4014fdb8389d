//! `waypost viewer` under a stream of spans: how many it keeps a second of CPU, what they take on disk and in memory,
//! and how long questions take once they are there.
//!
//! A request counts when it was answered, which the viewer does once its spans are durable. The senders run on the same
//! machine; only the viewer's own CPU time is counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::Code;

use crate::process::{binary, cpu_seconds, interrupt, memory_mb, peak_mb};
use crate::spans::Spans;
use crate::statistics::spread;

const QUESTIONS: usize = 15;
/// Whose series are asked for.
const SERVICES: [&str; 4] = ["gateway", "orders", "stock", "payments"];
/// After the last answer, until the memory of a viewer at rest is read.
const REST: Duration = Duration::from_secs(20);
/// Before a request that was refused for a while is sent again.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn measure(spans: u32, batch: u32, senders: u32) -> anyhow::Result<()> {
    println!(
        "{spans} spans of 20 attributes in requests of {batch}, {senders} senders, all durable when answered\n"
    );
    println!(
        "| way | spans/s of viewer CPU | spans/s | viewer CPU us a span | bytes a span on disk | refused for a while | MB at most | after it | at rest |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for way in [Way::Http, Way::Grpc] {
        let folder = tempfile::tempdir()?;
        let mut viewer = Viewer::start(folder.path())?;
        let sent = send(&viewer, way, spans, batch, senders)?;
        let (peak, resident) = (peak_mb(viewer.child.id())?, memory_mb(viewer.child.id())?.0);
        std::thread::sleep(REST);
        let rested = memory_mb(viewer.child.id())?.0;
        drop(viewer);
        // Started anew, so that everything is in its final place.
        viewer = Viewer::start(folder.path())?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for a person")]
        let (kept, bytes) = (sent.spans as f64, folder_size(folder.path())? as f64);
        println!(
            "| {way:?} | {:.0} | {:.0} | {:.2} | {:.1} | {} | {peak:.0} | {resident:.0} | {rested:.0} |",
            kept / sent.cpu,
            kept / sent.took.as_secs_f64(),
            sent.cpu / kept * 1e6,
            bytes / kept,
            sent.refused,
        );
        if way == Way::Http {
            questions(&viewer)?;
            let resident = memory_mb(viewer.child.id())?;
            println!("resident after a start on these spans and these questions: {:.0} MB\n", resident.0);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http,
    Grpc,
}

struct Sent {
    spans: u64,
    /// Answers that asked to come again.
    refused: u64,
    cpu: f64,
    took: Duration,
}

fn send(viewer: &Viewer, way: Way, spans: u32, batch: u32, senders: u32) -> anyhow::Result<Sent> {
    let left = AtomicU64::new(u64::from(spans));
    let (sent, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let (cpu, begun) = (cpu_seconds(viewer.child.id())?, Instant::now());
    std::thread::scope(|scope| {
        let (left, sent, refused) = (&left, &sent, &refused);
        let senders: Vec<_> = (0..senders)
            .map(|number| {
                scope.spawn(move || {
                    let mut source = Spans::new(u64::from(number), now);
                    let mut sender = Sender::connect(viewer, way)?;
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                            left.checked_sub(u64::from(batch))
                        })
                        .is_ok()
                    {
                        let (request, count) = source.request(batch);
                        refused.fetch_add(sender.send(&request)?, Ordering::Relaxed);
                        sent.fetch_add(count, Ordering::Relaxed);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?)
    })?;
    let took = begun.elapsed();
    Ok(Sent {
        spans: sent.into_inner(),
        refused: refused.into_inner(),
        cpu: cpu_seconds(viewer.child.id())? - cpu,
        took,
    })
}

/// One connection that waits for each answer.
enum Sender {
    Http(BufReader<TcpStream>),
    Grpc(Box<TraceServiceClient<tonic::transport::Channel>>, tokio::runtime::Runtime),
}

impl Sender {
    fn connect(viewer: &Viewer, way: Way) -> anyhow::Result<Sender> {
        match way {
            Way::Http => {
                let stream = TcpStream::connect(viewer.otlp_http)?;
                stream.set_nodelay(true)?;
                Ok(Sender::Http(BufReader::new(stream)))
            }
            Way::Grpc => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let address = format!("http://{}", viewer.otlp_grpc);
                let client = runtime.block_on(TraceServiceClient::connect(address))?;
                Ok(Sender::Grpc(Box::new(client), runtime))
            }
        }
    }

    /// Sends until it is taken; how often it was refused before.
    fn send(
        &mut self,
        request: &opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest,
    ) -> anyhow::Result<u64> {
        let mut refused = 0;
        match self {
            Sender::Http(stream) => {
                let body = request.encode_to_vec();
                let head = format!(
                    "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
                     content-length: {}\r\n\r\n",
                    body.len()
                );
                loop {
                    stream.get_mut().write_all(head.as_bytes())?;
                    stream.get_mut().write_all(&body)?;
                    match answer(stream)? {
                        (200, _) => return Ok(refused),
                        // It is behind: a sender of the protocol comes back.
                        (429, _) => {
                            refused += 1;
                            std::thread::sleep(PAUSE);
                        }
                        (status, _) => bail!("answered {status}"),
                    }
                }
            }
            Sender::Grpc(client, runtime) => loop {
                match runtime.block_on(client.export(request.clone())) {
                    Ok(_) => return Ok(refused),
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        refused += 1;
                        std::thread::sleep(PAUSE);
                    }
                    Err(status) => bail!("answered {status}"),
                }
            },
        }
    }
}

/// Status and body of an HTTP/1.1 answer.
fn answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split_whitespace().nth(1).context("no answer")?.parse()?;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        is_chunked |= header == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    loop {
        if is_chunked {
            line.clear();
            stream.read_line(&mut line)?;
            length = usize::from_str_radix(line.trim(), 16)?;
        }
        let begun = body.len();
        body.resize(begun + length, 0);
        stream.read_exact(body.get_mut(begun..).unwrap_or_default())?;
        if is_chunked {
            line.clear();
            stream.read_line(&mut line)?;
        }
        if !is_chunked || length == 0 {
            return Ok((status, body));
        }
    }
}

/// Latencies of what the page asks, each question with another subject each time.
fn questions(viewer: &Viewer) -> anyhow::Result<()> {
    let points = viewer.get("/api/v1/points?limit=2000&order=oldest")?;
    let points = points["points"].as_array().context("points")?.clone();
    let mut took: Vec<(&str, Vec<f64>)> = Vec::new();
    let mut ask = |what: &'static str, path: &dyn Fn(usize) -> String| -> anyhow::Result<()> {
        let mut times = Vec::new();
        for number in 0..QUESTIONS {
            let begun = Instant::now();
            viewer.get(&path(number))?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        took.push((what, times));
        Ok(())
    };
    let trace = |number: usize| {
        let point = points.get(number * points.len() / QUESTIONS);
        point.and_then(|point| point["trace_id"].as_str()).unwrap_or("none").to_owned()
    };
    ask("a trace by id", &|number| format!("/api/v1/traces/{}", trace(number)))?;
    ask("service, operation, duration: first page", &|number| {
        format!("/api/v1/search?service=gateway&operation=gateway%20/pay&min_duration={}ms", 1 + number % 5)
    })?;
    ask("errors of a service: first page", &|_| "/api/v1/search?service=payments&status=error".to_owned())?;
    ask("longest of all: first page", &|_| "/api/v1/search?order=longest".to_owned())?;
    let order = viewer.get(&format!("/api/v1/traces/{}/otlp", trace(3)))?;
    let order = find_text(&order, "order.id").context("an order id")?;
    ask("a rare attribute: the only one", &|_| format!("/api/v1/search?attr=order.id%3D{order}"))?;
    ask("an attribute that nothing has", &|number| format!("/api/v1/search?attr=order.id%3Dnone{number}"))?;
    ask("services of the last hour", &|_| "/api/v1/services".to_owned())?;
    ask("series of a service, an hour by the minute", &|number| {
        format!("/api/v1/series?service={}", SERVICES[number % SERVICES.len()])
    })?;
    ask("group by a route, of all spans", &|_| "/api/v1/groups?by=http.route".to_owned())?;
    ask("group by an attribute that is unique, of all spans", &|_| "/api/v1/groups?by=order.id".to_owned())?;
    ask("what is different about failed spans, of all", &|_| {
        "/api/v1/differences?selected=status%3Derror".to_owned()
    })?;
    ask("what is different about slow spans, of all", &|number| {
        format!("/api/v1/differences?selected=min_duration%3D{}ms", 1 + number % 5)
    })?;
    ask("what 100 traces have in common", &|_| "/api/v1/aggregate?service=gateway".to_owned())?;
    took.push(("start of the page: its document and all that it names, then services", page_starts(viewer)?));
    println!("\n| question | ms, median [smallest-largest] of {QUESTIONS} |\n|---|---|");
    for (what, times) in took {
        println!("| {what} | {} |", spread(&times, 1));
    }
    println!();
    Ok(())
}

/// What a browser fetches before it shows the first view, over one connection, packed as browsers ask for it.
fn page_starts(viewer: &Viewer) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..QUESTIONS {
        let begun = Instant::now();
        let mut stream = BufReader::new(TcpStream::connect(viewer.page)?);
        stream.get_ref().set_nodelay(true)?;
        let mut fetch = |path: &str, encoding: &str| -> anyhow::Result<Vec<u8>> {
            let head = format!(
                "GET {path} HTTP/1.1\r\nhost: {}\r\naccept-encoding: {encoding}\r\n\r\n",
                viewer.page
            );
            stream.get_mut().write_all(head.as_bytes())?;
            let (status, body) = answer(&mut stream)?;
            ensure!(status == 200, "{path}: {status}");
            Ok(body)
        };
        let document = String::from_utf8(fetch("/", "identity")?)?;
        let is_file = |text: &&str| {
            let extension = Path::new(text).extension();
            extension.is_some_and(|extension| extension == "js" || extension == "css")
        };
        for named in document.split(['"', '\'']).filter(is_file) {
            fetch(&format!("/{}", named.trim_start_matches(['.', '/'])), "br")?;
        }
        fetch("/api/v1/services", "br")?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

fn find_text(json: &serde_json::Value, key: &str) -> Option<String> {
    match json {
        serde_json::Value::Object(fields) if fields.get("key").is_some_and(|found| found == key) => {
            Some(fields.get("value")?["stringValue"].as_str()?.to_owned())
        }
        serde_json::Value::Object(fields) => fields.values().find_map(|value| find_text(value, key)),
        serde_json::Value::Array(values) => values.iter().find_map(|value| find_text(value, key)),
        _ => None,
    }
}

fn folder_size(folder: &Path) -> anyhow::Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() { folder_size(&entry.path())? } else { metadata.len() };
    }
    Ok(size)
}

/// A running `waypost viewer`. Dropped, it is stopped.
struct Viewer {
    child: Child,
    page: SocketAddr,
    otlp_http: SocketAddr,
    otlp_grpc: SocketAddr,
}

impl Viewer {
    fn start(data: &Path) -> anyhow::Result<Viewer> {
        let mut command = Command::new(binary()?);
        command.args(["viewer", "--set", "telemetry.logs.format=json", "--data"]).arg(data);
        for listener in ["viewer", "otlp-grpc", "otlp-http", "zipkin", "admin"] {
            command.args([&format!("--{listener}"), "127.0.0.1:0"]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut addresses = std::collections::BTreeMap::new();
        for line in lines.by_ref() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line?) else { continue };
            if let (Some(role), Some(address)) = (line["role"].as_str(), line["address"].as_str()) {
                addresses.insert(role.to_owned(), address.parse()?);
            }
            if line["message"] == "ready" {
                break;
            }
        }
        // What it says later is read away, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let of = |role: &str| addresses.get(role).copied().with_context(|| format!("no address of {role}"));
        Ok(Viewer { page: of("viewer")?, otlp_http: of("otlp-http")?, otlp_grpc: of("otlp-grpc")?, child })
    }

    fn get(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let mut stream = BufReader::new(TcpStream::connect(self.page)?);
        write!(stream.get_mut(), "GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.page)?;
        let (status, body) = answer(&mut stream)?;
        ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        interrupt(&mut self.child);
    }
}
