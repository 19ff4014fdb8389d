//! From layers to a typed value, or to every problem at once.
//!
//! serde stops at the first error. So the layers are merged into one tree, the tree is read, the offending key is
//! noted and taken out, and the rest is read again, until it succeeds.

use super::{Complaint, Origin, Problem, Problems, Settings, Sources, tree::Tree, value::Reader};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A configuration and where its values came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    origins: BTreeMap<String, Origin>,
}

impl<T> Loaded<T> {
    /// Where a setting, or something in it, was given; [`Origin::Default`] when nobody gave it.
    pub fn origin(&self, key: &str) -> Origin {
        let inside =
            || self.origins.iter().find(|(given, _)| is_within(given, key)).map(|(_, origin)| origin.clone());
        closest(&self.origins, key).or_else(inside).unwrap_or(Origin::Default)
    }
}

/// Reads all layers. A section that is given in part keeps the rest of what `T::default()` has in it, whatever the
/// defaults of the section's own type are. `check` states the rules between values; it is asked even when single values are wrong, so
/// that its complaints come along with the rest.
pub fn load<T>(sources: &Sources, check: impl FnOnce(&T) -> Vec<Complaint>) -> Result<Loaded<T>, Problems>
where
    T: DeserializeOwned + Settings,
{
    let (mut tree, mut problems) = Tree::merge(sources, T::describe());
    let origins = tree.origins();
    let value = loop {
        match T::deserialize(Reader(tree.root().into())) {
            Ok(value) => break value,
            Err(refusal) => match tree.give_way(&refusal) {
                Step::Retry => {}
                Step::Problem(problem) => problems.push(problem),
                Step::Stuck(problem) => {
                    problems.push(problem);
                    break T::default();
                }
            },
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
