//! The two programs that are compared: built, or named.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::Comparison;
use crate::process::binary;

/// The binary of the base and that of this tree.
pub(super) fn both(comparison: &Comparison<'_>) -> anyhow::Result<[PathBuf; 2]> {
    let Comparison { base, base_binary, binary: given, .. } = *comparison;
    let root = PathBuf::from(output(Command::new("git").args(["rev-parse", "--show-toplevel"]))?);
    let commit = output(git(&root).args(["rev-parse", "--verify", &format!("{base}^{{commit}}")]))
        .with_context(|| format!("--base {base}"))?;
    let this = if let Some(given) = given {
        given.to_path_buf()
    } else {
        println!("building this tree");
        run(Command::new("cargo").current_dir(&root).args(["build", "--release", "--package", "waypost"]))?;
        binary()?
    };
    let that = if let Some(given) = base_binary {
        given.to_path_buf()
    } else {
        println!("building {commit}");
        built(&root, &commit)?
    };
    Ok([that, this])
}

/// Builds that commit in a folder of its own below the target folder, and gives its binary.
fn built(root: &Path, commit: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let place = program.ancestors().nth(2).context("no target folder")?.join("compare");
    let (tree, target) = (place.join("tree"), place.join("target"));
    if tree.exists() {
        run(Command::new("git").current_dir(&tree).args(["checkout", "--quiet", "--detach", commit]))?;
    } else {
        run(git(root).args(["worktree", "add", "--quiet", "--detach"]).arg(&tree).arg(commit))?;
    }
    let build = ["build", "--release", "--package", "waypost"];
    run(Command::new("cargo").current_dir(&tree).env("CARGO_TARGET_DIR", &target).args(build))?;
    Ok(target.join("release/waypost"))
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(root);
    command
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
