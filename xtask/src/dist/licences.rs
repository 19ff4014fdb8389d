//! The texts of the licences of everything that is linked in, as the packages carry them: their own, and those of the sources
//! in C that some of them bring along.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::Package;

use super::linked::Linked;

/// How the names of such files begin.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// How deep the folders lie whose sources are linked in, such as `c_src/mimalloc/v3`.
const DEPTH: usize = 4;

/// Each text once, below the packages that carry it; then those that carry none, with what they say of themselves.
pub(super) fn texts(linked: &Linked<'_>) -> String {
    let theirs = || linked.packages.iter().filter(|package| package.source.is_some());
    let mut carriers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut without = String::new();
    for package in theirs() {
        let texts = of(package);
        if texts.is_empty() {
            let licence = package.license.as_deref().unwrap_or("no licence given");
            let authors = package.authors.join(", ");
            // Writing to a String cannot fail.
            writeln!(without, "  {} {}: {licence}; {authors}", package.name, package.version).ok();
        }
        for text in texts {
            carriers.entry(text).or_default().push(format!("{} {}", package.name, package.version));
        }
    }
    let mut page = format!(
        "Licences of the {} packages of others that are linked into waypost {}.\n",
        theirs().count(),
        linked.version()
    );
    if !without.is_empty() {
        write!(
            page,
            "\nThese carry no text of their own. The texts of MIT and Apache-2.0 stand below and beside this file:\n\n{without}"
        )
        .ok();
    }
    for (text, packages) in carriers {
        let line = "-".repeat(100);
        write!(page, "\n{line}\n{}\n{line}\n\n{}\n", packages.join("\n"), text.trim_end()).ok();
    }
    page
}

/// The texts in a package's folder and in those below, by name.
fn of(package: &Package) -> Vec<String> {
    let Some(folder) = package.manifest_path.parent() else { return Vec::new() };
    let mut files = Vec::new();
    collect(folder.as_std_path(), DEPTH, &mut files);
    files.sort();
    let texts = files.iter().filter_map(|path| fs::read(path).ok());
    // Line ends differ from package to package; the same text then still stands once.
    texts.map(|bytes| String::from_utf8_lossy(&bytes).replace("\r\n", "\n")).collect()
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if is_licence(&path) {
            files.push(path);
        } else if depth > 0 && path.is_dir() && !is_of_tests(&path) {
            collect(&path, depth - 1, files);
        }
    }
}

/// What is there is not linked in.
fn is_of_tests(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, "tests" | "test" | "examples" | "benches" | "fuzz")
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_source = [".rs", ".c", ".h"].iter().any(|end| name.ends_with(end));
    path.is_file() && !is_source && NAMES.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_told_by_its_name_and_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "COPYING", "NOTICE.txt", "UNLICENSE", "README.md", "notice.rs"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        fs::create_dir(folder.path().join("licenses")).unwrap();
        let is = |name: &str| is_licence(&folder.path().join(name));
        assert!(is("LICENSE-MIT") && is("COPYING") && is("NOTICE.txt") && is("UNLICENSE"));
        assert!(!is("README.md") && !is("licenses") && !is("LICENSE-APACHE") && !is("notice.rs"));
    }

    #[test]
    fn sources_that_a_package_brings_along_have_theirs_too() {
        let folder = tempfile::tempdir().unwrap();
        for place in ["c_src/library/v3", "tests/data", "src"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        for file in ["LICENSE", "c_src/library/v3/LICENSE.txt", "tests/data/LICENSE", "src/license.rs.txt"] {
            fs::write(folder.path().join(file), file).unwrap();
        }
        let mut found = Vec::new();
        collect(folder.path(), DEPTH, &mut found);
        found.sort();
        let expected = ["LICENSE", "c_src/library/v3/LICENSE.txt", "src/license.rs.txt"];
        assert_eq!(found, expected.map(|file| folder.path().join(file)));
    }
}
