//! This tree beside another commit: both are built, both take the same load in turn, and what differs is printed as ratios.
//!
//! A ratio is taken within a round, so that a machine that drifts hits both alike. The same program makes the load for both.
//!
//! The short form is a check: it fails when this tree takes more CPU an order than [`MAX_RATIO`] in every one of its rounds. CPU and not
//! time, and every round and not the median, so that a busy machine fails nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::process::{Waypost, binary};
use crate::statistics::spread;

/// CPU an order of this tree by that of the base, above which the short form fails.
const MAX_RATIO: f64 = 1.10;

const CPU: &str = "CPU ms an order";

/// What is compared, and how long.
pub(crate) struct Comparison<'a> {
    /// A commit, a tag or a branch.
    pub(crate) base: &'a str,
    /// Its binary, where that is built already.
    pub(crate) base_binary: Option<&'a Path>,
    pub(crate) rounds: u32,
    pub(crate) orders: u32,
    pub(crate) concurrency: u32,
    /// Whether it fails when this tree takes more CPU.
    pub(crate) is_check: bool,
}

/// What is measured of each run, by name.
type Run = BTreeMap<String, f64>;

/// How a program is started.
struct Way {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// Telemetry goes nowhere, and to the viewer of the same process, which is what `up` does by itself.
const WAYS: [Way; 2] = [
    Way {
        name: "telemetry off",
        arguments: &["--no-first-order", "--no-viewer"],
        environment: &[("OTEL_SDK_DISABLED", "true")],
    },
    Way { name: "100 % to its viewer", arguments: &["--no-first-order"], environment: &[] },
];

pub(crate) fn measure(comparison: &Comparison<'_>) -> anyhow::Result<()> {
    let Comparison { base, base_binary, rounds, orders, concurrency, is_check } = *comparison;
    let root = PathBuf::from(output(Command::new("git").args(["rev-parse", "--show-toplevel"]))?);
    let commit = output(git(&root).args(["rev-parse", "--verify", &format!("{base}^{{commit}}")]))
        .with_context(|| format!("--base {base}"))?;
    println!(
        "building this tree{}",
        if base_binary.is_some() { String::new() } else { format!(" and {commit}") }
    );
    run(Command::new("cargo").current_dir(&root).args(["build", "--release", "--package", "waypost"]))?;
    let this = binary()?;
    let that = match base_binary {
        Some(binary) => binary.to_path_buf(),
        None => built(&root, &commit, this.parent().context("no folder of the binary")?)?,
    };
    let mut slower = Vec::new();

    for way in &WAYS {
        let mut measured: [Vec<Run>; 2] = Default::default();
        for round in 0..rounds {
            let mut both = [(0, &that), (1, &this)];
            if round % 2 == 1 {
                both.reverse();
            }
            for (place, binary) in both {
                measured[place].push(one(binary, way, orders, concurrency)?);
            }
        }
        print(way.name, base, &measured, orders, concurrency);
        let [before, now] = measured.each_ref().map(|runs| values(runs, CPU));
        if is_check && is_worse_in_every_round(&ratios(&now, &before)) {
            slower.push(way.name);
        }
    }
    if !slower.is_empty() {
        bail!(
            "in every round an order takes more than {MAX_RATIO:.2} of the CPU that it took in {base}: {}",
            slower.join(", ")
        );
    }
    Ok(())
}

/// One run on an empty folder: warmed up by a tenth of the orders.
fn one(binary: &Path, way: &Way, orders: u32, concurrency: u32) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir()?;
    let waypost = Waypost::of(binary, &folder.path().join("data"), way.arguments, way.environment)?;
    waypost.load(orders / 10, concurrency)?;
    waypost.wait_until_idle()?;
    let before = waypost.usage()?;
    let report = waypost.load(orders, concurrency)?;
    // The work behind the last answers belongs to its orders.
    waypost.wait_until_idle()?;
    let used = waypost.usage()?.since(&before);
    anyhow::ensure!(report["unexpected"] == 0, "unexpected answers: {report}");

    let count = f64::from(orders);
    let mut run = Run::new();
    run.insert("orders/s".to_owned(), report["completed_per_second"].as_f64().unwrap_or(f64::NAN));
    for quantile in ["p50_ms", "p99_ms"] {
        let latency = report["outcomes"]["completed"][quantile].as_f64().unwrap_or(f64::NAN);
        run.insert(quantile.replace("_ms", " ms"), latency);
    }
    run.insert(CPU.to_owned(), used.total() * 1000.0 / count);
    for (thread, cpu) in &used.cpu {
        run.insert(format!("CPU ms an order, threads `{thread}`"), cpu * 1000.0 / count);
    }
    run.insert("switches an order".to_owned(), used.switches / count);
    run.insert("KB to disk an order".to_owned(), used.written / 1000.0 / count);
    run.insert("resident MB after".to_owned(), waypost.memory_mb()?.0);
    Ok(run)
}

fn print(way: &str, base: &str, [that, this]: &[Vec<Run>; 2], orders: u32, concurrency: u32) {
    println!(
        "\n{way}: {} rounds of {orders} orders at concurrency {concurrency}; median [smallest-largest]",
        this.len()
    );
    println!("| | {base} | this tree | ratio, by round |");
    println!("|---|---|---|---|");
    let names: Vec<&String> = this.first().into_iter().flat_map(Run::keys).collect();
    for name in names {
        let (before, now) = (values(that, name), values(this, name));
        // A thread that one of them does not have, or that did next to nothing.
        if before.len() != now.len() || now.iter().chain(&before).all(|value| *value < 0.005) {
            continue;
        }
        let by_round = spread(&ratios(&now, &before), 2);
        println!("| {name} | {} | {} | {by_round} |", spread(&before, 2), spread(&now, 2));
    }
}

fn values(runs: &[Run], name: &str) -> Vec<f64> {
    runs.iter().filter_map(|run| run.get(name).copied()).collect()
}

fn ratios(now: &[f64], before: &[f64]) -> Vec<f64> {
    now.iter().zip(before).map(|(now, before)| now / before).collect()
}

fn is_worse_in_every_round(ratios: &[f64]) -> bool {
    !ratios.is_empty() && ratios.iter().all(|ratio| *ratio > MAX_RATIO)
}

/// Builds that commit in a folder of its own below the target folder, and gives its binary.
fn built(root: &Path, commit: &str, release: &Path) -> anyhow::Result<PathBuf> {
    let place = release.parent().context("no target folder")?.join("compare");
    let (tree, target) = (place.join("tree"), place.join("target"));
    if tree.exists() {
        run(Command::new("git").current_dir(&tree).args(["checkout", "--quiet", "--detach", commit]))?;
    } else {
        run(git(root).args(["worktree", "add", "--quiet", "--detach"]).arg(&tree).arg(commit))?;
    }
    let build = ["build", "--release", "--package", "waypost"];
    run(Command::new("cargo").current_dir(&tree).env("CARGO_TARGET_DIR", &target).args(build))?;
    Ok(target.join("release/waypost"))
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(root);
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::is_worse_in_every_round;

    #[test]
    fn one_round_that_is_not_worse_is_enough() {
        assert!(is_worse_in_every_round(&[1.11, 1.3, 1.2]));
        assert!(!is_worse_in_every_round(&[1.11, 1.09, 1.6]));
        assert!(!is_worse_in_every_round(&[]), "nothing was measured");
    }
}
