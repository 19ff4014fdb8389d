//! One call through an integration: the bare library, the kit around it, and what others wrote for the same purpose.
//!
//! Each variant is a process of its own that makes the same calls in a row on one thread, its spans sent to a receiver over OTLP/HTTP
//! and its metrics taken where the variant has any. Instructions are counted by valgrind in two runs of different length, whose
//! difference leaves out start and end; allocations by this program's allocator. Both include the export. They repeat within a
//! percent whatever else the machine does, which times do not.

mod caches;
mod database;
mod grpc;
mod http;
mod setup;

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::allocations;
use crate::libraries;
use crate::process::{Environment, Process};
use crate::receiver::Receiver;
use crate::table::{Table, grouped};
use setup::Peer;

/// Calls before anything is counted: connections, caches, instruments.
const WARM_UP: u32 = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Calls of the longer run under valgrind; the shorter one has a fifth of them.
    #[arg(long, default_value_t = 2_500)]
    instructions: u32,
    /// Calls whose allocations are counted.
    #[arg(long, default_value_t = 5_000)]
    allocations: u32,
    /// Only these integrations.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CallOptions {
    integration: String,
    variant: String,
    #[arg(long)]
    calls: u32,
}

/// An integration: its name, what a call is, who integrates it. The first is bare and the second the kit.
struct Integration {
    name: &'static str,
    call: &'static str,
    variants: &'static [&'static str],
}

const INTEGRATIONS: [Integration; 7] = [
    Integration {
        name: "http-server",
        call: "a request to axum, in memory",
        variants: &[
            "bare",
            "kit",
            "tower-otel",
            "axum-tracing-opentelemetry",
            "opentelemetry-instrumentation-tower",
        ],
    },
    Integration {
        name: "reqwest",
        call: "a request over a kept connection, both ends",
        variants: &["bare", "kit", "tower-otel", "reqwest-tracing"],
    },
    Integration {
        name: "grpc",
        call: "a unary call of tonic over a kept connection, both ends traced",
        variants: &["bare", "kit", "tower-otel", "tonic-tracing-opentelemetry"],
    },
    Integration {
        name: "sqlx",
        call: "a row by its key, SQLite in memory",
        variants: &["bare", "kit", "sqlx-otel"],
    },
    Integration {
        name: "rusqlite",
        call: "a row by its key, SQLite in memory",
        variants: &["bare", "kit", "oxtel-sql"],
    },
    Integration {
        name: "redis",
        call: "GET of a connection that answers at once",
        variants: &["bare", "kit"],
    },
    Integration { name: "moka", call: "a hit", variants: &["bare", "kit"] },
];

/// What a process counted, for all its calls after the warm-up.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Counted {
    allocations: u64,
}

/// What a call costs.
struct Cost {
    instructions: f64,
    allocations: f64,
    spans: f64,
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let header =
        ["variant", "spans", "instructions", "beyond bare", "allocations", "beyond bare", "kit to it"];
    for Integration { name, call, variants } in &INTEGRATIONS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        println!("### {name}: {call}\n");
        let mut table = Table::new(&header);
        let costs = variants
            .iter()
            .map(|variant| cost(name, variant, options))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (Some(bare), Some(kit)) = (costs.first(), costs.get(1)) else { bail!("{name} has no variants") };
        for (place, (variant, cost)) in variants.iter().zip(&costs).enumerate() {
            let (instructions, allocations) =
                (cost.instructions - bare.instructions, cost.allocations - bare.allocations);
            let kit_to_it = (kit.instructions - bare.instructions) / instructions;
            table.row(&[
                (*variant).to_owned(),
                format!("{:.0}", cost.spans),
                whole(cost.instructions),
                if place == 0 { String::new() } else { whole(instructions) },
                format!("{:.1}", cost.allocations),
                if place == 0 { String::new() } else { format!("{allocations:.1}") },
                if place < 2 { String::new() } else { format!("{kit_to_it:.2}") },
            ]);
        }
        table.print();
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of instructions of one call"
)]
fn whole(number: f64) -> String {
    grouped(number.max(0.0).round() as u64)
}

fn cost(integration: &str, variant: &str, options: &Options) -> anyhow::Result<Cost> {
    let mut receiver = Receiver::start()?;
    let environment = environment(receiver.address);
    let (long, short) = (options.instructions, options.instructions / 5);
    let instructions = instructions(integration, variant, long, &environment)?
        - instructions(integration, variant, short, &environment)?;
    receiver.reset()?;
    let calls = options.allocations.to_string();
    let mut process = Process::start(&["call", integration, variant, "--calls", &calls], &environment)?;
    let counted: Counted = process.read()?;
    process.finish()?;
    let spans = receiver.counts()?.spans;
    let per_call = |number: f64, calls: u32| number / f64::from(calls);
    Ok(Cost {
        instructions: per_call(instructions, long - short),
        allocations: per_call(float(counted.allocations), options.allocations),
        spans: per_call(float(spans), options.allocations + WARM_UP),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

fn environment(receiver: SocketAddr) -> Environment {
    let mut environment: Environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{receiver}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_SERVICE_NAME", "shop".to_owned()),
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_LOGS_EXPORTER", "none".to_owned()),
        ("OXTEL_LOG_FORMAT", "none".to_owned()),
    ];
    environment.extend(libraries::equal_batches());
    environment
}

/// All instructions of one process, its threads and its start included.
fn instructions(
    integration: &str,
    variant: &str,
    calls: u32,
    environment: &Environment,
) -> anyhow::Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?);
    command.args(["call", integration, variant, "--calls", &calls.to_string()]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = command.output().context("valgrind counts the instructions, and could not be started")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(collected) if output.status.success() => Ok(collected),
        _ => bail!("`call {integration} {variant}` under valgrind ended with {}: {text}", output.status),
    }
}

/// The process that makes the calls.
pub(crate) fn run(options: &CallOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let peer = Peer::start(&options.variant)?;
    let mut calls = Calls { number: options.calls };
    runtime.block_on(async {
        match options.integration.as_str() {
            "http-server" => http::server(&peer, &options.variant, &mut calls).await,
            "reqwest" => http::client(&peer, &options.variant, &mut calls).await,
            "grpc" => grpc::both(&peer, &options.variant, &mut calls).await,
            "sqlx" => database::sqlx(&peer, &mut calls).await,
            "rusqlite" => database::rusqlite(&peer, &mut calls).await,
            "redis" => caches::redis(&peer, &mut calls).await,
            "moka" => caches::moka(&peer, &mut calls).await,
            other => bail!("no integration is called {other}"),
        }
    })?;
    peer.flush()?;
    println!("{}", serde_json::to_string(&Counted { allocations: allocations::of_process() })?);
    Ok(())
}

/// The other end of calls, until the process ends.
#[expect(clippy::disallowed_methods, reason = "what is bare has nothing of the kit in it")]
fn beside<T: Send + 'static>(server: impl Future<Output = T> + Send + 'static) {
    drop(tokio::spawn(server));
}

/// The calls of one process.
struct Calls {
    number: u32,
}

impl Calls {
    /// Makes them; counts allocations from the end of the warm-up on.
    async fn each(&mut self, mut call: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
        for _ in 0..WARM_UP {
            call().await?;
        }
        allocations::start();
        for _ in 0..self.number {
            call().await?;
        }
        Ok(())
    }
}
