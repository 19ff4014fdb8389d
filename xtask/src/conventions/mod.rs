//! `cargo xtask conventions`: the tables that the kit's checker reads, and the page of our own names.
//!
//! - `--model <folder>`: a checkout of the OpenTelemetry semantic conventions at a released version (its `model` and
//!   `docs` folders are read); writes the kit's table of them.
//! - Always: from our own registry in `docs/telemetry` the kit's table of its own names and the page
//!   `docs/telemetry/README.md`, and the check that code and registry name the same.

mod bounds;
mod model;
mod page;
mod sources;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bounds::Bounds;
use model::{Kind, Model};
use sources::Names;

use crate::run::say;

/// Where the kit keeps its tables.
const TABLES: &str = "crates/kit/telemetry/src/testing/conventions";

/// Our own registry; the part in the folder `kit` is the kit's.
const REGISTRY: &str = "docs/telemetry";

/// Files that are made from the registry, with what should be in them.
type Made = Vec<(PathBuf, String)>;

/// Runs the command.
pub(crate) fn conventions(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    match arguments {
        [] => {}
        [flag, folder] if flag == "--model" => write_model(root, Path::new(folder))?,
        _ => bail!("usage: cargo xtask conventions [--model <folder of the semantic conventions>]"),
    }
    for (path, text) in made(root)? {
        // A file that is written anew makes everything that is compiled with it stale, the whole workspace in the end.
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            write(&path, &text)?;
        }
    }
    let problems = violations(root)?;
    if !problems.is_empty() {
        bail!("{} problem(s) with names:\n  {}", problems.len(), problems.join("\n  "));
    }
    Ok(())
}

/// One sentence for each made file that is out of date and each name that is not both declared and used.
pub(crate) fn violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems: Vec<String> = made(root)?
        .into_iter()
        .filter(|(path, text)| std::fs::read_to_string(path).ok().as_ref() != Some(text))
        .map(|(path, _)| format!("{} is out of date; run `cargo xtask conventions`", path.display()))
        .collect();
    let known = table_names(&std::fs::read_to_string(semantic(root))?);
    let registry = Model::read(&root.join(REGISTRY))?;
    let names = Names::read(&root.join("crates"))?;
    anyhow::ensure!(names.attributes.len() > 40, "hardly any attribute was found; the check reads nothing");
    problems.extend(differences(&registry, &known, &names));
    Ok(problems)
}

fn differences(registry: &Model, known: &BTreeSet<String>, names: &Names) -> Vec<String> {
    let metrics =
        || registry.groups.values().filter(|group| group.kind == Kind::Metric).map(|group| &group.name);
    let declared: BTreeSet<&String> = registry.attributes.keys().chain(metrics()).collect();
    let mut problems = Vec::new();
    for (kind, used) in [("attribute", &names.attributes), ("metric", &names.metrics)] {
        for (name, place) in used {
            if !declared.contains(name) && !is_known(name, known) {
                problems.push(format!("{place}: the {kind} {name} is declared nowhere in {REGISTRY}"));
            }
        }
    }
    for name in declared {
        if known.contains(name) {
            problems.push(format!("{REGISTRY}: {name} belongs to the conventions already"));
        } else if !names.texts.contains(name) {
            problems.push(format!("{REGISTRY}: {name} is declared, and nothing uses it"));
        }
    }
    problems
}

/// Whether the conventions have the name, or one below which it stands.
fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    let mut below = name.match_indices('.').map(|(at, _)| &name[..at]);
    known.contains(name) || below.any(|prefix| known.contains(&format!("{prefix}.*")))
}

/// Names of attributes and metrics in a table; those of templates end in `.*`.
fn table_names(table: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let mut fields = line.split('\t');
        let (kind, name) = (fields.next()?, fields.next()?);
        let is_template = fields.next()?.starts_with("template[");
        let name = if is_template { format!("{name}.*") } else { name.to_owned() };
        matches!(kind, "attribute" | "metric").then_some(name)
    };
    table.lines().filter_map(name).collect()
}

/// What is made from the registry: its page and the kit's table of its own names.
fn made(root: &Path) -> anyhow::Result<Made> {
    let registry = root.join(REGISTRY);
    let kit = Model::read(&registry.join("kit"))?;
    let head = "The kit's own names, for the checker. Written by `cargo xtask conventions` from docs/telemetry/kit. Do not edit.";
    let table = table::write(&kit, head, &Bounds::new(), |_| true)?;
    Ok(vec![
        (root.join(TABLES).join("kit.tsv"), table),
        (registry.join("README.md"), page::write(&Model::read(&registry)?)?),
    ])
}

fn semantic(root: &Path) -> PathBuf {
    root.join(TABLES).join("semantic.tsv")
}

fn write_model(root: &Path, checkout: &Path) -> anyhow::Result<()> {
    let model = Model::read(&checkout.join("model"))?;
    let bounds: Bounds = bounds::read(&checkout.join("docs"))?;
    let version = model.schema_url.rsplit('/').next().unwrap_or_default().to_owned();
    let head = format!(
        "OpenTelemetry semantic conventions {version}: facts of their model for the checker.\n\
         Written by `cargo xtask conventions --model <folder>` from the tag v{version} of\n\
         https://github.com/open-telemetry/semantic-conventions (model and, for bucket bounds, docs),\n\
         Copyright The OpenTelemetry Authors, Apache-2.0. Do not edit.\n"
    );
    let text = table::write(&model, &head, &bounds, table::is_kept)?;
    write(&semantic(root), &text)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    say(&format!("wrote {}: {} lines\n", path.display(), text.lines().count()));
    Ok(())
}

#[cfg(test)]
mod tests;
