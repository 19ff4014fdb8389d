//! Sets of variants, alternated: in every round each variant runs once in a process of its own, the order moves on
//! by one from round to round, and ratios are taken within a round.

mod row;
mod summary;

use anyhow::bail;

use crate::receiver::Receiver;
use row::Row;

/// The row that all others are compared with: the loop without spans.
const BASE: &str = "none";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Requests of a run; each has four spans.
    #[arg(long, default_value_t = 25_600)]
    requests: u64,
    /// Only variants whose name holds one of these, and `none` and those of the SDK that they are compared with.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// What is compared.
pub(crate) struct Set {
    title: &'static str,
    rows: &'static [RowPlan],
    /// Whether spans arrive at the receiver.
    arrives: bool,
}

/// Name of a row, its variant, further variables.
type RowPlan = (&'static str, &'static str, Variables);
type Variables = &'static [(&'static str, &'static str)];

const OFF: &[(&str, &str)] = &[("OTEL_TRACES_SAMPLER", "always_off")];

pub(crate) static SAMPLED: Set = Set {
    title: "A span of a request of four, export included",
    rows: &[
        ("none", "none", &[]),
        ("kit-http", "kit-http", &[]),
        ("kit-grpc", "kit-grpc", &[]),
        ("kit-otel-api-http", "kit-otel-api-http", &[]),
        ("kit-otel-api-grpc", "kit-otel-api-grpc", &[]),
        ("sdk-http", "sdk-http", &[]),
        ("sdk-grpc", "sdk-grpc", &[]),
        ("bridge-http", "bridge-http", &[]),
        ("bridge-grpc", "bridge-grpc", &[]),
        ("bridge-lean-http", "bridge-lean-http", &[]),
        ("fastrace-http", "fastrace-http", &[]),
        ("fastrace-grpc", "fastrace-grpc", &[]),
        ("oxtel-http", "oxtel-http", &[]),
        ("kit-http-gzip", "kit-http-gzip", &[]),
        ("sdk-http-gzip", "sdk-http-gzip", &[]),
    ],
    arrives: true,
};

pub(crate) static UNSAMPLED: Set = Set {
    title: "A span that the sampler leaves out (`always_off`)",
    rows: &[
        ("none", "none", &[]),
        ("kit-http", "kit-http", OFF),
        ("kit-otel-api-http", "kit-otel-api-http", OFF),
        ("kit, disabled", "kit-http", &[("OTEL_SDK_DISABLED", "true")]),
        ("sdk-http", "sdk-http", OFF),
        ("bridge-http", "bridge-http", OFF),
        ("bridge-lean-http", "bridge-lean-http", OFF),
        ("fastrace-http", "fastrace-http", OFF),
        ("oxtel-http", "oxtel-http", OFF),
    ],
    arrives: false,
};

/// Runs a set and prints its table. Fails if spans of the kit went missing.
pub(crate) fn measure(set: &Set, options: &Options) -> anyhow::Result<()> {
    let mut rows = chosen(set, options)?;
    let mut receiver = Receiver::start()?;
    for round in 0..options.rounds {
        let count = rows.len();
        for place in 0..count {
            if let Some(row) = rows.get_mut((round + place) % count) {
                row.run(options.requests, set.arrives, &mut receiver)?;
                println!("round {} {}", round + 1, row.last_round());
            }
        }
    }
    // A pass of its own, since counting takes time.
    for row in &mut rows {
        row.count_allocations(options.requests.min(6_400), &mut receiver)?;
    }
    println!("\n### {}\n", set.title);
    summary::print(&rows);
    let lossy: Vec<&str> =
        rows.iter().filter(|row| row.is_kit() && row.missing() > 0).map(|row| row.name).collect();
    if !lossy.is_empty() {
        bail!("spans went missing: {}", lossy.join(", "));
    }
    Ok(())
}

fn chosen(set: &Set, options: &Options) -> anyhow::Result<Vec<Row>> {
    let is_wanted = |name: &str| {
        let is_reference = matches!(name, BASE | "sdk-http" | "sdk-grpc");
        is_reference
            || options.only.is_empty()
            || options.only.iter().any(|part| name.contains(part.as_str()))
    };
    set.rows.iter().filter(|(name, ..)| is_wanted(name)).map(Row::new).collect()
}
