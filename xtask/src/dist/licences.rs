//! The texts of the licences of everything that is linked in, as the packages carry them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cargo_metadata::Package;

use super::linked::Linked;

/// How the names of such files begin.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

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

/// The texts in a package's own folder, by name.
fn of(package: &Package) -> Vec<String> {
    let folder = package.manifest_path.parent().map(cargo_metadata::camino::Utf8Path::as_std_path);
    let mut files: Vec<_> = folder
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| is_licence(path))
        .collect();
    files.sort();
    let texts = files.iter().filter_map(|path| fs::read(path).ok());
    // Line ends differ from package to package; the same text then still stands once.
    texts.map(|bytes| String::from_utf8_lossy(&bytes).replace("\r\n", "\n")).collect()
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_told_by_its_name_and_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "COPYING", "NOTICE.txt", "UNLICENSE", "README.md"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        fs::create_dir(folder.path().join("licenses")).unwrap();
        let is = |name: &str| is_licence(&folder.path().join(name));
        assert!(is("LICENSE-MIT") && is("COPYING") && is("NOTICE.txt") && is("UNLICENSE"));
        assert!(!is("README.md") && !is("licenses") && !is("LICENSE-APACHE"));
    }
}
