//! Span names and metric labels, made once and kept.
//!
//! Routes, URL templates, methods and destinations come from the program's own text, so there are few of them; a table
//! for each kind keeps them for the life of the process and a request copies none. The tables are bounded all the
//! same, each by itself, so that a program with many reply queues does not lose the names of its methods: what no
//! longer fits is made for the one request and forgotten. An edge reads its own [`Cache`] first, without a lock.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::base::slots::Slots;

/// Entries kept of one kind. A program with more distinct routes than this pays a copy for the rest.
const MAX_ENTRIES: usize = 4096;

/// What a name is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Route,
    UrlTemplate,
    Method,
    Destination,
}

/// The name of a span and the target it ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) full: Cow<'static, str>,
    pub(crate) target: Cow<'static, str>,
}

#[derive(Default)]
struct Table {
    by_target: Option<HashMap<&'static str, Vec<(&'static str, &'static str)>>>,
    texts: Option<HashSet<&'static str>>,
    entries: usize,
}

impl Table {
    const fn empty() -> RwLock<Self> {
        RwLock::new(Self { by_target: None, texts: None, entries: 0 })
    }
}

impl Kind {
    fn table(self) -> &'static RwLock<Table> {
        static ROUTES: RwLock<Table> = Table::empty();
        static URL_TEMPLATES: RwLock<Table> = Table::empty();
        static METHODS: RwLock<Table> = Table::empty();
        static DESTINATIONS: RwLock<Table> = Table::empty();
        match self {
            Self::Route => &ROUTES,
            Self::UrlTemplate => &URL_TEMPLATES,
            Self::Method => &METHODS,
            Self::Destination => &DESTINATIONS,
        }
    }
}

/// The name `{verb} {target}`.
pub(crate) fn name(kind: Kind, verb: &'static str, target: &str) -> Name {
    let table = kind.table();
    if let Some(found) = table.read().unwrap_or_else(PoisonError::into_inner).find(verb, target) {
        return found;
    }
    table.write().unwrap_or_else(PoisonError::into_inner).add(verb, target)
}

/// The text, kept; `None` if the table of its kind is full.
pub(crate) fn keep(kind: Kind, text: &str) -> Option<&'static str> {
    kind.table().write().unwrap_or_else(PoisonError::into_inner).keep(text)
}

impl Table {
    fn find(&self, verb: &'static str, target: &str) -> Option<Name> {
        let (target, names) = self.by_target.as_ref()?.get_key_value(target)?;
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
        let by_target = self.by_target.get_or_insert_default();
        // The first name of a target lends its tail as the target of all.
        let target = by_target.get_key_value(target).map_or(target, |(kept, _)| kept);
        by_target.entry(target).or_default().push((verb, full));
        self.entries += 1;
        Name { full: Cow::Borrowed(full), target: Cow::Borrowed(target) }
    }

    fn keep(&mut self, text: &str) -> Option<&'static str> {
        let texts = self.texts.get_or_insert_default();
        if let Some(kept) = texts.get(text) {
            return Some(kept);
        }
        if self.entries >= MAX_ENTRIES {
            return None;
        }
        let kept: &'static str = text.to_owned().leak();
        texts.insert(kept);
        self.entries += 1;
        Some(kept)
    }
}

/// The names that one edge has given, found without a lock. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    kind: Kind,
    known: Arc<Slots<(&'static str, Cow<'static, str>), Name>>,
}

impl Cache {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, known: Arc::default() }
    }

    /// The name `{verb} {target}`.
    pub(crate) fn name(&self, verb: &'static str, target: &str) -> Name {
        let is_it = |known: &(&str, Cow<'_, str>)| known.0 == verb && known.1 == target;
        if let Some(known) = self.known.find_with(&(verb, target), is_it) {
            return known.clone();
        }
        let name = name(self.kind, verb, target);
        self.known.keep((verb, name.target.clone()), name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verb_and_target_give_one_kept_name() {
        fn name(verb: &'static str, target: &str) -> Name {
            super::name(Kind::Route, verb, target)
        }
        let first = name("GET", "/names/{id}");
        let again = name("GET", &String::from("/names/{id}"));
        assert_eq!(first.full, "GET /names/{id}");
        assert_eq!(first.target, "/names/{id}");
        assert!(std::ptr::eq(first.full.as_ref(), again.full.as_ref()));
        assert!(std::ptr::eq(name("POST", "/names/{id}").target.as_ref(), first.target.as_ref()));
    }

    #[test]
    fn an_edge_finds_its_names_again_without_the_table() {
        let cache = Cache::new(Kind::UrlTemplate);
        let first = cache.name("GET", "/cached/{id}");
        assert!(cache.known.find_with(&("GET", "/cached/{id}"), |_| true).is_some());
        assert!(std::ptr::eq(first.full.as_ref(), cache.name("GET", "/cached/{id}").full.as_ref()));
        assert_eq!(cache.name("PUT", "/cached/{id}").full, "PUT /cached/{id}");
    }

    #[test]
    fn a_full_table_still_names() {
        let mut table = Table { entries: MAX_ENTRIES, ..Table::default() };
        let name = table.add("GET", "/one-too-many");
        assert_eq!(name.full, "GET /one-too-many");
        assert!(table.by_target.is_none());
        assert_eq!(table.keep("one too many"), None);
    }

    #[test]
    fn many_destinations_leave_the_methods_their_names() {
        for queue in 0..=MAX_ENTRIES {
            name(Kind::Destination, "send", &format!("reply-{queue}"));
        }
        assert!(matches!(name(Kind::Destination, "send", "late").full, Cow::Owned(_)));
        assert_eq!(keep(Kind::Method, "late.Service/Method"), Some("late.Service/Method"));
        assert!(matches!(name(Kind::Route, "GET", "/late").full, Cow::Borrowed(_)));
    }
}
