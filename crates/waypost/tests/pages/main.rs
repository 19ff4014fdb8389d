//! The commands of the pages, run as a reader would: every block that is marked as tested, in the order of its page, in one
//! empty folder, with the program on the path. And the Chinese pages have the blocks of the English ones.
//!
//! A block is marked behind its language: "sh tested". `until="words"` is for one that goes on running: the next block begins
//! when it has said these words (`times=3`: as often), and it is ended with its page, or by the next block that is marked `alone`.
//! `shows="words"` has to be in the output. "toml tested" is a configuration that `waypost config check` finds no problem in.
//! The ports of the pages are replaced by free ones.
#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod block;
mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use block::{Block, blocks};
use page::run;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Every page of the repository, by its path from the root.
fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "README.zh-CN.md".to_owned()];
    let mut folders = vec![PathBuf::from("docs"), PathBuf::from("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let (path, kind) =
                entry.map(|entry| (folder.join(entry.file_name()), entry.file_type())).unwrap();
            if kind.unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

fn of(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    blocks(&text).into_iter().filter(|block| block.is_tested).collect()
}

/// The English page of a Chinese one, if there is one.
fn english(page: &str) -> Option<String> {
    let by_name = page.strip_suffix(".zh-CN.md").map(|name| format!("{name}.md"));
    by_name.filter(|page| root().join(page).is_file())
}

/// One test for each page that has blocks, so that they run side by side and each is named.
macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {
        /// The pages that have a test below.
        const RUN: &[&str] = &[$($page),*];

        $(
            #[test]
            fn $name() {
                let blocks = of($page);
                assert!(!blocks.is_empty(), "{} has no tested block", $page);
                run(Path::new($page), &blocks);
            }
        )*
    };
}

pages! {
    the_commands_of_the_readme_work: "README.md",
    the_commands_of_the_chinese_readme_work: "README.zh-CN.md",
    the_commands_of_the_chinese_quick_start_work: "docs/zh-CN/quick-start.md",
    the_commands_of_operations_work: "docs/operations.md",
}

#[test]
fn every_page_with_tested_blocks_is_run() {
    let tested: BTreeSet<String> = pages().into_iter().filter(|page| !of(page).is_empty()).collect();
    let run: BTreeSet<String> = RUN.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(tested, run);
}

#[test]
fn a_chinese_page_has_the_tested_blocks_of_the_english_one() {
    let mut compared = 0;
    for page in pages() {
        let Some(english) = english(&page) else { continue };
        compared += 1;
        let commands = |page: &str| -> Vec<String> { of(page).iter().map(Block::commands).collect() };
        assert_eq!(commands(&page), commands(&english), "{page} and {english}");
    }
    assert!(compared >= 5, "{compared} pages");
}
