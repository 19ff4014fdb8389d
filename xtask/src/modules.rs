//! The inside of the kit: its floors, and that no circle runs through its modules.
//!
//! `base` knows nobody above it, `core` knows `base`, an edge knows both and no other edge; `testing` stands on top.
//! Below the floors the unit is the second level (`core::span`): between those the arrows must not run in a circle.
//! Read from the sources by their syntax; what only tests of a module use is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree};

/// The crate whose inside is checked.
const CRATE: &str = "crates/kit/telemetry/src";

/// Floors from the ground up. A floor knows itself and those below it.
const FLOORS: [&str; 4] = ["base", "core", "edges", "testing"];

/// Modules of one floor that must not know each other at all.
const STRANGERS: &str = "edges";

/// An arrow between two modules, each named by its first two levels.
pub(crate) type Arrows = BTreeSet<(String, String)>;

/// Reads the arrows of the kit and returns one sentence for each that is not allowed.
pub(crate) fn violations(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut arrows = Arrows::new();
    read_folder(&root.join(CRATE), &mut Vec::new(), &mut arrows)?;
    anyhow::ensure!(arrows.len() > 20, "{CRATE}: hardly any arrow was found; the check reads nothing");
    Ok(problems(&arrows))
}

fn read_folder(folder: &Path, module: &mut Vec<String>, arrows: &mut Arrows) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            module.push(name.to_owned());
            read_folder(&path, module, arrows)?;
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            let mut own = module.clone();
            if !matches!(name, "mod" | "lib") {
                own.push(name.to_owned());
            }
            add_arrows(&text, &own, arrows).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Adds the arrows of one file.
fn add_arrows(text: &str, module: &[String], arrows: &mut Arrows) -> anyhow::Result<()> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader { module: module.to_vec(), found: BTreeSet::new() };
    reader.visit_file(&file);
    let Some(from) = room(module) else { return Ok(()) };
    for path in reader.found {
        if let Some(to) = room(&path)
            && to != from
        {
            arrows.insert((from.clone(), to));
        }
    }
    Ok(())
}

/// The first two levels of a path; none for what stands in the crate's root. A floor's own `mod.rs` only lists.
fn room(path: &[String]) -> Option<String> {
    let floor = path.first().filter(|floor| FLOORS.contains(&floor.as_str()))?;
    if floor == "testing" {
        return Some(floor.clone());
    }
    Some(format!("{floor}::{}", path.get(1)?))
}

struct Reader {
    module: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Reader {
    /// A path as it is written, from the crate's root; none if it leads out of the crate.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut from = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for part in rest {
            if part == "super" {
                from.pop()?;
            } else {
                from.push(part.clone());
            }
        }
        Some(from)
    }

    fn add(&mut self, path: &[String]) {
        self.found.extend(self.resolve(path));
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.add(&with(name.ident.to_string())),
            UseTree::Rename(name) => self.add(&with(name.ident.to_string())),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_for_tests(&item.attrs) || item.content.is_none() {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.add_tree(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&names);
        visit::visit_path(self, path);
    }
}

fn floor(room: &str) -> usize {
    let name = room.split("::").next().unwrap_or(room);
    FLOORS.iter().position(|floor| *floor == name).unwrap_or(FLOORS.len())
}

fn problems(arrows: &Arrows) -> Vec<String> {
    let mut problems = Vec::new();
    for (from, to) in arrows {
        if floor(to) > floor(from) {
            problems.push(format!("kit: {from} -> {to}: arrows point down ({})", FLOORS.join(" < ")));
        } else if floor(to) == floor(from) && from.starts_with(STRANGERS) {
            problems.push(format!("kit: {from} -> {to}: one edge does not know another"));
        }
    }
    problems.extend(circle(arrows).map(|circle| format!("kit: a circle: {}", circle.join(" -> "))));
    problems
}

/// One circle, if there is any: what remains when everything that points at nothing else has been taken away.
fn circle(arrows: &Arrows) -> Option<Vec<String>> {
    let mut targets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in arrows {
        targets.entry(from).or_default().insert(to);
        targets.entry(to).or_default();
    }
    loop {
        let ends: Vec<&str> =
            targets.iter().filter(|(_, targets)| targets.is_empty()).map(|(room, _)| *room).collect();
        if ends.is_empty() {
            break;
        }
        targets.retain(|room, _| !ends.contains(room));
        for known in targets.values_mut() {
            known.retain(|room| !ends.contains(room));
        }
    }
    let mut way = vec![*targets.keys().next()?];
    loop {
        let next = *targets.get(*way.last()?)?.iter().next()?;
        if let Some(begin) = way.iter().position(|room| *room == next) {
            let mut circle: Vec<String> = way[begin..].iter().map(ToString::to_string).collect();
            circle.push(next.to_owned());
            return Some(circle);
        }
        way.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Vec<String> {
        let mut arrows = Arrows::new();
        for (module, text) in files {
            let module: Vec<_> = module.split("::").map(ToOwned::to_owned).collect();
            add_arrows(text, &module, &mut arrows).unwrap();
        }
        problems(&arrows)
    }

    #[test]
    fn an_arrow_up_is_refused_however_it_is_written() {
        for text in [
            "use crate::core::span::Span;",
            "use crate::{core::{span}, base};",
            "fn f() { crate::core::span::set(); }",
            "use super::super::core::span::Span as S;",
        ] {
            let problems = of(&[("base::redact", text)]);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].starts_with("kit: base::redact -> core::span"), "{problems:?}");
        }
    }

    #[test]
    fn an_edge_that_knows_another_is_refused() {
        assert_eq!(of(&[("edges::grpc::client", "use crate::edges::http::X;")]).len(), 1);
        assert_eq!(of(&[("edges::grpc::client", "use super::status::X;")]), Vec::<String>::new());
    }

    #[test]
    fn a_circle_is_named() {
        let problems = of(&[
            ("core::a", "use crate::core::b::B;"),
            ("core::b::inner", "fn f() -> crate::core::c::C { loop {} }"),
            ("core::c", "use super::a::A;"),
        ]);
        assert_eq!(problems, ["kit: a circle: core::a -> core::b -> core::c -> core::a"]);
    }

    #[test]
    fn arrows_down_and_those_of_tests_pass() {
        let tests = "#[cfg(test)] mod tests { use crate::testing::TestTelemetry; }";
        assert_eq!(
            of(&[("core::span", "use crate::base::error::E;"), ("base::error", tests)]),
            Vec::<String>::new()
        );
    }
}
