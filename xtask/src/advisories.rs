//! What is known of the dependencies: advisories, licences, bans and sources, as `deny.toml` has them, by cargo-deny.
//!
//! cargo-deny reads the advisories from a clone of the RustSec database, which it fetches before it checks. So this is no part
//! of `lint` and of CI's run, which ask no network: it is for maintainers, before a release and once a week.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use cargo_metadata::Metadata;

use crate::run::say;

/// The workspaces, each with a lock of its own, and what is checked of it. Peers are measured with the OpenTelemetry that they
/// stand on, so there are several. The targets of the fuzzer are linked with it alone and given to nobody, so its licence does
/// not matter.
const WORKSPACES: [(&str, &[&str]); 3] = [
    ("Cargo.toml", &["advisories", "bans", "licenses", "sources"]),
    ("benches/peers/Cargo.toml", &["advisories", "licenses", "sources"]),
    ("fuzz/Cargo.toml", &["advisories", "bans", "sources"]),
];

/// An excuse of one workspace may have no use in another.
const UNUSED: [&str; 3] = ["advisory-not-detected", "license-not-encountered", "unused-wrapper"];

const MISSING: &str =
    "cargo-deny was not found, so nothing was checked: `cargo install cargo-deny --locked` brings it";

/// Where a machine without network has to have the database; cargo-deny derives the name from its address.
const DATABASE: &str = "the advisories were not checked: cargo-deny fetches the RustSec database, or with `--offline` takes a clone of it \
                        from $CARGO_HOME/advisory-dbs (cargo-deny's message above names the folder)";

/// `cargo xtask advisories [--offline]`: all workspaces, and all that is wrong with them.
pub(crate) fn check(metadata: &Metadata, arguments: &[String]) -> anyhow::Result<()> {
    let is_offline = match arguments {
        [] => false,
        [flag] if flag == "--offline" => true,
        other => bail!("`cargo xtask advisories` takes `--offline` or nothing, and not {other:?}"),
    };
    let root = metadata.workspace_root.as_std_path();
    if !is_installed() {
        bail!(MISSING);
    }
    let mut failed = Vec::new();
    for (manifest, checks) in WORKSPACES {
        say(&format!("== {manifest}: {}\n", checks.join(", ")));
        if !passes(root, manifest, checks, is_offline)? {
            failed.push(manifest);
        }
    }
    if !failed.is_empty() {
        bail!("cargo-deny refuses {}; if it names no crate: {DATABASE}", failed.join(", "));
    }
    say("advisories: nothing is known against a dependency but what deny.toml excuses with a reason\n");
    Ok(())
}

fn is_installed() -> bool {
    let asked = cargo().args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn passes(root: &Path, manifest: &str, checks: &[&str], is_offline: bool) -> anyhow::Result<bool> {
    let mut command = cargo();
    command.current_dir(root).args(["deny", "--manifest-path", manifest, "--config", "deny.toml"]);
    if is_offline {
        command.arg("--offline");
    }
    command.args(["check", "--hide-inclusion-graph"]);
    command.args(UNUSED.iter().flat_map(|lint| ["--allow", lint]));
    let status = command.args(checks).status().context("cargo deny could not be started")?;
    Ok(status.success())
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
