//! Walks the tree: takes out what is known, remembers what is wrong and what is not had.

use std::time::Duration;

use super::super::overlay::Overlay;
use super::VARIABLE;
use crate::base::config::Settings;
use crate::base::yaml::{Content, Node};

/// A value that does not fit the schema.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) reason: String,
}

pub(super) struct Reader<'a, 'b> {
    overlay: &'a mut Overlay<'b>,
    pub(super) wrong: Vec<Wrong>,
    /// Paths of what the kit does not have.
    pub(super) not_had: Vec<String>,
}

/// A map of the file; what is taken out of it is known.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) path: String,
    pub(super) line: usize,
    entries: Vec<(String, Node)>,
}

impl Section {
    /// The value of a key; a null one is there too.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let place = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(place).1)
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'a, 'b> Reader<'a, 'b> {
    pub(super) fn new(overlay: &'a mut Overlay<'b>) -> Self {
        Self { overlay, wrong: Vec::new(), not_had: Vec::new() }
    }

    pub(super) fn set(&mut self, setting: &'static str, change: impl FnOnce(&mut Settings)) {
        self.overlay.set(VARIABLE, setting, change);
    }

    pub(super) fn set_resource_attribute(&mut self, key: String, value: String) {
        self.overlay.set_resource_attribute(VARIABLE, key, value);
    }

    pub(super) fn refuse(&mut self, line: usize, path: impl Into<String>, reason: impl Into<String>) {
        self.wrong.push(Wrong { line, path: path.into(), reason: reason.into() });
    }

    /// A map; null is an empty one.
    pub(super) fn section(&mut self, node: Node, path: String) -> Section {
        let line = node.line;
        let entries = match node.content {
            Content::Map(entries) => entries,
            Content::Null => Vec::new(),
            Content::Text { .. } | Content::List(_) => {
                self.refuse(line, path.as_str(), "must be a map");
                Vec::new()
            }
        };
        Section { path, line, entries }
    }

    /// A section within another, whether it is there or not.
    pub(super) fn within(&mut self, section: &mut Section, key: &str) -> Option<Section> {
        let node = section.take(key)?;
        Some(self.section(node, section.path_of(key)))
    }

    /// A map with one key, as the schema has it for a choice.
    pub(super) fn choice(&mut self, node: Node, path: &str) -> Option<(String, Node)> {
        let mut section = self.section(node, path.to_owned());
        if section.entries.len() != 1 {
            self.refuse(section.line, path, "must have exactly one key");
            return None;
        }
        section.entries.pop()
    }

    /// Names what was not taken out.
    pub(super) fn finish(&mut self, section: &Section) {
        let paths = section.entries.iter().map(|(key, _)| section.path_of(key));
        self.not_had.extend(paths);
    }

    pub(super) fn list(&mut self, section: &mut Section, key: &str) -> Vec<Node> {
        match section.take(key) {
            None | Some(Node { content: Content::Null, .. }) => Vec::new(),
            Some(Node { content: Content::List(items), .. }) => items,
            Some(node) => {
                self.refuse(node.line, section.path_of(key), "must be a list");
                Vec::new()
            }
        }
    }

    pub(super) fn text(&mut self, section: &mut Section, key: &str) -> Option<String> {
        self.scalar(section, key, "text", |text, _| Some(text.to_owned()))
    }

    pub(super) fn truth(&mut self, section: &mut Section, key: &str) -> Option<bool> {
        self.scalar(section, key, "true or false", |text, is_quoted| match text {
            "true" | "True" | "TRUE" if !is_quoted => Some(true),
            "false" | "False" | "FALSE" if !is_quoted => Some(false),
            _ => None,
        })
    }

    pub(super) fn ratio(&mut self, section: &mut Section, key: &str) -> Option<f64> {
        self.scalar(section, key, "a number from 0 to 1", |text, is_quoted| {
            text.parse().ok().filter(|ratio| !is_quoted && (0.0..=1.0).contains(ratio))
        })
    }

    /// A whole number that fits in 31 bits, as from a variable.
    pub(super) fn number(&mut self, section: &mut Section, key: &str, min: u32) -> Option<u32> {
        let takes = format!("a whole number from {min} to {}", i32::MAX);
        self.scalar(section, key, &takes, |text, is_quoted| {
            let number = match text.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            };
            number.filter(|number| !is_quoted && (min..=i32::MAX.unsigned_abs()).contains(number))
        })
    }

    pub(super) fn size(&mut self, section: &mut Section, key: &str, min: u32) -> Option<usize> {
        self.number(section, key, min).and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn milliseconds(&mut self, section: &mut Section, key: &str, min: u32) -> Option<Duration> {
        self.number(section, key, min).map(u64::from).map(Duration::from_millis)
    }

    /// `None` if it is not there, null or wrong.
    fn scalar<T>(
        &mut self,
        section: &mut Section,
        key: &str,
        takes: &str,
        read: impl FnOnce(&str, bool) -> Option<T>,
    ) -> Option<T> {
        let node = section.take(key)?;
        let value = match &node.content {
            Content::Null => return None,
            Content::Text { text, is_quoted } => read(text, *is_quoted),
            Content::List(_) | Content::Map(_) => None,
        };
        if value.is_none() {
            self.refuse(node.line, section.path_of(key), format!("is not {takes}"));
        }
        value
    }
}
