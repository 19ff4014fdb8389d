//! The crates that are published: what they offer, which Rust they need, and whether they can be packaged.
//!
//! All of it works offline and on the stable toolchain. Left out: advisories, which are a database on the network
//! (`cargo xtask advisories`); licences are checked by `layers`.

mod api;
mod msrv;
mod package;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cargo_metadata::Metadata;

use crate::run::say;

/// What other programs may depend on, those first that others of them need.
pub(crate) const CRATES: [&str; 3] = ["waypost-settings", "waypost-telemetry-macros", "waypost-telemetry"];

/// Where the listings of what they offer are.
const LISTINGS: &str = "docs/kit/api";

/// `cargo xtask api [--write]`: compares what the crates offer with the listings, or writes them.
pub(crate) fn api(metadata: &Metadata, arguments: &[String]) -> anyhow::Result<()> {
    let is_writing = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        other => bail!("`cargo xtask api` takes `--write` or nothing, and not {other:?}"),
    };
    let mut problems = Vec::new();
    for name in CRATES {
        let listing = api::listing(&folder(metadata, name)?)?;
        let path = metadata.workspace_root.as_std_path().join(LISTINGS).join(format!("{name}.txt"));
        if is_writing {
            write(&path, &listing)?;
            continue;
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        problems.extend(api::differences(&known, &listing).into_iter().map(|line| format!("{name}: {line}")));
    }
    if !problems.is_empty() {
        bail!(
            "{} line(s) of what the kit offers changed; `cargo xtask api --write` if that is meant, and a line in CHANGELOG.md \
             if something is taken away:\n  {}",
            problems.len(),
            problems.join("\n  ")
        );
    }
    say("api: what the kit's crates offer is as listed in docs/kit/api\n");
    Ok(())
}

/// `cargo xtask package`: the crates can be packaged, have what a registry wants, and say the right Rust.
pub(crate) fn package(metadata: &Metadata) -> anyhow::Result<()> {
    let problems = [msrv::violations(metadata)?, package::violations(metadata)?].concat();
    if !problems.is_empty() {
        bail!("{} problem(s) with the crates as published:\n  {}", problems.len(), problems.join("\n  "));
    }
    Ok(())
}

fn folder(metadata: &Metadata, name: &str) -> anyhow::Result<PathBuf> {
    let package = metadata.packages.iter().find(|package| package.name == name);
    let package = package.with_context(|| format!("{name} is no member of the workspace"))?;
    let folder = package.manifest_path.parent().context("a manifest stands in a folder")?;
    Ok(folder.as_std_path().to_owned())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
