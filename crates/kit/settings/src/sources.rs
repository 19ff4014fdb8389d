//! The layers a configuration is made of, before they mean anything.

use super::Origin;
use std::collections::BTreeMap;

/// Everything that [`super::load`] reads, the lower layers first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Defaults that differ from the structs' own, as key and value: what `up` sets and `run` does not.
    pub defaults: Vec<(String, String)>,
    /// A TOML file.
    pub file: Option<File>,
    /// What the names of variables start with, for instance `SHOP_`; without it no variable is looked at.
    pub prefix: String,
    /// The process environment; only names that start with the prefix are looked at.
    pub environment: Vec<(String, String)>,
    /// Names with the prefix that are not settings (`SHOP_CONFIG`, which may name the file).
    pub not_settings: Vec<String>,
    /// The command line; a later flag wins.
    pub flags: Vec<Flag>,
}

/// A configuration file, read by the caller.
#[derive(Clone, Debug)]
pub struct File {
    /// As it is shown in problems.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A setting from the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As the user wrote it: `--set order.parallel_checks` or `--data`.
    pub name: String,
    /// The setting it sets.
    pub key: String,
    /// Its value, as text.
    pub value: String,
}

impl Flag {
    /// Reads `key=value`, the form of a repeatable `--set`. `None` without a `=` or without a key.
    pub fn parse(flag: &str, argument: &str) -> Option<Flag> {
        let (key, value) = argument.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then(|| Flag {
            name: format!("{flag} {key}"),
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl Sources {
    /// A source with the environment of a process and nothing else.
    pub fn from_environment(
        prefix: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Sources {
        let environment = environment.into_iter().collect();
        Sources { prefix: prefix.to_owned(), environment, ..Sources::default() }
    }

    /// The variable of a key: with the prefix `SHOP_`, `order.parallel_checks` is `SHOP_ORDER__PARALLEL_CHECKS`.
    pub fn variable(prefix: &str, key: &str) -> String {
        format!("{prefix}{}", key.replace('.', "__").to_ascii_uppercase())
    }

    /// Values given as text, lowest layer first, but for the file: `(key, text, where from)`.
    pub(super) fn texts_below_the_file(&self) -> impl Iterator<Item = (String, String, Origin)> {
        self.defaults.iter().map(|(key, text)| (key.clone(), text.clone(), Origin::Default))
    }

    /// As [`Sources::texts_below_the_file`], for what lies above it.
    pub(super) fn texts_above_the_file(&self) -> impl Iterator<Item = (String, String, Origin)> {
        // Sorted, so that the outcome does not depend on the order of the environment.
        let variables: BTreeMap<&String, &String> = self
            .environment
            .iter()
            .filter(|(name, _)| !self.prefix.is_empty() && name.starts_with(&self.prefix))
            .filter(|(name, _)| !self.not_settings.contains(name))
            .map(|(name, value)| (name, value))
            .collect();
        let variables = variables.into_iter().map(|(name, text)| {
            let key = name[self.prefix.len()..].to_ascii_lowercase().replace("__", ".");
            (key, text.clone(), Origin::Environment(name.clone()))
        });
        let flags = self.flags.iter().map(|flag| {
            let flag = flag.clone();
            (flag.key, flag.value, Origin::Flag(flag.name))
        });
        variables.chain(flags)
    }
}
