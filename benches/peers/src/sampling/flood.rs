//! A flood of traces that nothing keeps: what the tail buffer holds of it, and what the process grows by.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use waypost_telemetry::opentelemetry::trace::SpanKind;
use waypost_telemetry::{Outcome, TailLedger, Telemetry, span};

use super::{Options, samplers};
use crate::clock;
use crate::order::{self, AGENT, Order, QUERY, SPANS};
use crate::process::{Environment, Process};
use crate::table::{Table, grouped};

/// Traces between two readings of the account and of the memory.
const STEP: u64 = 500;
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct FloodOptions {
    #[arg(long)]
    traces: u64,
    /// Of the tail buffer; without it there is none.
    #[arg(long)]
    max_bytes: Option<u64>,
}

/// What a flood left, and what was largest while it lasted. Bytes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outcomes {
    resident_before: u64,
    resident_at_most: u64,
    resident_after: u64,
    held_bytes_at_most: u64,
    held_bytes: u64,
    held_spans: u64,
    kept: u64,
    expired: u64,
    made_room: u64,
    created: u64,
}

pub(super) fn measure(options: &Options) -> anyhow::Result<()> {
    println!("### A flood of {} traces of four spans\n", grouped(options.traces));
    let mut table = Table::new(&[
        "max_bytes",
        "held at most, bytes",
        "spans held",
        "made room",
        "expired",
        "spans per MiB",
        "resident growth at most, bytes",
        "to max_bytes",
        "after it",
    ]);
    let without = flood(options.traces, None)?;
    let growth = |outcomes: &Outcomes, resident: u64| resident.saturating_sub(outcomes.resident_before);
    for max_bytes in &options.max_bytes {
        let with = flood(options.traces, Some(*max_bytes))?;
        if with.made_room == 0 {
            bail!("{} traces do not fill {max_bytes} bytes", options.traces);
        }
        let at_most =
            growth(&with, with.resident_at_most).saturating_sub(growth(&without, without.resident_at_most));
        let after =
            growth(&with, with.resident_after).saturating_sub(growth(&without, without.resident_after));
        #[expect(clippy::cast_precision_loss, reason = "printed with two digits")]
        let (ratio, per_mib) = (
            at_most as f64 / *max_bytes as f64,
            with.held_spans as f64 * f64::from(1 << 20) / with.held_bytes as f64,
        );
        table.row(&[
            grouped(*max_bytes),
            grouped(with.held_bytes_at_most),
            grouped(with.held_spans),
            grouped(with.made_room),
            grouped(with.expired),
            format!("{per_mib:.0}"),
            grouped(at_most),
            format!("{ratio:.2}"),
            grouped(after),
        ]);
    }
    table.print();
    println!(
        "Without a tail buffer the process grew by {} bytes.\n",
        grouped(growth(&without, without.resident_at_most))
    );
    Ok(())
}

fn flood(traces: u64, max_bytes: Option<u64>) -> anyhow::Result<Outcomes> {
    // Nothing is kept, so nothing is sent to the exporter's default address.
    let environment: Environment = vec![
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
    ];
    let (traces, max_bytes) = (traces.to_string(), max_bytes.map(|bytes| bytes.to_string()));
    let mut arguments = vec!["flood", "--traces", &traces];
    if let Some(max_bytes) = &max_bytes {
        arguments.extend(["--max-bytes", max_bytes]);
    }
    let mut process = Process::start(&arguments, &environment)?;
    let outcomes = process.read()?;
    process.finish()?;
    Ok(outcomes)
}

/// The process that is flooded. Fails if the account exceeds its bytes or does not add up, at any reading.
pub(crate) fn run(options: &FloodOptions) -> anyhow::Result<()> {
    clock::pin(clock::MEASURED);
    let telemetry = samplers::left_out(options.max_bytes)?;
    let orders = order::orders();
    let mut orders = orders.iter().cycle();
    let mut outcomes = Outcomes::default();
    // The thread's own and the library's first allocations are no part of what grows.
    for order in orders.by_ref().take(16) {
        trace(&telemetry, order);
    }
    outcomes.created = 16 * SPANS;
    outcomes.resident_before = resident()?;
    let mut left = options.traces;
    while left > 0 {
        let step = left.min(STEP);
        for order in orders.by_ref().take(usize::try_from(step)?) {
            trace(&telemetry, order);
        }
        left -= step;
        outcomes.created += step * SPANS;
        outcomes.resident_at_most = outcomes.resident_at_most.max(resident()?);
        if let (Some(ledger), Some(max_bytes)) = (telemetry.tail_ledger(), options.max_bytes) {
            outcomes.read(&ledger, max_bytes)?;
        }
    }
    outcomes.resident_after = resident()?;
    telemetry.shutdown_blocking(DEADLINE);
    println!("{}", serde_json::to_string(&outcomes)?);
    Ok(())
}

impl Outcomes {
    fn read(&mut self, ledger: &TailLedger, max_bytes: u64) -> anyhow::Result<()> {
        self.held_bytes = ledger.waiting_bytes;
        self.held_bytes_at_most = self.held_bytes_at_most.max(ledger.waiting_bytes);
        self.held_spans = ledger.waiting_spans;
        (self.kept, self.expired, self.made_room) =
            (ledger.kept_spans, ledger.expired_spans, ledger.evicted_spans);
        if ledger.waiting_bytes > max_bytes {
            bail!("{} bytes are held and {max_bytes} are allowed", ledger.waiting_bytes);
        }
        let known = self.kept + self.expired + self.made_room + self.held_spans;
        if known != self.created {
            bail!("{} spans were created and the account knows of {known}: {ledger:?}", self.created);
        }
        Ok(())
    }
}

/// Four spans that did what they should.
fn trace(telemetry: &Telemetry, order: &Order) {
    let served = telemetry
        .span("POST /orders/{id}")
        .kind(SpanKind::Server)
        .attr("http.request.method", "POST")
        .attr("http.route", "/orders/{id}")
        .attr_str("url.path", &order.path)
        .attr("url.scheme", "http")
        .attr("server.address", "shop.example")
        .attr("server.port", 8080)
        .attr("user_agent.original", AGENT)
        .attr("http.response.status_code", 200);
    served.in_scope(|| {
        let placed = span("place-order").attr_str("order.id", &order.id).attr("order.items", order.items);
        placed.in_scope(|| {
            span("reserve-stock").attr("stock.distance", order.distance).in_scope(|| {
                let insert = span("INSERT orders")
                    .kind(SpanKind::Client)
                    .attr("db.system.name", "postgresql")
                    .attr("db.query.text", QUERY)
                    .attr("server.port", 5432)
                    .start();
                insert.end(Outcome::Ok);
            });
        });
    });
}

/// Memory of this process that is resident, in bytes.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().split(' ').next()).context("the kernel does not say")?;
    Ok(kibibytes.parse::<u64>()? * 1024)
}
