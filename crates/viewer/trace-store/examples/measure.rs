//! Measures the store with spans like those of a real system: ten spans a trace, seven services, twenty
//! attributes.
//!
//! `cargo run --release -p waypost-trace-store --example measure -- 1000000 [folder] [every-second]`
//!
//! Prints spans per second of processor time (of making the requests apart), bytes a span on the disk,
//! resident memory, and how long questions take when nothing is cached by the store.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints what it measured")]
#![expect(clippy::cast_precision_loss, reason = "figures")]

use std::{
    env, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use waypost_trace_model::{
    Attribute, Batch, Kind, Limits, Resource, Scope, Span, SpanId, Status, StatusCode, TraceId, Value, otlp,
};
use waypost_trace_store::{
    AppendError, AttributeFilter, BlockStore, Durability, Order, Query, Settings, SpanFilter, Test,
    TraceStore,
};

const SERVICES: [&str; 7] = ["gateway", "order", "user", "inventory", "payment", "provider", "notification"];
const TRACES_A_BATCH: u64 = 51;

/// Operations that there are.
const NAMES: [(&str, &str); 3] =
    [("gateway", "POST /api/orders"), ("order", "GET /api/orders"), ("user", "POST /api/users/{id}")];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn text(key: &'static str, value: impl Into<String>) -> Attribute {
    Attribute { key: key.into(), value: Value::Text(value.into().into()) }
}

fn int(key: &'static str, value: u64) -> Attribute {
    Attribute { key: key.into(), value: Value::Int(value.cast_signed()) }
}

fn resource(service: &str) -> Arc<Resource> {
    let attributes = vec![
        text("service.name", service),
        text("service.namespace", "waypost"),
        text("service.version", "1.4.2"),
        text("service.instance.id", format!("{service}-7d9f4")),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", "rust"),
        text("host.name", "node-3"),
    ];
    Arc::new(Resource::new(attributes, 0, "".into()))
}

/// A trace that begins at this time.
fn trace(number: u64, start: u64, resources: &[Arc<Resource>], scope: &Arc<Scope>) -> (TraceId, Vec<Span>) {
    let mut random = Random(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let bytes = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
    let trace_id = TraceId::from_bytes(&bytes).unwrap();
    let order = format!("ord-{:016x}", random.next());
    let user = format!("user-{}", random.next() % 5000);
    let is_failed = random.next().is_multiple_of(50);
    let mut ids: Vec<SpanId> = Vec::new();
    let mut spans = Vec::new();
    for place in 0..10_usize {
        let service = place * 7 / 10;
        let id = SpanId::from_bytes(&random.next().to_be_bytes()).unwrap();
        let begins = start + place as u64 * 150_000 + random.next() % 90_000;
        let length = (40_000_000 >> (place / 2)) + random.next() % 3_000_000;
        let route = ["/api/orders", "/api/orders/{id}", "/api/users/{id}"][(number % 3) as usize];
        let attributes = vec![
            text("http.request.method", if number.is_multiple_of(3) { "POST" } else { "GET" }),
            text("http.route", route),
            text("url.path", format!("/api/orders/{order}")),
            text("url.scheme", "http"),
            text("server.address", format!("{}.svc.local", SERVICES[service])),
            int("server.port", 8080 + service as u64),
            int("http.response.status_code", if is_failed && place == 4 { 503 } else { 200 }),
            text("network.protocol.version", "1.1"),
            text("network.peer.address", format!("10.0.{}.{}", random.next() % 4, random.next() % 40)),
            int("network.peer.port", 32768 + random.next() % 28000),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
            text("order.id", order.clone()),
            text("user.id", user.clone()),
            text("tenant.id", format!("tenant-{}", number % 40)),
            int("thread.id", random.next() % 16),
            text("thread.name", format!("worker-{}", random.next() % 16)),
            text("code.function.name", format!("handle_{}", place % 7)),
            int("code.line.number", 100 + place as u64 * 17),
            int("http.response.body.size", random.next() % 3000),
            text("feature.variant", ["a", "b", "control"][(random.next() % 3) as usize]),
        ];
        let is_error = is_failed && place == 4;
        let status = if is_error {
            Status { code: StatusCode::Error, message: "upstream answered 503".into() }
        } else {
            Status::default()
        };
        spans.push(Span {
            trace_id,
            span_id: id,
            parent_span_id: ids.get(place.saturating_sub(1) / 2).copied().filter(|_| place > 0),
            trace_state: "".into(),
            flags: 0x101,
            name: format!("{} {route}", ["POST", "GET", "GET"][place % 3]).into(),
            kind: [Kind::Server, Kind::Client, Kind::Internal][place % 3],
            start: begins,
            end: begins + length,
            status,
            attributes,
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            resource: resources[service].clone(),
            scope: scope.clone(),
        });
        ids.push(id);
    }
    (trace_id, spans)
}

/// Time on a processor, from a file of `/proc`.
fn time_on_processor(path: &Path) -> Duration {
    let said = fs::read_to_string(path).unwrap_or_default();
    Duration::from_nanos(said.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

/// Of this thread.
fn of_this_thread() -> Duration {
    time_on_processor(Path::new("/proc/thread-self/schedstat"))
}

/// Of all threads that live.
fn of_all_threads() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| time_on_processor(&task.unwrap().path().join("schedstat"))).sum()
}

fn resident_megabytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn bytes_of(folder: &Path) -> u64 {
    let size = |entry: fs::DirEntry| {
        if entry.path().is_dir() { bytes_of(&entry.path()) } else { entry.metadata().unwrap().len() }
    };
    fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).sum()
}

fn time(what: &str, times: usize, mut ask: impl FnMut(usize) -> usize) {
    let mut took: Vec<Duration> = Vec::new();
    let mut found = 0;
    for time in 0..times {
        let begun = Instant::now();
        found = ask(time);
        took.push(begun.elapsed());
    }
    took.sort();
    let [median, worst] = [took[times / 2], took[times - 1]];
    println!("{what:<44} median {median:>10.2?}  worst {worst:>10.2?}  (last found {found})");
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let wanted: u64 = arguments.first().map_or(1_000_000, |number| number.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let folder = arguments.get(1).map_or(temporary.path(), Path::new);
    let sync = if arguments.get(2).is_some() { Durability::EverySecond } else { Durability::Always };
    let settings = Settings { budget_bytes: 100 << 30, sync, ..Settings::default() };
    let store = BlockStore::open(folder, settings).unwrap();
    let resources: Vec<Arc<Resource>> = SERVICES.iter().map(|service| resource(service)).collect();
    let scope = Arc::new(Scope { name: "waypost".into(), version: "0.1.0".into(), ..Scope::default() });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let begin = 1_790_000_000_000_000_000_u64;
    let (mut sent, mut number, mut wire_bytes, mut retries) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut asked: Vec<TraceId> = Vec::new();
    let (mut making, begun) = (Duration::ZERO, Instant::now());
    let started = of_all_threads();
    let mut waiting = std::collections::VecDeque::new();
    while sent < wanted {
        // Making the request and decoding it is the senders' and the intake's work; its time is taken off, as
        // measured.
        let making_begun = of_this_thread();
        let mut spans = Vec::new();
        for _ in 0..TRACES_A_BATCH {
            let (id, of_trace) = trace(number, begin + number * 1_000_000, &resources, &scope);
            if number % (wanted / 10 / 100).max(1) == 0 {
                asked.push(id);
            }
            spans.extend(of_trace);
            number += 1;
        }
        spans.sort_by_key(|span| SERVICES.iter().position(|service| *service == &**span.service()));
        let wire = otlp::traces_to_protobuf(&spans);
        wire_bytes += wire.len() as u64;
        drop(spans);
        let batch: Arc<Batch> = Arc::new(otlp::traces_from_protobuf(&wire, &Limits::default()).unwrap());
        sent += batch.spans.len() as u64;
        making += of_this_thread().saturating_sub(making_begun);
        // Eight senders, each with one request on its way.
        waiting.push_back((batch.clone(), store.append(batch)));
        while waiting.len() >= 8 {
            let (batch, answer) = waiting.pop_front().unwrap();
            match runtime.block_on(answer) {
                Ok(_) => {}
                Err(AppendError::Overloaded) => {
                    retries += 1;
                    std::thread::sleep(Duration::from_millis(20));
                    waiting.push_back((batch.clone(), store.append(batch)));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    for (_, answer) in waiting {
        runtime.block_on(answer).unwrap();
    }
    runtime.block_on(store.flush()).unwrap();
    let (wall, used) = (begun.elapsed(), of_all_threads().saturating_sub(started));
    let own = used.saturating_sub(making);
    println!("{sent} spans, {} bytes each on the wire, {retries} asked to try again", wire_bytes / sent);
    println!("wall {wall:.2?}; processor {used:.2?}, of it {making:.2?} to make and decode requests");
    let per_span = own.as_secs_f64() * 1e6 / sent as f64;
    println!("store: {per_span:.2} us a span, {:.0} spans/s of one core", 1e6 / per_span);
    println!("resident {} MB, at most {} MB", resident_megabytes("VmRSS"), resident_megabytes("VmHWM"));
    println!("on the disk {:.1} bytes a span, journal included", bytes_of(folder) as f64 / sent as f64);
    let usage = store.usage();
    println!("{} files, {} spans", usage.files, usage.spans);
    drop(store);

    let begun = Instant::now();
    let store =
        BlockStore::open(folder, Settings { budget_bytes: 100 << 30, ..Settings::default() }).unwrap();
    println!("opened again in {:.2?}, resident {} MB", begun.elapsed(), resident_megabytes("VmRSS"));
    questions(&store, &asked, number);
    println!(
        "resident after the questions {} MB, at most {} MB",
        resident_megabytes("VmRSS"),
        resident_megabytes("VmHWM")
    );
}

fn questions(store: &BlockStore, asked: &[TraceId], traces: u64) {
    let find = |query: &Query| store.find(query).unwrap().matches.len();
    let with = |filter: SpanFilter| Query { spans: vec![filter], ..Query::default() };
    time("a trace by id", 50, |time| {
        store.traces(&[asked[time * 7919 % asked.len()]]).unwrap()[0].spans.len()
    });
    time("its skeleton", 50, |time| {
        store.skeleton(asked[time * 104_729 % asked.len()]).unwrap().unwrap().nodes.len()
    });
    time("newest 20, with summaries", 10, |_| {
        let ids: Vec<_> =
            store.find(&Query::default()).unwrap().matches.iter().map(|found| found.trace_id).collect();
        store.summaries(&ids).unwrap().len()
    });
    let named = |time: usize| SpanFilter {
        service: Some(NAMES[time % 3].0.into()),
        operation: Some(NAMES[time % 3].1.into()),
        duration: 20_000_000..=u64::MAX,
        ..SpanFilter::default()
    };
    time("service, operation, duration", 21, |time| find(&with(named(time))));
    time("the same, longest first", 21, |time| find(&Query { order: Order::Longest, ..with(named(time)) }));
    let attribute = |key: &str, value: String| SpanFilter {
        attributes: vec![AttributeFilter {
            scope: None,
            key: key.to_owned().into(),
            test: Test::Equals(value),
        }],
        ..SpanFilter::default()
    };
    time("an attribute of one trace", 10, |time| {
        let number = time as u64 * 104_729 % traces;
        let mut random = Random(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let order = format!("ord-{:016x}", (0..3).map(|_| random.next()).last().unwrap());
        find(&with(attribute("order.id", order)))
    });
    time("an attribute that nothing has", 10, |time| {
        find(&with(attribute("order.id", format!("ord-none-{time}"))))
    });
    time("errors of one tenant", 10, |time| {
        let filter = attribute("tenant.id", format!("tenant-{}", time % 40));
        find(&with(SpanFilter { status: Some(StatusCode::Error), ..filter }))
    });
    time("free text that nothing has", 3, |_| {
        find(&with(SpanFilter { text: Some("no such words".into()), ..SpanFilter::default() }))
    });
    time("two filters, and the trace's duration", 5, |_| {
        let first = SpanFilter { service: Some("gateway".into()), ..SpanFilter::default() };
        let second = SpanFilter {
            service: Some("payment".into()),
            status: Some(StatusCode::Error),
            ..SpanFilter::default()
        };
        find(&Query { spans: vec![first, second], trace_duration: 1_000_000..=u64::MAX, ..Query::default() })
    });
}
