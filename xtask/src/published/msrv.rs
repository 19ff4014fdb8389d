//! The oldest Rust that the published crates say they build with is what their dependencies allow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::Context as _;
use cargo_metadata::semver::Version;
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::CRATES;
use crate::run::say;

/// A crate that says a Rust older than a dependency needs, or a newer one than it must.
pub(super) fn violations(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let (needed, holders) = needed(metadata)?;
    say(&format!("msrv: {} {needed}, held up by {}\n", CRATES.join(", "), holders.join(", ")));
    let own = metadata.packages.iter().filter(|package| CRATES.contains(&package.name.as_str()));
    let problems = own.filter_map(|package| match &package.rust_version {
        None => Some(format!("{}: says no rust-version", package.name)),
        Some(said) if *said != needed => {
            Some(format!("{}: says rust-version {said}, its dependencies need {needed}", package.name))
        }
        Some(_) => None,
    });
    Ok(problems.collect())
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
