//! The pure parts of the page's own code: tests in its language, run by Node.
//!
//! `cargo xtask test` names Node in `TEST_NODE`; without it the one on the path is taken.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

#[test]
fn the_pure_parts_of_the_page_pass_their_own_tests() {
    let node = std::env::var("TEST_NODE").unwrap_or_else(|_| "node".to_owned());
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    let mut files: Vec<_> = std::fs::read_dir(tests)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let output = match Command::new(&node).arg("--test").arg("--test-reporter=tap").args(&files).output() {
        Ok(output) => output,
        Err(error) => {
            // Past the capture of a test that passes.
            let said = writeln!(std::io::stderr(), "left out: the page's own tests: {node}: {error}");
            return said.unwrap();
        }
    };
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = report.lines().find_map(|line| line.strip_prefix("# pass ")).unwrap();
    assert!(passed.parse::<usize>().unwrap() >= files.len(), "{report}");
}
