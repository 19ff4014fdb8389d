//! Tells the binary which commit it was built from.
//!
//! Reads `.git` itself, so that neither `git` nor a checkout is needed: a source archive builds too and then
//! says so. `WAYPOST_COMMIT` overrides, for builds from an archive that know better.

#[path = "build/commit.rs"]
mod commit;

use std::path::PathBuf;

use commit::Checkout;

fn main() {
    println!("cargo:rerun-if-env-changed=WAYPOST_COMMIT");
    let told = std::env::var("WAYPOST_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = told.or_else(|| {
        let checkout = Checkout::of(&PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?));
        checkout.watched.iter().for_each(|path| println!("cargo:rerun-if-changed={}", path.display()));
        checkout.commit
    });
    let commit = commit.as_deref().map_or("no commit known", |commit| commit.get(..12).unwrap_or(commit));
    // Not `WAYPOST_..`: cargo hands it on to the program it runs, which would take it for a setting.
    println!("cargo:rustc-env=BUILD_COMMIT_OF_WAYPOST={commit}");
}
