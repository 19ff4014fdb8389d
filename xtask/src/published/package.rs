//! Whether the crates can be packaged: what is in the packages, and what a registry wants to know.

use std::process::Command;

use anyhow::Context as _;
use cargo_metadata::{Metadata, Package};

use super::CRATES;
use crate::run::say;

/// Files that every package has.
const FILES: [&str; 5] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"];

/// What a registry takes of one package, in bytes.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// Packages all of them, without building, and looks at what came out.
pub(super) fn violations(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in metadata.packages.iter().filter(|package| CRATES.contains(&package.name.as_str())) {
        problems.extend(facts(package).into_iter().map(|problem| format!("{}: {problem}", package.name)));
    }
    let cargo = || Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut command = cargo();
    command.args(["package", "--offline", "--allow-dirty", "--no-verify", "--quiet"]);
    let output =
        command.args(CRATES.iter().flat_map(|name| ["--package", name])).output().context("cargo package")?;
    if !output.status.success() {
        problems.push(format!("cargo package failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        return Ok(problems);
    }
    for package in metadata.packages.iter().filter(|package| CRATES.contains(&package.name.as_str())) {
        let file = metadata
            .target_directory
            .join("package")
            .join(format!("{}-{}.crate", package.name, package.version));
        let bytes = std::fs::metadata(&file).with_context(|| format!("{file} is not there"))?.len();
        if bytes > MAX_BYTES {
            problems.push(format!("{}: {bytes} bytes, more than a registry takes", package.name));
        }
        let arguments = ["package", "--list", "--offline", "--allow-dirty", "--package", &package.name];
        let listed = cargo().args(arguments).output().context("cargo package --list")?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let files: Vec<&str> = listed.lines().collect();
        let missing = FILES.iter().filter(|file| !files.contains(file));
        problems.extend(missing.map(|file| format!("{}: {file} is not in the package", package.name)));
        let strangers = files.iter().filter(|file| file.starts_with("tests/"));
        problems.extend(strangers.map(|file| format!("{}: {file} is in the package", package.name)));
        say(&format!(
            "package: {} {}, {} files, {} KiB\n",
            package.name,
            package.version,
            files.len(),
            bytes / 1024
        ));
    }
    Ok(problems)
}

/// What a registry and docs.rs read.
fn facts(package: &Package) -> Vec<String> {
    let mut missing = Vec::new();
    let mut want = |is_there: bool, what: &str| {
        if !is_there {
            missing.push(format!("has no {what}"));
        }
    };
    want(package.description.as_ref().is_some_and(|text| !text.is_empty()), "description");
    want(package.license.is_some(), "license");
    want(package.readme.is_some(), "readme");
    want(package.documentation.is_some(), "documentation");
    want((1..=5).contains(&package.keywords.len()), "one to five keywords");
    want(!package.categories.is_empty(), "categories");
    let docs = package.metadata.get("docs").and_then(|docs| docs.get("rs"));
    let all = docs.and_then(|docs| docs.get("all-features")).and_then(serde_json::Value::as_bool);
    want(all == Some(true), "[package.metadata.docs.rs] with all-features = true");
    missing
}
