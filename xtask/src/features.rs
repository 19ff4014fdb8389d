//! The kit's Cargo features: each alone, none, and all together must build, and the default must stay small.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, bail};
use cargo_metadata::Metadata;

use crate::run::{cargo, say};

/// Crates whose features are checked: what other programs may depend on.
const CRATES: [&str; 2] = ["waypost-settings", "waypost-telemetry"];

/// What a feature needs from the program to build: `async-nats` builds with a provider of cryptography only and `mongodb` with bson and
/// TLS only, and the kit chooses neither.
const CHOSEN: [(&str, &str); 4] = [
    ("full", "full,async-nats/ring,mongodb/rustls-tls,mongodb/bson-3"),
    ("mongodb", "mongodb,mongodb/rustls-tls,mongodb/bson-3"),
    ("mongodb-bson-3", "mongodb-bson-3,mongodb/rustls-tls"),
    ("nats", "nats,async-nats/ring"),
];

/// Most crates in the graph of the kit's default features, itself included.
const MAX_CRATES: usize = 70;

/// Builds every combination that a user is likely to choose.
pub(crate) fn build(metadata: &Metadata) -> anyhow::Result<()> {
    for name in CRATES {
        for features in combinations(metadata, name)? {
            let what =
                format!("features of {name}: {}", if features.is_empty() { "none" } else { &features });
            cargo(
                &what,
                &["check", "--package", name, "--no-default-features", "--features", &features],
                &[],
            )?;
        }
    }
    let crates = graph()?;
    if crates.len() > MAX_CRATES {
        bail!(
            "the kit's default brings {} crates, at most {MAX_CRATES} are wanted: {crates:?}",
            crates.len()
        );
    }
    say(&format!(
        "features: each alone and all together build; the default brings {} crates\n",
        crates.len()
    ));
    Ok(())
}

/// None, each alone, all. Names with an underscore in front are parts of others.
fn combinations(metadata: &Metadata, name: &str) -> anyhow::Result<Vec<String>> {
    let package = metadata.workspace_packages().into_iter().find(|package| package.name == name);
    let package = package.with_context(|| format!("{name} is no member of the workspace"))?;
    let mut features: Vec<String> =
        package.features.keys().filter(|feature| !feature.starts_with('_')).cloned().collect();
    let all = features.join(",");
    for feature in &mut features {
        if let Some((_, chosen)) = CHOSEN.iter().find(|(name, _)| *name == feature.as_str()) {
            (*chosen).clone_into(feature);
        }
    }
    features.push(String::new());
    features.push(all);
    Ok(features)
}

/// The crates that a program gets with the kit's default features.
fn graph() -> anyhow::Result<BTreeSet<String>> {
    let arguments = ["tree", "--package", "waypost-telemetry", "--edges", "normal", "--prefix", "none"];
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let crates = lines.lines().filter_map(|line| Some(line.split(" (").next()?.trim().to_owned()));
    Ok(crates.filter(|name| !name.is_empty()).collect())
}
