//! The document of guarantees names tests: each of them exists.

use std::collections::BTreeSet;
use std::path::Path;

/// Every name in the last column of a table that is written like a test: words with lines between them.
fn named(document: &str) -> BTreeSet<&str> {
    let is_test = |name: &&str| {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        name.split('_').all(is_word) && name.split('_').count() > 2
    };
    let rows = document.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let cells = rows.filter_map(|row| row.rsplit('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(is_test).collect()
}

fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = std::fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let mut all = String::new();
    sources(&root.join("crates"), &mut all);
    let named = named(&document);
    assert!(named.len() > 100, "{} tests are named", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/guarantees.md names what is not there: {missing:#?}");
}
