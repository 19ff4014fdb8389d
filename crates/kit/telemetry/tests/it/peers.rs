//! The pages that compare the kit with its peers speak of the versions that are measured.

use std::path::Path;

/// Name and version of every package in a lock file.
fn locked(lock: &str) -> Vec<(&str, &str)> {
    let quoted = |line: &str| -> Option<(usize, usize)> { Some((line.find('"')? + 1, line.rfind('"')?)) };
    let mut packages = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        let Some((from, to)) = quoted(line) else { continue };
        if line.starts_with("name = ") {
            name = &line[from..to];
        } else if line.starts_with("version = ") {
            packages.push((name, &line[from..to]));
        }
    }
    packages
}

#[test]
fn the_pages_about_peers_name_the_versions_that_are_measured() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let lock = read("benches/peers/Cargo.lock");
    let locked = locked(&lock);
    for page in ["docs/kit/peers.md", "docs/zh-CN/peers.md"] {
        let text = read(page);
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (name, version) = (cells.next()?, cells.next()?);
            version.starts_with(|first: char| first.is_ascii_digit()).then_some((name, version))
        });
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), 6, "{page}: {rows:?}");
        for row in rows {
            assert!(locked.contains(&row), "{page} speaks of {row:?}, which is not what is measured");
        }
    }
}
