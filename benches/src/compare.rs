//! This tree beside another commit: both are built, both take the same load in turn, and what differs is printed as ratios.
//!
//! A ratio is taken within a round, so that a machine that drifts hits both alike. The same program makes the load for both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::process::{Waypost, binary};
use crate::statistics::spread;

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

pub(crate) fn measure(base: &str, rounds: u32, orders: u32, concurrency: u32) -> anyhow::Result<()> {
    let root = PathBuf::from(output(Command::new("git").args(["rev-parse", "--show-toplevel"]))?);
    let commit = output(git(&root).args(["rev-parse", "--verify", &format!("{base}^{{commit}}")]))
        .with_context(|| format!("--base {base}"))?;
    println!("building this tree and {commit}");
    run(Command::new("cargo").current_dir(&root).args(["build", "--release", "--package", "waypost"]))?;
    let this = binary()?;
    let that = built(&root, &commit, this.parent().context("no folder of the binary")?)?;

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
    run.insert("CPU ms an order".to_owned(), used.total() * 1000.0 / count);
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
        let of =
            |runs: &[Run]| -> Vec<f64> { runs.iter().filter_map(|run| run.get(name).copied()).collect() };
        let (before, now) = (of(that), of(this));
        // A thread that one of them does not have, or that did next to nothing.
        if before.len() != now.len() || now.iter().chain(&before).all(|value| *value < 0.005) {
            continue;
        }
        let ratios: Vec<f64> = now.iter().zip(&before).map(|(now, before)| now / before).collect();
        println!("| {name} | {} | {} | {} |", spread(&before, 2), spread(&now, 2), spread(&ratios, 2));
    }
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
