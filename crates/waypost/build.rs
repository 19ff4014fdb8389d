//! Tells the binary which commit it was built from.
//!
//! Reads `.git` itself, so that neither `git` nor a checkout is needed: a source archive builds too and then
//! says so. `WAYPOST_COMMIT` overrides, for builds from an archive that know better.

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=WAYPOST_COMMIT");
    let commit =
        std::env::var("WAYPOST_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_of_checkout);
    let commit = commit.as_deref().map_or("no commit known", |commit| commit.get(..12).unwrap_or(commit));
    // Not `WAYPOST_..`: cargo hands it on to the program it runs, which would take it for a setting.
    println!("cargo:rustc-env=BUILD_COMMIT_OF_WAYPOST={commit}");
}

fn commit_of_checkout() -> Option<String> {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let dot_git = manifest.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
    // In a linked worktree `.git` is a file that names the real folder.
    let git = match fs::read_to_string(&dot_git) {
        Ok(pointer) => dot_git.parent()?.join(pointer.trim().strip_prefix("gitdir: ")?),
        Err(_) => dot_git,
    };
    let head_file = git.join("HEAD");
    rerun_if_changed(&head_file);
    let head = fs::read_to_string(&head_file).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned());
    };
    let shared = match fs::read_to_string(git.join("commondir")) {
        Ok(relative) => git.join(relative.trim()),
        Err(_) => git,
    };
    let loose = shared.join(reference);
    rerun_if_changed(&loose);
    fs::read_to_string(&loose)
        .ok()
        .map(|commit| commit.trim().to_owned())
        .or_else(|| packed(&shared, reference))
}

fn packed(git: &Path, reference: &str) -> Option<String> {
    let packed_file = git.join("packed-refs");
    rerun_if_changed(&packed_file);
    let packed = fs::read_to_string(packed_file).ok()?;
    packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').map(str::to_owned))
}

/// A missing file would make cargo build again every time.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}
