//! The cost of a root that is left out: by itself, below a caller's span, and as a request to the server layer.
//!
//! Each row is a process of its own. Instructions are the difference of a longer and a shorter run under valgrind; CPU is that of
//! the thread that makes the spans, rounds alternated, each to `always_off` of the same round.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::post;
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use waypost_telemetry::opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use waypost_telemetry::{Outcome, Telemetry};

use super::{Options, samplers};
use crate::instructions::Counted;
use crate::process::{Environment, Process};
use crate::receiver::Receiver;
use crate::statistics::spread;
use crate::table::{Table, grouped};
use crate::{clock, libraries};

/// Connections, caches, instruments; enough to fill the tail buffer of the row that has one.
const WARM_UP: u64 = 3_000;
const DEADLINE: Duration = Duration::from_secs(30);
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// What a process makes again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// A SERVER span with four attributes that has no parent.
    Root,
    /// The same below a span of another process that is not sampled.
    Below,
    /// A request to axum with the kit's layer, in memory.
    Request,
    /// The same with a `traceparent` that is not sampled.
    RequestBelow,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DecisionOptions {
    sampler: String,
    subject: Subject,
    #[arg(long)]
    count: u64,
}

/// Title of a row and its sampler.
type Row = (&'static str, &'static str);

const ROOTS: &[Row] = &[
    ("always_off", "always_off"),
    ("parentbased ratio 0", "ratio"),
    ("consistent ratio", "consistent"),
    ("five rules, the last fits", "last-rule"),
    ("five rules, none fits", "no-rule"),
    ("a rule with `max_per_second`, used up", "bucket"),
    ("debug header, not sent", "debug-header"),
    ("tail buffer, held and let go", "tail"),
    ("always_on, exported", "always_on"),
];

const BELOW: &[Row] = &[
    ("always_off", "always_off"),
    ("parentbased, follows the caller", "ratio"),
    ("`remote_not_sampled = \"root\"`", "root-below-unsampled"),
];

const SETS: [(&str, Subject, &str, &[Row]); 4] = [
    ("A root span", Subject::Root, "root", ROOTS),
    ("A span below a caller that is not sampled", Subject::Below, "below", BELOW),
    ("A request to axum, in memory", Subject::Request, "request", ROOTS),
    ("A request of a caller that is not sampled", Subject::RequestBelow, "request-below", BELOW),
];

pub(super) fn measure(options: &Options) -> anyhow::Result<()> {
    for (title, _, subject, rows) in SETS {
        println!("### {title}\n");
        let mut receiver = Receiver::start()?;
        let environment = environment(&receiver);
        let mut counts = Vec::new();
        for (_, sampler) in rows {
            receiver.reset()?;
            counts.push(instructions(sampler, subject, options.instructions, &environment)?);
            if *sampler != "always_on" && *sampler != "bucket" && receiver.counts()?.spans > 0 {
                bail!("spans of {sampler} were exported");
            }
        }
        let base = *counts.first().context("no rows")?;
        let ratios = cpu_to_first(rows, subject, options, &environment)?;
        let mut table = Table::new(&["sampler", "instructions", "to always_off", "CPU to always_off"]);
        for ((name, _), (count, cpu)) in rows.iter().zip(counts.iter().zip(&ratios)) {
            #[expect(clippy::cast_precision_loss, reason = "printed with two digits")]
            let ratio = *count as f64 / base as f64;
            let row = [(*name).to_owned(), grouped(*count), format!("{ratio:.2}"), spread(cpu, 2)];
            table.row(&row);
        }
        table.print();
    }
    Ok(())
}

fn environment(receiver: &Receiver) -> Environment {
    let mut environment: Environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.address)),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
    ];
    environment.extend(libraries::equal_batches());
    environment
}

fn instructions(sampler: &str, subject: &str, count: u64, environment: &Environment) -> anyhow::Result<u64> {
    let of = |count: u64| {
        let count = count.to_string();
        Counted::start(&["decisions", sampler, subject, "--count", &count], environment)?.finish()
    };
    let (less, more) = (of(count)?, of(2 * count)?);
    Ok(more.saturating_sub(less) / count)
}

/// By row, what each round took to the first row of that round.
fn cpu_to_first(
    rows: &[Row],
    subject: &str,
    options: &Options,
    environment: &Environment,
) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut ratios = vec![Vec::new(); rows.len()];
    let count = options.timed.to_string();
    for round in 0..options.rounds {
        let mut taken = vec![0.0; rows.len()];
        for place in 0..rows.len() {
            let place = (round + place) % rows.len();
            let (Some((_, sampler)), Some(taken)) = (rows.get(place), taken.get_mut(place)) else { continue };
            let mut process =
                Process::start(&["decisions", sampler, subject, "--count", &count], environment)?;
            *taken = process.read::<Duration>()?.as_secs_f64();
            process.finish()?;
        }
        let first = *taken.first().context("no rows")?;
        for (ratios, taken) in ratios.iter_mut().zip(taken) {
            ratios.push(taken / first);
        }
    }
    Ok(ratios)
}

/// The process that makes them: writes the CPU of its thread.
pub(crate) fn run(options: &DecisionOptions) -> anyhow::Result<()> {
    clock::pin(clock::MEASURED);
    let telemetry = samplers::start(&options.sampler)?;
    let took = match options.subject {
        Subject::Root => spans(&telemetry, options.count),
        Subject::Below => {
            let caller = SpanContext::new(
                TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128),
                SpanId::from(0x00f0_67aa_0ba9_02b7_u64),
                TraceFlags::NOT_SAMPLED,
                true,
                TraceState::NONE,
            );
            let _attached = telemetry.context().with_remote_span_context(caller).attach();
            spans(&telemetry, options.count)
        }
        Subject::Request => requests(&telemetry, options.count, None)?,
        Subject::RequestBelow => requests(&telemetry, options.count, Some(UNSAMPLED))?,
    };
    let report = telemetry.shutdown_blocking(DEADLINE);
    if !report.complete {
        bail!("the kit did not send everything: {report:?}");
    }
    println!("{}", serde_json::to_string(&took)?);
    Ok(())
}

fn spans(telemetry: &Telemetry, count: u64) -> Duration {
    let make = |count| {
        for _ in 0..count {
            let span = telemetry
                .span("POST /orders/{id}")
                .kind(SpanKind::Server)
                .attr("http.request.method", "POST")
                .attr("http.route", "/orders/{id}")
                .attr("url.scheme", "http")
                .attr("server.address", "shop.example")
                .start();
            black_box(span).end(Outcome::Ok);
        }
    };
    make(WARM_UP);
    let begun = clock::thread_cpu();
    make(count);
    clock::thread_cpu().saturating_sub(begun)
}

fn requests(telemetry: &Telemetry, count: u64, traceparent: Option<&str>) -> anyhow::Result<Duration> {
    let routes = Router::new().route("/orders/{id}", post(async |Path(id): Path<String>| id));
    let app = routes.layer(telemetry.http_server());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let make = async |count| {
        for _ in 0..count {
            let mut request = Request::post("/orders/17").header("host", "shop.example");
            if let Some(traceparent) = traceparent {
                request = request.header("traceparent", traceparent);
            }
            let response = app.clone().oneshot(request.body(Body::empty())?).await?;
            // A response that nobody reads is one that its client left, which keeps a trace.
            black_box(response.into_body().collect().await?);
        }
        anyhow::Ok(())
    };
    runtime.block_on(async {
        make(WARM_UP).await?;
        let begun = clock::thread_cpu();
        make(count).await?;
        Ok(clock::thread_cpu().saturating_sub(begun))
    })
}
