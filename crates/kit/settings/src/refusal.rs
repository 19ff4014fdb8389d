//! Why serde refused a value, and where: kept as data, so that nothing depends on the wording of another crate.

use serde::de::{Error, Expected, Unexpected};
use std::fmt;

/// A refused value.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Keys down to the value, outermost last until [`Refusal::path`] turns it round.
    keys: Vec<String>,
    /// What is wrong, for a person.
    pub(crate) reason: String,
    /// It was a list where something else belongs. Nobody who wrote text asked for a list, so such a reason says
    /// less than one about the text.
    pub(crate) is_about_a_list: bool,
}

impl Refusal {
    /// Keys from the root down to the value; a list counts as one value.
    pub(crate) fn path(&self) -> Vec<String> {
        self.keys.iter().rev().cloned().collect()
    }

    /// As seen from the table that holds it under `key`.
    pub(crate) fn under(mut self, key: &str) -> Refusal {
        self.keys.push(key.to_owned());
        self
    }

    /// As seen from the list that holds it.
    pub(crate) fn within_list(mut self) -> Refusal {
        self.keys.clear();
        self
    }

    fn new(reason: String) -> Refusal {
        Refusal { keys: Vec::new(), reason, is_about_a_list: false }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}

impl Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Refusal {
        Refusal::new(message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Refusal {
        let refusal = Refusal::new(format!("invalid type: {unexpected}, expected {expected}"));
        Refusal { is_about_a_list: unexpected == Unexpected::Seq, ..refusal }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Refusal {
        Refusal::new(suggested("there is no such setting", field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Refusal {
        Refusal::new(suggested(&format!("`{variant}` is not a choice here"), variant, expected))
    }
}

fn suggested(subject: &str, wrong: &str, allowed: &[&str]) -> String {
    let list = allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(wrong, allowed) {
        Some(name) => format!("{subject}; did you mean `{name}`? Allowed: {list}"),
        None => format!("{subject}; allowed: {list}"),
    }
}

/// The allowed name with the fewest edits, if few enough to be a slip of the finger.
fn nearest<'a>(wrong: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let edits = |name: &str| strsim::levenshtein(wrong, name);
    let best = allowed.iter().copied().min_by_key(|name| edits(name))?;
    (edits(best) <= 1 + wrong.len() / 4).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_far_from_all_is_not_guessed_at() {
        assert_eq!(nearest("listn", &["grace", "listen"]), Some("listen"));
        assert_eq!(nearest("colour", &["grace", "listen"]), None);
    }
}
