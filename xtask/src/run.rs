//! Runs cargo for the commands and says what it runs.

use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cargo_metadata::MetadataCommand;

use crate::needs::{self, Variable};
use crate::servers::{Folder, Servers, Set};
use crate::{
    advisories, conventions, dashboards, deploy, dist, failures, features, layers, licences, modules,
    mutations, published, versions,
};

/// The binary's features that are off for the sake of the first build, and on in tests and in what is given to others.
pub(crate) const RELEASED: &str = "waypost/kafka,waypost/jemalloc";

/// Prints to standard output; a closed pipe is not an error worth a panic.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// `cargo xtask test`: every test of the workspace.
pub(crate) fn test(arguments: &[String]) -> anyhow::Result<()> {
    require("cc", "a C compiler builds the embedded SQLite; on Debian: apt-get install gcc libc6-dev")?;
    require(
        "c++",
        "a C++ compiler builds librdkafka; on Debian: apt-get install g++ make pkg-config libssl-dev zlib1g-dev",
    )?;
    require("make", "make builds jemalloc; on Debian: apt-get install make")?;
    say("needs: a Rust toolchain, compilers of C and C++, make: found\n");
    let target = target()?;
    say(&room(&target)?);
    let mut variables = needs::all(&target);
    let folder = Folder::of_this_process()?;
    let servers = Servers::start(&target, folder.path(), Set::WithObservability);
    servers.watch();
    variables.extend(servers.variables().iter().cloned());
    // Programs that a test kills leave their temporary files.
    variables.push(("TMPDIR", folder.temporary()?.into_os_string()));

    let mut command = vec!["test", "--workspace", "--features", RELEASED, "--no-fail-fast"];
    command.extend(arguments.iter().map(String::as_str));
    let outcome = tests("all tests", &command, &variables);
    servers.stop();
    outcome?;
    if arguments.is_empty() {
        // With the features of a release the other one was tested above.
        tests("tests of mimalloc", &["test", "--package", "waypost-allocator"], &[])?;
    }
    say("all tests passed\n");
    Ok(())
}

/// `cargo xtask needs`: what [`test()`] finds or installs, for a shell that runs `cargo test` itself.
pub(crate) fn needs() -> anyhow::Result<()> {
    say(&needs::exports(&needs::all(&target()?)));
    Ok(())
}

/// What a first build of all tests, and the servers beside it, take on the disk: 8.7 GB of programs and libraries, 1.3 of
/// build scripts, 1 of servers and tools, and room for what the tests write.
const ROOM: u64 = 14;

/// Says how much room the disk has, since what a full one breaks are programs that are being linked, with messages which
/// name everything else.
fn room(target: &Path) -> anyhow::Result<String> {
    let there = target.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    let disk =
        rustix::fs::statvfs(there).with_context(|| format!("cannot ask the disk of {}", there.display()))?;
    let free = disk.f_bavail * disk.f_frsize / 1_000_000_000;
    let advice = if free < ROOM {
        ": if a linker or a server fails, that is why; free some, or set CARGO_TARGET_DIR to a folder on another disk"
    } else {
        ""
    };
    Ok(format!("needs: {ROOM} GB of the disk for a first build, {free} GB free{advice}\n"))
}

pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// `cargo xtask lint`: what CI asks before it runs a test, the quick questions first.
pub(crate) fn lint() -> anyhow::Result<()> {
    cargo("formatting", &["fmt", "--all", "--check"], &[])?;
    layers()?;
    names()?;
    api(&[])?;
    package()?;
    let clippy =
        ["clippy", "--workspace", "--features", RELEASED, "--all-targets", "--", "--deny", "warnings"];
    cargo("clippy", &clippy, &[])?;
    cargo(
        "clippy without these features",
        &["clippy", "--package", "waypost", "--", "--deny", "warnings"],
        &[],
    )?;
    cargo("documentation", &["doc", "--workspace", "--no-deps"], &[])?;
    cargo(
        "documentation of the kit as it is published",
        &["doc", "--package", "waypost-telemetry", "--all-features", "--no-deps"],
        &[],
    )?;
    features()
}

/// `cargo xtask dashboards`: the dashboards of Grafana.
pub(crate) fn dashboards() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    dashboards::write(metadata.workspace_root.as_std_path())
}

/// `cargo xtask deploy`: every file of `deploy/` through its own reader.
pub(crate) fn deploy(names: &[String]) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    deploy::check(metadata.workspace_root.as_std_path(), metadata.target_directory.as_std_path(), names)
}

/// `cargo xtask dist`: the release.
pub(crate) fn dist(arguments: &[String]) -> anyhow::Result<()> {
    dist::dist(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `cargo xtask features`: each alone and all together.
pub(crate) fn features() -> anyhow::Result<()> {
    features::build(&MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?)
}

/// `cargo xtask api`: what the kit's crates offer, compared with what is listed.
pub(crate) fn api(arguments: &[String]) -> anyhow::Result<()> {
    published::api(&MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?, arguments)
}

/// `cargo xtask package`: the kit's crates as they would be published.
pub(crate) fn package() -> anyhow::Result<()> {
    let features = ["waypost-settings/load", "waypost-telemetry/full"].map(str::to_owned).to_vec();
    let mut command = MetadataCommand::new();
    command.features(cargo_metadata::CargoOpt::SomeFeatures(features));
    published::package(&command.exec().context("cargo metadata failed")?)
}

/// Whether code, registry and the page of our own telemetry names agree.
fn names() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    let problems = conventions::violations(metadata.workspace_root.as_std_path())?;
    if !problems.is_empty() {
        bail!("{} problem(s) with names:\n  {}", problems.len(), problems.join("\n  "));
    }
    say(
        "names: every own attribute and metric is declared in docs/telemetry, and every declared one is used\n",
    );
    Ok(())
}

/// `cargo xtask advisories`: what is known of the dependencies.
pub(crate) fn advisories(arguments: &[String]) -> anyhow::Result<()> {
    advisories::check(&MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?, arguments)
}

/// `cargo xtask layers`: arrows and versions.
pub(crate) fn layers() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().exec().context("cargo metadata failed")?;
    let (members, arrows) = layers::arrows(&metadata);
    let mut problems = layers::violations(&members, &arrows);
    problems.extend(modules::violations(metadata.workspace_root.as_std_path())?);
    problems.extend(versions::violations(&metadata));
    problems.extend(licences::violations(&metadata));
    if !problems.is_empty() {
        bail!("{} problem(s) in the layers:\n  {}", problems.len(), problems.join("\n  "));
    }
    say(&format!(
        "layers: {} crates, {} arrows, all allowed; the kit's modules without a circle; one version of each shared \
         library; every licence permissive\n",
        members.len(),
        arrows.len()
    ));
    Ok(())
}

/// `cargo xtask conventions`: tables and pages of what telemetry is named.
pub(crate) fn conventions(arguments: &[String]) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    conventions::conventions(metadata.workspace_root.as_std_path(), arguments)
}

/// `cargo xtask mutations`: whether tests notice that a rule is off, on the servers which some of them need.
pub(crate) fn mutations(names: &[String]) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    let folder = Folder::of_this_process()?;
    let servers = Servers::start(metadata.target_directory.as_std_path(), folder.path(), Set::BackEnds);
    servers.watch();
    let outcome = mutations::run(metadata.workspace_root.as_std_path(), names, servers.variables());
    servers.stop();
    outcome
}

pub(crate) fn cargo(what: &str, arguments: &[&str], variables: &[Variable]) -> anyhow::Result<()> {
    run(what, arguments, variables, Command::status)
}

/// As [`cargo()`], with the failed tests once more at the end.
fn tests(what: &str, arguments: &[&str], variables: &[Variable]) -> anyhow::Result<()> {
    let mut failures = Vec::new();
    let outcome = run(what, arguments, variables, |command| {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let (sender, collected) = std::sync::mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || {
                let collected = failures::collect(BufReader::new(output), std::io::stdout());
                let _ = sender.send(collected.unwrap_or_default());
            });
        }
        let status = child.wait();
        // Whatever a test left running holds the pipe open, and is not waited for.
        failures = collected.recv_timeout(Duration::from_secs(5)).unwrap_or_default();
        status
    });
    if !failures.is_empty() {
        say(&failures::summary(&failures));
    }
    outcome
}

fn run(
    what: &str,
    arguments: &[&str],
    variables: &[Variable],
    start: impl FnOnce(&mut Command) -> std::io::Result<ExitStatus>,
) -> anyhow::Result<()> {
    say(&format!("== {what}: cargo {}\n", arguments.join(" ")));
    let begun = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        // A link in the documentation that leads nowhere is a defect.
        .env("RUSTDOCFLAGS", "--deny warnings")
        .envs(variables.iter().map(|(name, value)| (name, value)));
    let status = start(&mut command).context("cargo could not be run")?;
    if !status.success() {
        bail!("{what} failed (cargo {}): {status}", arguments.join(" "));
    }
    say(&format!("== {what}: ok in {} s\n", begun.elapsed().as_secs()));
    Ok(())
}

fn require(program: &str, why: &str) -> anyhow::Result<()> {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        bail!("`{program}` was not found: {why}");
    }
    Ok(())
}
