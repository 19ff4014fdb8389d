//! The OpenTelemetry Collector with the parts that our configurations use, built once for each manifest.
//!
//! No registry has it ready. Its builder is a Go program that writes a program of its own from a manifest of Go modules; Go's
//! cache of modules and packages makes a second build quick, in other folders too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::tools;
use crate::dist::hexadecimal;
use crate::needs::{output, tell};

/// Where the manifest is, from the root of the repository.
pub(super) const MANIFEST_FILE: &str = "deploy/collector/builder.yaml";
const MANIFEST: &str = include_str!("../../../deploy/collector/builder.yaml");
const BUILDER: &str = "go.opentelemetry.io/collector/cmd/builder";

/// What of the manifest is needed here.
#[derive(Deserialize)]
struct Manifest {
    dist: Distribution,
}

#[derive(Deserialize)]
struct Distribution {
    /// The program's name.
    name: String,
    /// The version of the Collector, and so of its builder.
    version: String,
}

/// The program, built below `folder` unless this manifest was built there before.
pub(super) fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let Manifest { dist } =
        serde_saphyr::from_str(MANIFEST).context("reading the manifest of the Collector")?;
    let own = folder.join(own_folder(&dist.version, MANIFEST));
    let program = own.join(&dist.name);
    if program.is_file() {
        return Ok(program);
    }
    let builder = tools::go(BUILDER, &format!("v{}", dist.version), "builder", folder)?;
    tell(&format!("deploy: building the Collector {}, which takes some minutes\n", dist.version));
    // Beside its place, and moved there when it is whole: an interrupted build is not taken for one.
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let making = tempfile::tempdir_in(folder).context("making a folder for the build")?;
    let manifest = making.path().join("builder.yaml");
    let text = MANIFEST.replace("./_build", &making.path().join("build").display().to_string());
    fs::write(&manifest, text).context("writing the manifest")?;
    // No C: what it links to is then the same everywhere, and Go needs no compiler beside itself.
    output(Command::new(builder).env("CGO_ENABLED", "0").arg("--config").arg(&manifest))?;
    let built = making.path().join("build").join(&dist.name);
    if !built.is_file() {
        bail!("the builder made no {}", dist.name);
    }
    fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
    fs::rename(&built, &program).with_context(|| format!("moving {}", built.display()))?;
    Ok(program)
}

/// Another folder for each manifest.
fn own_folder(version: &str, manifest: &str) -> String {
    let hash = Sha256::digest(manifest.as_bytes());
    let start = hexadecimal(hash.get(..4).unwrap_or_default());
    format!("otelcol-{version}-{start}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_collector_is_of_one_version() {
        let Manifest { dist } = serde_saphyr::from_str(MANIFEST).unwrap();
        let modules: Vec<&str> = MANIFEST.lines().filter(|line| line.contains("gomod:")).collect();
        assert!(modules.len() > 10, "{modules:?}");
        let version = format!(" v{}", dist.version);
        let others: Vec<&&str> = modules.iter().filter(|line| !line.ends_with(&version)).collect();
        assert!(others.is_empty(), "{others:?}");
        assert!(MANIFEST.contains("output_path: ./_build"), "the folder that is replaced");
    }

    #[test]
    fn another_manifest_is_built_anew() {
        assert_ne!(own_folder("1.0.0", "a"), own_folder("1.0.0", "b"));
        assert_eq!(own_folder("1.0.0", "a"), own_folder("1.0.0", "a"));
    }
}
