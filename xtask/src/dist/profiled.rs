//! The release built after what it does under load.
//!
//! A first build counts what it executes, is given orders to serve, and a second one is laid out by these counts: which way a
//! branch goes, what is worth inlining, which functions belong side by side. Only Rust code is counted; what C compilers build stays
//! as it is. Needs `llvm-profdata` of the toolchain's own LLVM, a component of rustup (`llvm-tools`).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::needs::{Variable, output};
use crate::run::{cargo, say};

/// How the release is built, with or without counts.
const BUILD: [&str; 6] = ["build", "--locked", "--profile", "dist", "--package", "waypost"];

/// Orders of each training run: enough that pauses of the start and the end do not count.
const ORDERS: &str = "6000";

/// What is listened at, all on free ports.
const LISTENERS: [&str; 11] = [
    "gateway",
    "order",
    "user",
    "inventory",
    "payment",
    "provider",
    "admin",
    "viewer",
    "otlp-grpc",
    "otlp-http",
    "zipkin",
];

/// How a training run is started.
struct Run {
    name: &'static str,
    arguments: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

/// As by default, with every order recorded for the viewer, and without telemetry.
const RUNS: [Run; 2] = [
    Run { name: "with the viewer", arguments: &[], variables: &[] },
    Run {
        name: "without telemetry",
        arguments: &["--no-viewer"],
        variables: &[("OTEL_SDK_DISABLED", "true")],
    },
];

/// Builds the binary for `host` below `target` and says where it is.
pub(super) fn build(target: &Path, host: &str, features: &str) -> anyhow::Result<PathBuf> {
    let Some(merger) = merger(host)? else {
        say(
            "LEFT OUT: the release is built without what a load would tell the compiler, as `llvm-profdata` cannot be had \
             (rustup component add llvm-tools)\n",
        );
        return compile("the release", target, host, features, None);
    };
    let folder = target.join("dist-profile");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let counted = folder.join("counts");
    let counting = compile(
        "the release that counts",
        &target.join("dist-counting"),
        host,
        features,
        Some(&format!("-Cprofile-generate={}", counted.display())),
    )?;
    for run in &RUNS {
        train(&counting, &folder, run).with_context(|| format!("the load {} failed", run.name))?;
        say(&format!("dist: {ORDERS} orders {} are counted\n", run.name));
    }
    let profile = folder.join("waypost.profdata");
    output(Command::new(&merger).arg("merge").arg("-o").arg(&profile).arg(&counted))
        .context("merging what was counted")?;
    compile(
        "the release after its counts",
        target,
        host,
        features,
        Some(&format!("-Cprofile-use={}", profile.display())),
    )
}

/// `llvm-profdata` of the toolchain in use; asks rustup for it when it is not there.
fn merger(host: &str) -> anyhow::Result<Option<PathBuf>> {
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    let program = sysroot.join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !program.exists() {
        // Whether it could is seen below.
        let _ = Command::new("rustup").args(["component", "add", "llvm-tools"]).status();
    }
    Ok(program.exists().then_some(program))
}

/// One build of the binary. Named by its target, as flags are for build scripts and macros too otherwise.
fn compile(
    what: &str,
    target: &Path,
    host: &str,
    features: &str,
    flag: Option<&str>,
) -> anyhow::Result<PathBuf> {
    let folder = target.to_string_lossy();
    let rest = ["--features", features, "--target", host, "--target-dir", &folder];
    let variables: Vec<Variable> =
        flag.map(|flag| ("CARGO_ENCODED_RUSTFLAGS", flag.into())).into_iter().collect();
    cargo(what, &[&BUILD[..], &rest].concat(), &variables)?;
    Ok(target.join(host).join("dist/waypost"))
}

/// Starts the binary on a new folder, has it serve orders and stops it, which writes what it counted.
fn train(program: &Path, folder: &Path, run: &Run) -> anyhow::Result<()> {
    let data = folder.join("data");
    let mut command = Command::new(program);
    command
        .args(["up", "--plain", "--data"])
        .arg(&data)
        .args(run.arguments)
        .envs(run.variables.iter().copied());
    for listener in LISTENERS {
        command.args([&format!("--{listener}"), "127.0.0.1:0"]);
    }
    let mut running = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(running.0.stdout.take().context("no output")?).lines();
    let mut gateway = None;
    for line in lines.by_ref() {
        let line = line?;
        if let Some(("gateway", url)) = line.trim().split_once(char::is_whitespace) {
            gateway = url.split_whitespace().next().map(str::to_owned);
        } else if line.contains("Ctrl-C") {
            break;
        }
    }
    let gateway = gateway.context("it ended before it named its gateway")?;
    let load = [
        "load",
        "--json",
        "--concurrency",
        "100",
        "--duration",
        "10m",
        "--orders",
        ORDERS,
        "--target",
        &gateway,
    ];
    let report: serde_json::Value = serde_json::from_str(&output(Command::new(program).args(load))?)
        .context("the load printed no report")?;
    if report["outcomes"]["completed"]["count"].as_u64().unwrap_or_default() == 0 || report["unexpected"] != 0
    {
        bail!("not every order was answered as it should be: {report}");
    }
    running.stop()?;
    // What it still prints has to go somewhere, and it is gone now.
    drop(lines);
    fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))
}

/// A child that is stopped as Ctrl-C does, also when something goes wrong.
struct Running(Child);

impl Running {
    fn stop(&mut self) -> anyhow::Result<()> {
        self.interrupt();
        let status = self.0.wait()?;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(())
    }

    fn interrupt(&self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.interrupt();
            let _ = self.0.wait();
        }
    }
}
