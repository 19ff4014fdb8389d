//! From layers to a typed value, or to every problem at once.
//!
//! serde stops at the first error. So the layers are merged into one tree, the tree is read, the offending key is
//! noted and taken out, and the rest is read again, until it succeeds.

use super::{Complaint, Origin, Problem, Problems, Sources, tree::Tree};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use std::collections::BTreeMap;

/// A configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    origins: BTreeMap<String, Origin>,
}

impl<T> Loaded<T> {
    /// Where a setting was given; [`Origin::Default`] when nobody gave it.
    pub fn origin(&self, key: &str) -> Origin {
        closest(&self.origins, key).unwrap_or(Origin::Default)
    }
}

/// Reads all layers. `check` states the rules between values; it is asked even when single values are wrong, so
/// that its complaints come along with the rest.
pub fn load<T>(sources: &Sources, check: impl FnOnce(&T) -> Vec<Complaint>) -> Result<Loaded<T>, Problems>
where
    T: DeserializeOwned + Default,
{
    let (mut tree, mut problems) = Tree::merge(sources);
    let origins = tree.origins();
    let value = loop {
        match serde_path_to_error::deserialize::<_, T>(tree.root()) {
            Ok(value) => break value,
            Err(error) => {
                let path = path_of(error.path());
                let reason = reason(&error.into_inner());
                match tree.give_way(&path, reason) {
                    Step::Retry => {}
                    Step::Problem(problem) => problems.push(problem),
                    Step::Stuck(problem) => {
                        problems.push(problem);
                        break T::default();
                    }
                }
            }
        }
    };
    for Complaint { key, reason } in check(&value) {
        let is_known =
            problems.iter().any(|problem| is_within(&key, &problem.key) || is_within(&problem.key, &key));
        if !is_known {
            let origin = closest(&origins, &key).unwrap_or(Origin::Default);
            problems.push(Problem { origin, key, reason });
        }
    }
    if problems.is_empty() { Ok(Loaded { value, origins }) } else { Err(Problems::new(problems)) }
}

/// What became of an offending value.
pub(super) enum Step {
    /// It was text and is now read another way.
    Retry,
    /// It was taken out.
    Problem(Problem),
    /// It could not be taken out; reading again would end the same.
    Stuck(Problem),
}

/// Keys down to the offending value; a list counts as one value.
fn path_of(path: &serde_path_to_error::Path) -> Vec<String> {
    let keys = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Seq { .. } | Segment::Unknown => None,
    });
    keys.collect()
}

/// serde's sentence, with a suggestion where it lists what is allowed.
fn reason(error: &toml::de::Error) -> String {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (subject, wrong) = match quoted.next() {
        Some(wrong) if message.starts_with("unknown field") => ("there is no such setting".to_owned(), wrong),
        Some(wrong) if message.starts_with("unknown variant") => {
            (format!("`{wrong}` is not a choice here"), wrong)
        }
        _ => return message.to_owned(),
    };
    let allowed: Vec<&str> = quoted.collect();
    let list = allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(wrong, &allowed) {
        Some(name) => format!("{subject}; did you mean `{name}`? Allowed: {list}"),
        None => format!("{subject}; allowed: {list}"),
    }
}

/// The allowed name with the fewest edits, if few enough to be a slip of the finger.
fn nearest<'a>(wrong: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let edits = |name: &str| edit_distance(wrong.as_bytes(), name.as_bytes());
    let best = allowed.iter().copied().min_by_key(|name| edits(name))?;
    (edits(best) <= 1 + wrong.len() / 4).then_some(best)
}

/// Levenshtein's distance, one row of the table at a time.
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left_byte) in left.iter().enumerate() {
        let mut diagonal = at;
        let mut previous = at + 1;
        for (cell, right_byte) in row.iter_mut().skip(1).zip(right) {
            let replaced = diagonal + usize::from(left_byte != right_byte);
            diagonal = *cell;
            previous = replaced.min(previous + 1).min(diagonal + 1);
            *cell = previous;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The origin of the key, or of the section that was given as a whole.
pub(super) fn closest(origins: &BTreeMap<String, Origin>, key: &str) -> Option<Origin> {
    let mut key = key;
    loop {
        if let Some(origin) = origins.get(key) {
            return Some(origin.clone());
        }
        key = key.rsplit_once('.')?.0;
    }
}

fn is_within(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_edits() {
        assert_eq!(edit_distance(b"listen", b"listen"), 0);
        assert_eq!(edit_distance(b"listn", b"listen"), 1);
        assert_eq!(edit_distance(b"", b"abc"), 3);
        assert_eq!(edit_distance(b"kitten", b"sitting"), 3);
    }

    #[test]
    fn a_name_far_from_all_is_not_guessed_at() {
        assert_eq!(nearest("listn", &["grace", "listen"]), Some("listen"));
        assert_eq!(nearest("colour", &["grace", "listen"]), None);
    }
}
