//! Instructions instead of time, counted by valgrind's callgrind: user space of all threads, export included. The count is
//! the same whatever else the machine does, so versions can be compared whose time differs by a few percent.
//!
//! Each row is run twice, with less and with more work, and what the rest took is divided: starting, warming up and
//! ending are in both.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::libraries::{self, Variant};
use crate::process::{Environment, Process};
use crate::receiver::Receiver;
use crate::request;
use crate::table::Table;

/// The row that spans are compared with.
const REFERENCE: &str = "sdk-http";
/// The row that requests are compared with.
const PLAIN: &str = "no layers";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Requests of four spans in the shorter run of a row.
    #[arg(long, default_value_t = 6_400)]
    requests: u64,
    /// How long the small request is loaded in the shorter run of a row.
    #[arg(long, default_value_t = 3_000)]
    milliseconds: u64,
    /// Only rows whose name holds one of these, and those that they are compared with.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Name of a row, its variant, further variables.
type Plan = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const OFF: (&str, &str) = ("OTEL_TRACES_SAMPLER", "always_off");
const DISABLED: (&str, &str) = ("OTEL_SDK_DISABLED", "true");
const WITHOUT_EXEMPLARS: (&str, &str) = ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off");

const SPANS: [Plan; 9] = [
    ("kit-http", "kit-http", &[]),
    ("kit-grpc", "kit-grpc", &[]),
    ("kit-otel-api-http", "kit-otel-api-http", &[]),
    ("sdk-http", "sdk-http", &[]),
    ("kit-http, always_off", "kit-http", &[OFF]),
    ("kit-otel-api-http, always_off", "kit-otel-api-http", &[OFF]),
    ("kit-http, disabled", "kit-http", &[DISABLED]),
    ("sdk-http, always_off", "sdk-http", &[OFF]),
    ("none", "none", &[]),
];

const REQUESTS: [Plan; 6] = [
    (PLAIN, "plain", &[]),
    ("layers, disabled", "layers", &[DISABLED]),
    ("layers, always_off", "layers", &[OFF]),
    ("layers, 100 % over HTTP", "layers", &[]),
    ("layers, 100 % over HTTP, no exemplars", "layers", &[WITHOUT_EXEMPLARS]),
    ("layers, 100 % over HTTP, no metrics", "layers-without-metrics", &[]),
];

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    print(options, "A span of a request of four", &SPANS, REFERENCE, of_span)?;
    print(options, "A request over HTTP and gRPC to SQLite, five spans", &REQUESTS, PLAIN, of_request)
}

fn print(
    options: &Options,
    title: &str,
    plans: &[Plan],
    reference: &str,
    count: impl Fn(&Options, &Plan) -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    let is_wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|part| name.contains(part));
    let wanted: Vec<&Plan> = plans.iter().filter(|(name, ..)| is_wanted(name)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let plan = plans.iter().find(|(name, ..)| *name == reference).context("no such row")?;
    let base = count(options, plan)?;
    let ratio_header = format!("ratio to {reference}");
    let mut table = Table::new(&["variant", "instructions", &ratio_header]);
    for plan in wanted {
        let instructions = if plan.0 == reference { base } else { count(options, plan)? };
        #[expect(clippy::cast_precision_loss, reason = "printed with three digits")]
        let ratio = instructions as f64 / base as f64;
        table.row(&[plan.0.to_owned(), instructions.to_string(), format!("{ratio:.3}")]);
    }
    println!("\n### {title}\n");
    table.print();
    Ok(())
}

fn of_span(options: &Options, (_, name, variables): &Plan) -> anyhow::Result<u64> {
    let receiver = Receiver::start()?;
    let mut environment = Variant::named(name)?.environment(receiver.address);
    environment.extend(libraries::equal_batches());
    environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let count = |requests: u64| {
        let counted = Counted::start(&["bursts", name, "--requests", &requests.to_string()], &environment)?;
        counted.finish()
    };
    let (less, more) = (count(options.requests)?, count(2 * options.requests)?);
    Ok(more.saturating_sub(less) / options.requests / crate::order::SPANS)
}

fn of_request(options: &Options, (_, variant, variables): &Plan) -> anyhow::Result<u64> {
    let count = |milliseconds: u64| {
        let receiver = Receiver::start()?;
        let environment = request::environment(receiver.address, variables);
        let mut counted = Counted::start(&["service", variant], &environment)?;
        let address = counted.process.read()?;
        let loaded = request::loaded(address, CONNECTIONS, milliseconds)?;
        // Spans are sent before it ends.
        counted.process.ask::<serde_json::Value>("reading")?;
        anyhow::Ok((counted.finish()?, u64::from(loaded.requests)))
    };
    let (less, more) = (count(options.milliseconds)?, count(3 * options.milliseconds)?);
    let requests = more.1.checked_sub(less.1).filter(|requests| *requests > 0);
    Ok(more.0.saturating_sub(less.0) / requests.context("the longer run served fewer requests")?)
}

const CONNECTIONS: usize = 32;

/// A peer measures the processor's clock before `main`, for as long as it takes.
const FROM_MAIN: &str = "--zero-before=waypost_peers::main";

/// A process of this program under valgrind.
pub(crate) struct Counted {
    process: Process,
    folder: tempfile::TempDir,
}

impl Counted {
    pub(crate) fn start(arguments: &[&str], environment: &Environment) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let out = format!("--callgrind-out-file={}", Self::file(folder.path()).display());
        let options = ["-q", "--tool=callgrind", FROM_MAIN, &out];
        let process = Process::start_under("valgrind", &options, arguments, environment)?;
        Ok(Self { process, folder })
    }

    fn file(folder: &Path) -> std::path::PathBuf {
        folder.join("callgrind.out")
    }

    /// Waits for its end and reads how many instructions it took.
    pub(crate) fn finish(self) -> anyhow::Result<u64> {
        self.process.finish()?;
        let counted = std::fs::read_to_string(Self::file(self.folder.path()))?;
        let totals = counted.lines().find_map(|line| line.strip_prefix("totals: "));
        let Some(totals) = totals else { bail!("valgrind wrote no totals") };
        Ok(totals.trim().parse()?)
    }
}
