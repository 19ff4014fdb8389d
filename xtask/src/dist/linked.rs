//! Which packages end up in the binary.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use cargo_metadata::{DependencyKind, Metadata, Node, Package, PackageId};
use serde::Deserialize;

/// The package of a binary and everything that it stands on in the end: through normal dependencies alone. What only builds
/// (build scripts, macros' own tests) or only tests is not given to anybody, but macros are, as what they wrote is.
#[derive(Debug)]
pub(crate) struct Linked<'a> {
    /// The package of the binary.
    pub(crate) root: &'a Package,
    /// All of them, the root included, by name and version.
    pub(crate) packages: Vec<&'a Package>,
    /// Which of them each needs itself.
    pub(crate) needs: BTreeMap<&'a PackageId, Vec<&'a PackageId>>,
    /// SHA-256 of what the registry gave, by name and version.
    pub(crate) check_sums: BTreeMap<(String, String), String>,
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default, rename = "package")]
    packages: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

impl<'a> Linked<'a> {
    /// What is linked into the program of the package `name`, with the check sums of `lock`, the text of a `Cargo.lock`.
    pub(crate) fn into(metadata: &'a Metadata, name: &str, lock: &str) -> anyhow::Result<Linked<'a>> {
        let root = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name);
        let root = root.with_context(|| format!("the workspace has no package `{name}`"))?;
        let resolve = metadata.resolve.as_ref().context("cargo metadata gave no resolved dependencies")?;
        let nodes: BTreeMap<&PackageId, &Node> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();

        let mut needs = BTreeMap::new();
        let mut waiting = vec![&root.id];
        while let Some(id) = waiting.pop() {
            if needs.contains_key(id) {
                continue;
            }
            let node = nodes.get(id).with_context(|| format!("cargo metadata says nothing of {id}"))?;
            let linked: BTreeSet<&PackageId> =
                node.deps.iter().filter(|needed| is_normal(needed)).map(|dep| &dep.pkg).collect();
            waiting.extend(&linked);
            needs.insert(id, linked.into_iter().collect());
        }
        let mut packages: Vec<&Package> =
            metadata.packages.iter().filter(|package| needs.contains_key(&package.id)).collect();
        packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));

        let lock: Lock = toml::from_str(lock).context("reading Cargo.lock")?;
        let sums = lock
            .packages
            .into_iter()
            .filter_map(|Locked { name, version, checksum }| checksum.map(|sum| ((name, version), sum)));
        Ok(Linked { root, packages, needs, check_sums: sums.collect() })
    }

    /// The version of the program.
    pub(crate) fn version(&self) -> String {
        self.root.version.to_string()
    }
}

fn is_normal(dependency: &cargo_metadata::NodeDep) -> bool {
    dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
}
