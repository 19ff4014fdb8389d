//! The small request: HTTP gateway, gRPC order service, a row into a SQLite file. Five spans.
//!
//! Each variant is a process with both services that stays up for all rounds; in a round each is loaded for a slice
//! of time, in an order that is turned round from round to round. CPU a request is that of the process with the
//! services, export included, and ratios are taken within a round.

pub(crate) mod load;
pub(crate) mod service;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;

use crate::account::Account;
use crate::libraries;
use crate::process::{Environment, Process};
use crate::receiver::Receiver;
use crate::statistics::spread;
use crate::table::Table;
use load::Loaded;

/// Spans of one request: server, own span, client, server, insert.
const SPANS: u64 = 5;
const WARM_UP_MILLIS: u64 = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Length of a slice.
    #[arg(long, default_value_t = 2_000)]
    milliseconds: u64,
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

/// Name of the row, the service's variant, whether spans arrive, variables.
type Plan = (&'static str, &'static str, bool, &'static [(&'static str, &'static str)]);

/// The first is what all others are compared with, the second the control.
const PLANS: [Plan; 7] = [
    ("no layers", "plain", false, &[]),
    ("no layers, control", "plain", false, &[]),
    ("layers, disabled", "layers", false, &[("OTEL_SDK_DISABLED", "true")]),
    ("layers, always_off", "layers", false, &[("OTEL_TRACES_SAMPLER", "always_off")]),
    ("layers, 100 % over HTTP", "layers", true, &[]),
    ("layers, 100 % over HTTP, no metrics", "layers-without-metrics", true, &[]),
    ("layers, 100 % over gRPC", "layers", true, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]),
];

/// A variant and what its slices gave.
struct Row {
    plan: &'static Plan,
    service: Process,
    receiver: Receiver,
    address: SocketAddr,
    requests: u64,
    /// CPU microseconds a request.
    cpu: Vec<f64>,
    /// Requests in a second.
    throughput: Vec<f64>,
}

/// What the service answers when it is asked for its cost.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Reading {
    /// CPU so far, of all threads, after a flush.
    cpu: Duration,
    account: Option<Account>,
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let mut rows = PLANS.iter().map(Row::start).collect::<anyhow::Result<Vec<_>>>()?;
    for row in &mut rows {
        row.slice(options.connections, WARM_UP_MILLIS)?;
        row.cpu.clear();
        row.throughput.clear();
    }
    for round in 0..options.rounds {
        let count = rows.len();
        for place in 0..count {
            let place = if round.is_multiple_of(2) { place } else { count - 1 - place };
            if let Some(row) = rows.get_mut(place) {
                row.slice(options.connections, options.milliseconds)?;
                let (cpu, throughput) = (row.cpu.last(), row.throughput.last());
                let (cpu, throughput) = cpu.zip(throughput).unwrap_or((&f64::NAN, &f64::NAN));
                println!(
                    "round {} {}: {cpu:.1} us of CPU a request, {throughput:.0} requests/s",
                    round + 1,
                    row.plan.0
                );
            }
        }
    }
    print(options, &rows);
    let faults =
        rows.iter_mut().filter_map(|row| row.fault().transpose()).collect::<anyhow::Result<Vec<_>>>()?;
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// The variables of a process with the services.
pub(crate) fn environment(receiver: SocketAddr, variables: &[(&'static str, &'static str)]) -> Environment {
    let mut environment: Environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{receiver}")),
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
    ];
    environment.extend(libraries::equal_batches());
    environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    environment
}

/// Loads the gateway for so long, from another process.
pub(crate) fn loaded(gateway: SocketAddr, connections: usize, milliseconds: u64) -> anyhow::Result<Loaded> {
    let (gateway, connections) = (gateway.to_string(), connections.to_string());
    let milliseconds = milliseconds.to_string();
    let arguments = ["load", &gateway, "--connections", &connections, "--milliseconds", &milliseconds];
    let mut load = Process::start(&arguments, &Vec::new())?;
    let loaded = load.read()?;
    load.finish()?;
    Ok(loaded)
}

fn print(options: &Options, rows: &[Row]) {
    let (rounds, connections) = (options.rounds, options.connections);
    println!("\n### HTTP, gRPC, SQLite: {rounds} rounds, {connections} connections, closed loop\n");
    let header = ["variant", "requests/s", "CPU us a request", "ratio to no layers", "extra ns a span"];
    let mut table = Table::new(&header);
    let base = rows.first().map(|row| row.cpu.clone()).unwrap_or_default();
    for row in rows {
        let pairs = || row.cpu.iter().zip(&base);
        let ratios: Vec<f64> = pairs().map(|(own, base)| own / base).collect();
        let extra: Vec<f64> = pairs().map(|(own, base)| (own - base) * 1e3 / 5.0).collect();
        table.row(&[
            row.plan.0.to_owned(),
            spread(&row.throughput, 0),
            spread(&row.cpu, 1),
            spread(&ratios, 3),
            spread(&extra, 0),
        ]);
    }
    table.print();
}

impl Row {
    fn start(plan: &'static Plan) -> anyhow::Result<Self> {
        let (_, variant, _, variables) = *plan;
        let receiver = Receiver::start()?;
        let mut service = Process::start(&["service", variant], &environment(receiver.address, variables))?;
        let address = service.read()?;
        let (cpu, throughput) = (Vec::new(), Vec::new());
        Ok(Self { plan, service, receiver, address, requests: 0, cpu, throughput })
    }

    fn slice(&mut self, connections: usize, milliseconds: u64) -> anyhow::Result<()> {
        let before: Reading = self.service.ask("reading")?;
        let loaded = loaded(self.address, connections, milliseconds)?;
        let after: Reading = self.service.ask("reading")?;
        let requests = f64::from(loaded.requests);
        self.requests += u64::from(loaded.requests);
        self.cpu.push(after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / requests);
        self.throughput.push(requests / loaded.elapsed.as_secs_f64());
        Ok(())
    }

    /// What is wrong with the number of spans.
    fn fault(&mut self) -> anyhow::Result<Option<String>> {
        let (name, _, arrives, _) = *self.plan;
        let reading: Reading = self.service.ask("reading")?;
        if let Some(account) = &reading.account {
            println!("{name}: {} requests; {account}", self.requests);
        }
        let expected = if arrives { self.requests * SPANS } else { 0 };
        let arrived = self.receiver.counts()?.spans;
        Ok((arrived != expected).then(|| format!("{name}: {arrived} spans arrived, not {expected}")))
    }
}
