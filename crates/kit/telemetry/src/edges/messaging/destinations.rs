//! What the destinations of one client are called, where a broker has many: by templates, and up to a number by their names.

use super::destination::Destination;
use crate::base::bounded_set::BoundedSet;

/// How many names without a template one client shows; what comes after them is `_OTHER`.
const MAX_KNOWN: usize = 256;

/// The template of what comes after them.
const OTHER: &str = "_OTHER";

/// The name of a destination, and what all names that come this way are made from.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Box<str>,
    pub(super) pattern: Option<Box<str>>,
    /// It is there for a while, and its name is not to be shown.
    pub(super) is_temporary: bool,
}

impl Named {
    pub(super) fn of(name: &str, pattern: Option<&str>) -> Self {
        Self { name: name.into(), pattern: pattern.map(Into::into), is_temporary: false }
    }
}

/// What the destinations of one client are called.
#[derive(Debug)]
pub(super) struct Destinations {
    templates: Vec<Box<str>>,
    temporary: Vec<Box<str>>,
    known: BoundedSet,
}

impl Destinations {
    /// Names that are made from these templates, and temporary ones that are made from those.
    pub(super) fn new(templates: &[Box<str>], temporary: &[Box<str>]) -> Self {
        Self {
            templates: templates.to_vec(),
            temporary: temporary.to_vec(),
            known: BoundedSet::new(MAX_KNOWN),
        }
    }

    /// The destination with a name, by the first template that it is made from.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> Destination<'a> {
        let made_from = |templates: &'a [Box<str>]| {
            templates.iter().find(|template| matches(Some(template), Some(name))).map(|template| &**template)
        };
        if let Some(template) = made_from(&self.temporary) {
            Destination::temporary(template)
        } else if let Some(template) = made_from(&self.templates) {
            Destination::templated(name, template)
        } else if self.known.takes(name) {
            Destination::named(name)
        } else {
            Destination::templated(name, OTHER)
        }
    }

    /// As [`of`](Self::of), where it is known what all names that come this way are made from.
    pub(super) fn of_named<'a>(&'a self, named: &'a Named) -> Destination<'a> {
        let Named { name, pattern, is_temporary } = named;
        let mut templates = self.temporary.iter().chain(&self.templates);
        match pattern {
            Some(pattern) if *is_temporary => Destination::temporary(pattern),
            Some(pattern) if !templates.any(|template| matches(Some(template), Some(name))) => {
                Destination::templated(name, pattern)
            }
            _ => self.of(name),
        }
    }
}

/// Whether words between dots stand for all names of a pattern: `*` and `{id}` are one word, `>` at the end is one or more,
/// `#` is any number of them.
pub(super) fn is_pattern(text: &str) -> bool {
    text.split('.').any(|word| matches!(word, ">" | "#") || is_placeholder(word))
}

fn is_placeholder(word: &str) -> bool {
    word == "*" || word.starts_with('{') && word.ends_with('}')
}

/// Whether a name is made from a template; `None` is that nothing is left of either.
pub(super) fn matches(template: Option<&str>, name: Option<&str>) -> bool {
    let Some(template) = template else { return name.is_none() };
    let (word, rest) = first_word(template);
    if word == "#" {
        return matches(rest, name) || name.is_some_and(|name| matches(Some(template), first_word(name).1));
    }
    let Some(name) = name else { return false };
    let (given, left) = first_word(name);
    match word {
        ">" if rest.is_none() => true,
        word if word == given || is_placeholder(word) => matches(rest, left),
        _ => false,
    }
}

fn first_word(text: &str) -> (&str, Option<&str>) {
    text.split_once('.').map_or((text, None), |(word, rest)| (word, Some(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_name_are_matched_by_a_template() {
        let made_from = |template, name| matches(Some(template), Some(name));
        for (template, name) in [
            ("orders", "orders"),
            ("orders.*.placed", "orders.17.placed"),
            ("orders.{order}.placed", "orders.17.placed"),
            ("orders.>", "orders.17.placed"),
            ("#", "orders.17"),
            ("orders.#", "orders"),
            ("orders.#.placed", "orders.eu.17.placed"),
            ("#.placed", "placed"),
        ] {
            assert!(made_from(template, name), "{template} {name}");
        }
        for (template, name) in [
            ("orders", "orders.17"),
            ("orders.*", "orders"),
            ("orders.*", "orders.17.placed"),
            ("orders.>", "orders"),
            ("orders.*.placed", "orders.17.paid"),
            ("#.placed", "orders.17"),
        ] {
            assert!(!made_from(template, name), "{template} {name}");
        }
        assert!(is_pattern("orders.{order}") && is_pattern("orders.>") && !is_pattern("orders.placed"));
    }

    #[test]
    fn names_without_a_template_are_shown_up_to_a_number() {
        let destinations = Destinations::new(&["orders.{order}".into()], &["_INBOX.>".into()]);
        for number in 0..MAX_KNOWN {
            let name = format!("device-{number}");
            assert_eq!(destinations.of(&name), Destination::named(&name));
        }
        assert_eq!(destinations.of("device-0"), Destination::named("device-0"));
        assert_eq!(destinations.of("late"), Destination::templated("late", OTHER));
        assert_eq!(destinations.of("orders.17"), Destination::templated("orders.17", "orders.{order}"));
        assert_eq!(destinations.of("_INBOX.secret"), Destination::temporary("_INBOX.>"));
        let late = Named::of("late", Some("*"));
        assert_eq!(destinations.of_named(&late), Destination::templated("late", "*"));
        assert_eq!(destinations.of_named(&Named::of("_INBOX.secret", Some(">"))).name, None);
    }
}
