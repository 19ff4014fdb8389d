//! The oldest Rust that the published crates say they build with is one that they are built with, and none of their
//! dependencies needs a newer one.
//!
//! What the dependencies say would often allow an older one, and nobody tries it: a promise is what is tested. So the crates say
//! what the workspace says, which is the Rust of whoever builds and tests it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use anyhow::Context as _;
use cargo_metadata::semver::Version;
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::CRATES;
use crate::run::say;

/// A crate that promises more than is tested, or less than a dependency needs.
pub(super) fn violations(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let (needed, holders) = needed(metadata)?;
    let used = used()?;
    say(&format!(
        "msrv: this is Rust {used}; the dependencies of {} need {needed}, held up by {}\n",
        CRATES.join(", "),
        holders.join(", ")
    ));
    let own = metadata.packages.iter().filter(|package| CRATES.contains(&package.name.as_str()));
    Ok(own
        .filter_map(|package| violation(&package.name, package.rust_version.as_ref(), &needed, &used))
        .collect())
}

fn violation(name: &str, said: Option<&Version>, needed: &Version, used: &Version) -> Option<String> {
    let Some(said) = said else { return Some(format!("{name}: says no rust-version")) };
    if said < needed {
        return Some(format!("{name}: says rust-version {said}, its dependencies need {needed}"));
    }
    ((said.major, said.minor) != (used.major, used.minor)).then(|| {
        format!("{name}: says rust-version {said}, and this is Rust {used}: nobody has tried {said}")
    })
}

/// The Rust that builds and tests the workspace.
fn used() -> anyhow::Result<Version> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("rustc could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(1).context("rustc says no version")?;
    Version::parse(version).with_context(|| format!("rustc says {version}"))
}

/// The newest Rust that anything below the crates needs, with all of their features, and who needs it.
fn needed(metadata: &Metadata) -> anyhow::Result<(Version, Vec<String>)> {
    let resolve = metadata.resolve.as_ref().context("the metadata has no graph")?;
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let packages: BTreeMap<&PackageId, _> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let mut waiting: VecDeque<&PackageId> = metadata
        .packages
        .iter()
        .filter(|package| CRATES.contains(&package.name.as_str()))
        .map(|package| &package.id)
        .collect();
    let (mut seen, mut newest, mut holders) = (BTreeSet::new(), Version::new(1, 0, 0), Vec::new());
    while let Some(id) = waiting.pop_front() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.get(id).context("a package is not in the graph")?;
        let is_needed =
            |kind: &DependencyKind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
        let needed = node
            .deps
            .iter()
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| is_needed(&kind.kind)));
        waiting.extend(needed.map(|dependency| &dependency.pkg));
        let package = packages.get(id).context("a package is unknown")?;
        let is_own = CRATES.contains(&package.name.as_str());
        if let Some(version) = package.rust_version.clone().filter(|_| !is_own) {
            if version > newest {
                (newest, holders) = (version, vec![package.name.to_string()]);
            } else if version == newest {
                holders.push(package.name.to_string());
            }
        }
    }
    Ok((newest, holders))
}

#[cfg(test)]
mod tests {
    use cargo_metadata::semver::Version;

    use super::violation;

    #[test]
    fn a_crate_promises_what_is_tested_and_enough() {
        let version = |minor| Version::new(1, minor, 0);
        let judged = |said: Option<u64>, needed, used| {
            violation("kit", said.map(version).as_ref(), &version(needed), &version(used))
        };
        assert_eq!(judged(Some(95), 94, 95), None);
        assert!(judged(Some(93), 94, 93).is_some_and(|problem| problem.contains("need")));
        assert!(judged(Some(94), 94, 95).is_some_and(|problem| problem.contains("nobody has tried")));
        assert!(judged(None, 94, 95).is_some());
    }
}
