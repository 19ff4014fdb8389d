//! The merged layers: one TOML tree, and for each value where it came from and how else its text can be read.

use super::{FieldDoc, File, Origin, Problem, Sources, load::Step, load::closest, refusal::Refusal};
use std::collections::{BTreeMap, VecDeque};
use toml::{Table, Value, de::DeTable, de::DeValue};

/// The tree under construction.
pub(super) struct Tree {
    root: Table,
    given: BTreeMap<String, Given>,
}

/// A value that somebody gave.
struct Given {
    origin: Origin,
    /// Other ways to read a value that came as text, the likelier first. Environment and flags have no types,
    /// so `8080` may be a number or a name; what the struct accepts decides.
    other_readings: VecDeque<Value>,
    /// Why the readings so far were refused, the most telling one.
    refused: Option<String>,
}

impl Tree {
    /// Merges all layers, the struct's defaults at the bottom. Problems: a file that is not TOML, a key below a value.
    pub(super) fn merge(sources: &Sources, fields: Vec<FieldDoc>) -> (Tree, Vec<Problem>) {
        let mut tree = Tree { root: Table::new(), given: BTreeMap::new() };
        for FieldDoc { key, default, .. } in fields {
            if let Some(default) = default {
                tree.set(&key, default, Origin::Default, VecDeque::new());
            }
        }
        // Nobody gave these.
        tree.given.clear();
        let mut problems = Vec::new();
        for (key, text, origin) in sources.texts_below_the_file() {
            problems.extend(tree.set_text(&key, text, origin));
        }
        if let Some(file) = &sources.file {
            problems.extend(tree.set_file(file));
        }
        for (key, text, origin) in sources.texts_above_the_file() {
            problems.extend(tree.set_text(&key, text, origin));
        }
        (tree, problems)
    }

    pub(super) fn root(&self) -> Table {
        self.root.clone()
    }

    pub(super) fn origins(&self) -> BTreeMap<String, Origin> {
        self.given.iter().map(|(key, given)| (key.clone(), given.origin.clone())).collect()
    }

    /// Deals with a value that was refused: reads its text another way, or takes it out.
    pub(super) fn give_way(&mut self, refusal: &Refusal) -> Step {
        let path = refusal.path();
        let key = path.join(".");
        let given_key = longest_prefix(&self.given, &key);
        if let Some(key) = &given_key
            && let Some(given) = self.given.get_mut(key)
            && let Some(next) = given.other_readings.pop_front()
        {
            // A number that is too large says more than "a string where a number belongs"; a list that nobody
            // asked for says less.
            if given.refused.is_none() || !refusal.is_about_a_list {
                given.refused = Some(refusal.reason.clone());
            }
            replace(&mut self.root, key, next);
            return Step::Retry;
        }
        let given = given_key.and_then(|key| self.given.get(&key));
        let origin = match given {
            Some(given) => given.origin.clone(),
            // A section, which has no origin of its own: that of its first value.
            None => self.first_within(&key).unwrap_or(Origin::Default),
        };
        let reason = match given.and_then(|given| given.refused.clone()) {
            Some(earlier) if refusal.is_about_a_list => earlier,
            _ => refusal.reason.clone(),
        };
        let problem = Problem { origin, key: key.clone(), reason };
        if self.remove(&path) { Step::Problem(problem) } else { Step::Stuck(problem) }
    }

    fn first_within(&self, section: &str) -> Option<Origin> {
        let inside = |key: &str| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        let origins = self.given.iter().filter(|(key, _)| inside(key)).map(|(_, given)| given.origin.clone());
        origins.min().or_else(|| closest(&self.origins(), section))
    }

    /// Removes the value at the path, or the nearest one above it.
    fn remove(&mut self, path: &[String]) -> bool {
        (1..=path.len()).rev().any(|length| {
            let Some((last, sections)) = path.get(..length).and_then(<[String]>::split_last) else {
                return false;
            };
            let table =
                sections.iter().try_fold(&mut self.root, |table, key| table.get_mut(key)?.as_table_mut());
            table.is_some_and(|table| table.remove(last).is_some())
        })
    }

    fn set_text(&mut self, key: &str, text: String, origin: Origin) -> Option<Problem> {
        let other_readings = readings(&text);
        self.set(key, Value::String(text), origin, other_readings)
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin, other: VecDeque<Value>) -> Option<Problem> {
        let mut sections: Vec<&str> = key.split('.').collect();
        let last = sections.pop()?;
        let mut table = &mut self.root;
        for section in sections {
            let entry = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else {
                let reason = format!("`{section}` is already given as a value, so it cannot hold settings");
                return Some(Problem { origin, key: key.to_owned(), reason });
            };
            table = inner;
        }
        let is_empty_section = value.as_table().is_some_and(Table::is_empty);
        if is_empty_section && table.get(last).is_some_and(Value::is_table) {
            // A header without settings says nothing against what lower layers gave inside it.
            return None;
        }
        table.insert(last.to_owned(), value);
        // A section given as a whole replaces what lower layers gave inside it.
        let inside = format!("{key}.");
        self.given.retain(|given, _| !given.starts_with(&inside));
        self.given.insert(key.to_owned(), Given { origin, other_readings: other, refused: None });
        None
    }

    fn set_file(&mut self, file: &File) -> Vec<Problem> {
        let at = |start: usize| Origin::File {
            name: file.name.clone(),
            line: 1 + file.text.bytes().take(start).filter(|byte| *byte == b'\n').count(),
        };
        let (spans, errors) = DeTable::parse_recoverable(&file.text);
        let values = file.text.parse::<Table>();
        let (Ok(values), true) = (values, errors.is_empty()) else {
            let mut problems: Vec<Problem> = Vec::new();
            for error in errors {
                let origin = at(error.span().map_or(0, |span| span.start));
                let reason = format!("not TOML: {}", error.message());
                // One slip often breaks several rules; the first on a line is the cause.
                if problems.iter().all(|problem| problem.origin != origin) {
                    problems.push(Problem { origin, key: String::new(), reason });
                }
            }
            return problems;
        };
        let mut leaves = Vec::new();
        collect_leaves("", spans.get_ref(), &values, &mut leaves);
        let set =
            |(key, value, start): (String, Value, usize)| self.set(&key, value, at(start), VecDeque::new());
        leaves.into_iter().filter_map(set).collect()
    }
}

/// Every value that is not a section, with its key and its place in the text.
fn collect_leaves(
    section: &str,
    spans: &DeTable<'_>,
    values: &Table,
    leaves: &mut Vec<(String, Value, usize)>,
) {
    for (name, span) in spans {
        let Some(value) = values.get(name.get_ref().as_ref()) else { continue };
        let key = if section.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{section}.{}", name.get_ref())
        };
        match (span.get_ref(), value) {
            (DeValue::Table(spans), Value::Table(values)) if !values.is_empty() => {
                collect_leaves(&key, spans, values, leaves);
            }
            _ => leaves.push((key, value.clone(), name.span().start)),
        }
    }
}

/// How else a text can be read: as a TOML value, as a list by commas, as a list of TOML values.
fn readings(text: &str) -> VecDeque<Value> {
    let as_toml = |text: &str| format!("value = {text}").parse::<Table>().ok()?.remove("value");
    let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let texts: Vec<Value> = parts().map(|part| Value::String(part.to_owned())).collect();
    let values: Option<Vec<Value>> = parts().map(as_toml).collect();
    let whole = as_toml(text).filter(|value| !value.is_str());
    whole.into_iter().chain([Value::Array(texts)]).chain(values.map(Value::Array)).collect()
}

fn replace(root: &mut Table, key: &str, value: Value) {
    let mut sections: Vec<&str> = key.split('.').collect();
    let Some(last) = sections.pop() else { return };
    let table = sections.iter().try_fold(root, |table, section| table.get_mut(*section)?.as_table_mut());
    if let Some(table) = table {
        table.insert(last.to_owned(), value);
    }
}

fn longest_prefix(given: &BTreeMap<String, Given>, key: &str) -> Option<String> {
    let mut key = key;
    loop {
        if given.contains_key(key) {
            return Some(key.to_owned());
        }
        key = key.rsplit_once('.')?.0;
    }
}
