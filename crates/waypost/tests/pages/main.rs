//! The commands of the pages, run as a reader would: every block that is marked as tested, in the order of its page, in one
//! empty folder, with the program on the path. And the Chinese pages have the blocks of the English ones, and the same names and
//! commands in their sentences.
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
    all_of(page).into_iter().filter(|block| block.is_tested).collect()
}

fn all_of(page: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    blocks(&text)
}

/// The English page of a Chinese one, if there is one.
fn english(page: &str) -> Option<String> {
    let beside = page.strip_suffix(".zh-CN.md").map(|name| format!("{name}.md"));
    let run_book = page.strip_prefix("docs/zh-CN/runbooks/").map(|name| format!("docs/runbooks/{name}"));
    beside.or(run_book).filter(|page| root().join(page).is_file())
}

/// What is written as code within the sentences of a page: commands, names of settings, alerts and metrics.
fn code_in_sentences(page: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let mut outside = String::new();
    let mut is_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            outside.extend([line, " "]);
        }
    }
    let words = |code: &str| code.split_whitespace().collect::<Vec<_>>().join(" ");
    outside.split('`').skip(1).step_by(2).map(words).collect()
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
    the_commands_of_the_collector_work: "deploy/collector/README.md",
    the_commands_of_the_chinese_page_of_the_collector_work: "deploy/collector/README.zh-CN.md",
    the_settings_behind_nginx_are_right: "deploy/nginx/README.md",
    the_settings_of_the_chinese_page_of_nginx_are_right: "deploy/nginx/README.zh-CN.md",
    the_settings_behind_haproxy_are_right: "deploy/haproxy/README.md",
    the_settings_of_the_chinese_page_of_haproxy_are_right: "deploy/haproxy/README.zh-CN.md",
    the_settings_behind_envoy_are_right: "deploy/envoy/README.md",
    the_settings_of_the_chinese_page_of_envoy_are_right: "deploy/envoy/README.zh-CN.md",
    the_settings_behind_kong_are_right: "deploy/kong/README.md",
    the_settings_of_the_chinese_page_of_kong_are_right: "deploy/kong/README.zh-CN.md",
}

#[test]
fn every_page_with_tested_blocks_is_run() {
    let tested: BTreeSet<String> = pages().into_iter().filter(|page| !of(page).is_empty()).collect();
    let run: BTreeSet<String> = RUN.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(tested, run);
}

#[test]
fn a_chinese_page_has_the_blocks_and_the_code_of_the_english_one() {
    let mut compared = 0;
    for page in pages() {
        let Some(english) = english(&page) else { continue };
        compared += 1;
        // Drawings have words.
        let commands = |page: &str| -> Vec<String> {
            all_of(page).iter().filter(|block| block.language != "text").map(Block::commands).collect()
        };
        assert_eq!(commands(&page), commands(&english), "{page} and {english}");
        let (here, there) = (code_in_sentences(&page), code_in_sentences(&english));
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
            one.difference(other).cloned().collect()
        };
        assert!(
            here == there,
            "only in {page}: {:?}; only in {english}: {:?}",
            only(&here, &there),
            only(&there, &here)
        );
    }
    assert!(compared > 30, "{compared} pages");
}

#[test]
fn every_page_of_the_kit_is_there_in_both_languages() {
    let of_the_kit = pages();
    let names: Vec<&str> = of_the_kit.iter().filter_map(|page| page.strip_prefix("docs/kit/")).collect();
    for name in names.iter().filter(|name| **name != "README.md") {
        let chinese = format!("docs/zh-CN/{name}");
        assert!(root().join(&chinese).is_file(), "docs/kit/{name} has no {chinese}");
        let readme = std::fs::read_to_string(root().join("docs/kit/README.md")).unwrap();
        assert!(readme.contains(&format!("({name})")), "docs/kit/README.md does not lead to {name}");
    }
    assert!(names.len() > 10, "{names:?}");
}

#[test]
fn every_page_of_deploy_and_every_run_book_is_there_in_both_languages() {
    let (mut deploy, mut run_books) = (0, 0);
    for page in pages() {
        let chinese = if let Some(name) = page.strip_prefix("docs/runbooks/") {
            run_books += 1;
            format!("docs/zh-CN/runbooks/{name}")
        } else if page.starts_with("deploy/") && !page.ends_with(".zh-CN.md") {
            deploy += 1;
            page.replace(".md", ".zh-CN.md")
        } else {
            continue;
        };
        assert!(root().join(&chinese).is_file(), "{page} has no {chinese}");
    }
    assert!(deploy > 10 && run_books > 15, "{deploy} pages of deploy, {run_books} run-books");
    for page in pages().iter().filter(|page| page.contains("zh-CN")) {
        let is_translation = page.ends_with(".zh-CN.md") || page.contains("/runbooks/");
        assert!(!is_translation || english(page).is_some(), "{page} has no English page");
    }
}
