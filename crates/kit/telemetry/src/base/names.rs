//! Span names and route labels, made once and kept.
//!
//! Routes and URL templates come from the program's own text, so there are few of them; the table keeps each for
//! the life of the process and a request copies none. It is bounded all the same: what no longer fits is made
//! for the one request and forgotten.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, PoisonError, RwLock};

/// Entries kept in the process. A program with more distinct routes than this pays a copy for the rest.
const MAX_ENTRIES: usize = 4096;

/// The name of a span and the target it ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) full: Cow<'static, str>,
    pub(crate) target: Cow<'static, str>,
}

#[derive(Default)]
struct Table {
    by_target: HashMap<&'static str, Vec<(&'static str, &'static str)>>,
    texts: HashSet<&'static str>,
    entries: usize,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

/// The name `{verb} {target}`.
pub(crate) fn name(verb: &'static str, target: &str) -> Name {
    if let Some(found) = TABLE.read().unwrap_or_else(PoisonError::into_inner).find(verb, target) {
        return found;
    }
    TABLE.write().unwrap_or_else(PoisonError::into_inner).add(verb, target)
}

/// The text, kept; `None` if the table is full.
pub(crate) fn keep(text: &str) -> Option<&'static str> {
    if let Some(kept) = TABLE.read().unwrap_or_else(PoisonError::into_inner).texts.get(text) {
        return Some(kept);
    }
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    match table.texts.get(text) {
        Some(kept) => Some(kept),
        None if table.entries >= MAX_ENTRIES => None,
        None => {
            let kept: &'static str = text.to_owned().leak();
            table.texts.insert(kept);
            table.entries += 1;
            Some(kept)
        }
    }
}

impl Table {
    fn find(&self, verb: &'static str, target: &str) -> Option<Name> {
        let (target, names) = self.by_target.get_key_value(target)?;
        let (_, full) = names.iter().find(|(of, _)| *of == verb)?;
        Some(Name { full: Cow::Borrowed(full), target: Cow::Borrowed(target) })
    }

    fn add(&mut self, verb: &'static str, target: &str) -> Name {
        if let Some(found) = self.find(verb, target) {
            return found;
        }
        let full = format!("{verb} {target}");
        if self.entries >= MAX_ENTRIES {
            return Name { full: Cow::Owned(full), target: Cow::Owned(target.to_owned()) };
        }
        let full: &'static str = full.leak();
        let target = full.get(verb.len() + 1..).unwrap_or_default();
        // The first name of a target lends its tail as the target of all.
        let target = self.by_target.get_key_value(target).map_or(target, |(kept, _)| kept);
        self.by_target.entry(target).or_default().push((verb, full));
        self.entries += 1;
        Name { full: Cow::Borrowed(full), target: Cow::Borrowed(target) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verb_and_target_give_one_kept_name() {
        let first = name("GET", "/names/{id}");
        let again = name("GET", &String::from("/names/{id}"));
        assert_eq!(first.full, "GET /names/{id}");
        assert_eq!(first.target, "/names/{id}");
        assert!(std::ptr::eq(first.full.as_ref(), again.full.as_ref()));
        assert!(std::ptr::eq(name("POST", "/names/{id}").target.as_ref(), first.target.as_ref()));
    }

    #[test]
    fn a_full_table_still_names() {
        let mut table = Table { entries: MAX_ENTRIES, ..Table::default() };
        let name = table.add("GET", "/one-too-many");
        assert_eq!(name.full, "GET /one-too-many");
        assert!(table.by_target.is_empty());
    }
}
