//! What it costs to leave a trace out, by sampler, and what the tail buffer holds in memory.

pub(crate) mod decisions;
pub(crate) mod flood;
mod samplers;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Spans or requests of the shorter run under valgrind; the longer one has twice as many.
    #[arg(long, default_value_t = 5_000)]
    instructions: u64,
    /// Spans or requests of a run whose CPU is measured.
    #[arg(long, default_value_t = 100_000)]
    timed: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Traces of four spans that flood the tail buffer.
    #[arg(long, default_value_t = 200_000)]
    traces: u64,
    /// Bytes of the tail buffers that are flooded.
    #[arg(long, value_delimiter = ',', default_values_t = [4 << 20, 32 << 20])]
    max_bytes: Vec<u64>,
    /// Only these parts: `decisions`, `memory`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let is_wanted = |part: &str| options.only.is_empty() || options.only.iter().any(|only| only == part);
    if is_wanted("decisions") {
        decisions::measure(options)?;
    }
    if is_wanted("memory") {
        flood::measure(options)?;
    }
    Ok(())
}
