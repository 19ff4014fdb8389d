//! Measures the whole system as a user runs it, side by side, and prints ratios.
//!
//! ```text
//! cargo build --release && cargo run --release --package waypost-benches -- startup
//! cargo build --release && cargo run --release --package waypost-benches -- orders --rounds 6
//! cargo build --release --features waypost/kafka && cargo xtask stack run target/release/waypost-benches servers
//! cargo build --release && cargo run --release --package waypost-benches -- soak --orders 200000
//! cargo build --release && cargo run --release --package waypost-benches -- viewer --spans 1000000
//! cargo build --release && cargo run --release --package waypost-benches -- overload
//! cargo run --release --package waypost-benches -- compare --base v0.1.0
//! cargo run --release --package waypost-benches -- compare --base origin/main --short
//! ```
//!
//! It starts the release binary of this workspace; build that first. Absolute times belong to the machine they were
//! measured on; the ratios are what to compare. README.md beside this crate holds what was measured.
#![allow(clippy::print_stdout, reason = "printing is what a measurement is for")]

#[path = "../../crates/testkit/src/age.rs"]
mod age;
mod compare;
mod orders;
mod overload;
mod process;
mod servers;
mod sink;
mod soak;
mod spans;
mod startup;
mod statistics;
mod viewer;

use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "waypost-benches startup [--runs N] | orders [--rounds N] [--orders N] [--concurrency N] [--only WAY] \
                    | servers [--rounds N] [--orders N] [--concurrency N] \
                    | soak [--orders N] [--rounds N] [--concurrency N] | viewer [--spans N] [--batch N] [--senders N] \
                    | overload [--seconds N] [--concurrency N] \
                    | compare --base COMMIT [--base-binary FILE] [--binary FILE] [--short] [--rounds N] [--orders N] [--concurrency N]";

#[expect(clippy::print_stderr, reason = "a command line tool reports to its user")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u32| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let text = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)).map(String::as_str)
    };
    let outcome = match arguments.first().map(String::as_str) {
        Some("startup") => startup::measure(number("--runs", 7)),
        Some("orders") => {
            let only = text("--only").unwrap_or_default();
            orders::measure(
                number("--rounds", 6),
                number("--orders", 20_000),
                number("--concurrency", 50),
                only,
            )
        }
        Some("servers") => {
            servers::measure(number("--rounds", 5), number("--orders", 5_000), number("--concurrency", 100))
        }
        Some("soak") => {
            soak::measure(number("--orders", 200_000), number("--rounds", 20), number("--concurrency", 100))
        }
        Some("viewer") => {
            viewer::measure(number("--spans", 1_000_000), number("--batch", 512), number("--senders", 4))
        }
        Some("overload") => overload::measure(number("--seconds", 10), number("--concurrency", 100)),
        Some("compare") => {
            let is_check = arguments.iter().any(|argument| argument == "--short");
            let (rounds, orders) = if is_check { (3, 1_500) } else { (5, 4_000) };
            match text("--base") {
                Some(base) => compare::measure(&compare::Comparison {
                    base,
                    base_binary: text("--base-binary").map(Path::new),
                    binary: text("--binary").map(Path::new),
                    rounds: number("--rounds", rounds),
                    orders: number("--orders", orders),
                    concurrency: number("--concurrency", 100),
                    is_check,
                }),
                None => Err(anyhow::anyhow!("compare with what? --base takes a commit, a tag or a branch")),
            }
        }
        _ => Err(anyhow::anyhow!(HELP)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
