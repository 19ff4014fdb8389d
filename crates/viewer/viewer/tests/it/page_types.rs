//! The page's modules against the types of the API, by the TypeScript compiler: it reads their JSDoc and writes nothing.
//!
//! `cargo xtask test` installs the compiler and names its folder in `TEST_NODE_MODULES`; without it this says what it leaves out.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_fits_the_types_of_the_api() {
    let node = std::env::var("TEST_NODE").unwrap_or_else(|_| "node".to_owned());
    let modules = std::env::var_os("TEST_NODE_MODULES").unwrap_or_default();
    let compiler = Path::new(&modules).join("typescript/bin/tsc");
    if !compiler.is_file() {
        let reason = "no TypeScript compiler; `cargo xtask test` installs it where there is node and npm";
        // Past the capture of a test that passes.
        let said = writeln!(std::io::stderr(), "left out: the types of the page: {reason}");
        return said.unwrap();
    }
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = Command::new(&node).arg(&compiler).arg("--project").arg(project).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}\n{}", String::from_utf8_lossy(&check.stderr));
}
