//! Attribute keys and values that occur, for completion.
//!
//! Keys are complete up to the bound: each new set of keys is looked at. Values are counted from every span while few
//! come, and from one in [`STRIDE`] (counted that many times) beyond [`FULL`] spans a second: a count is then a measure of
//! how common a value is and not a number of spans.

use crate::{AttributeScope, Bounds, Suggestions};
use foldhash::fast::RandomState;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::{self, Write as _},
    hash::{BuildHasher as _, Hasher as _},
};
use waypost_trace_model::{Attribute, Resource, Span, Text, Value};

/// Spans of one second whose values are all counted.
const FULL: u64 = 2_000;
const STRIDE: u64 = 16;
/// Sets of keys that are remembered.
const SHAPES: usize = 16_384;
/// Longer values are no help in a search box.
const VALUE_BYTES: usize = 256;
const KEY_BYTES: usize = 256;
pub(crate) const SCOPES: [AttributeScope; 4] =
    [AttributeScope::Span, AttributeScope::Resource, AttributeScope::Event, AttributeScope::Link];

/// What is known of all scopes.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    bounds: Bounds,
    scopes: [Scope; 4],
    shapes: HashSet<u64, RandomState>,
    hasher: RandomState,
    second: u64,
    seen: u64,
    text: String,
}

/// The keys of one scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) keys: HashMap<Text, Values, RandomState>,
    pub(crate) is_partial: bool,
}

/// A key's values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    pub(crate) count: u64,
    /// How often each was counted.
    pub(crate) counts: HashMap<Text, u64, RandomState>,
    pub(crate) is_partial: bool,
}

impl Names {
    pub(crate) fn new(bounds: &Bounds) -> Names {
        Names {
            bounds: bounds.clone(),
            scopes: std::array::from_fn(|_| Scope::default()),
            shapes: HashSet::default(),
            hasher: RandomState::default(),
            second: 0,
            seen: 0,
            text: String::new(),
        }
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = (AttributeScope, &Scope)> {
        SCOPES.into_iter().zip(&self.scopes)
    }

    /// Counts a resource, once for a run of spans that share it.
    pub(crate) fn resource(&mut self, resource: &Resource, now: u64) {
        let mut hasher = self.hasher.build_hasher();
        shape(&mut hasher, AttributeScope::Resource, &resource.attributes);
        if let Some(weight) = self.weight(hasher.finish(), now) {
            self.attributes(AttributeScope::Resource, &resource.attributes, weight);
        }
    }

    pub(crate) fn span(&mut self, span: &Span, now: u64) {
        let mut hasher = self.hasher.build_hasher();
        shape(&mut hasher, AttributeScope::Span, &span.attributes);
        span.events.iter().for_each(|event| shape(&mut hasher, AttributeScope::Event, &event.attributes));
        span.links.iter().for_each(|link| shape(&mut hasher, AttributeScope::Link, &link.attributes));
        let Some(weight) = self.weight(hasher.finish(), now) else { return };
        self.attributes(AttributeScope::Span, &span.attributes, weight);
        for event in &span.events {
            self.attributes(AttributeScope::Event, &event.attributes, weight);
        }
        for link in &span.links {
            self.attributes(AttributeScope::Link, &link.attributes, weight);
        }
    }

    /// How much the values of this set of keys count now; `None` for those that are passed over.
    fn weight(&mut self, shape: u64, now: u64) -> Option<u64> {
        let second = now / 1_000_000_000;
        if second != self.second {
            (self.second, self.seen) = (second, 0);
        }
        self.seen += 1;
        if self.shapes.len() >= SHAPES {
            self.shapes.clear();
        }
        let is_new = self.shapes.insert(shape);
        match self.seen {
            seen if seen <= FULL => Some(1),
            seen if seen.is_multiple_of(STRIDE) => Some(STRIDE),
            _ if is_new => Some(1),
            _ => None,
        }
    }

    fn attributes(&mut self, scope: AttributeScope, attributes: &[Attribute], weight: u64) {
        for attribute in attributes {
            let value = match &attribute.value {
                Value::Text(text) => Some(&**text).filter(|text| text.len() <= VALUE_BYTES),
                other => {
                    self.text.clear();
                    let is_whole = write!(Short(&mut self.text), "{other}").is_ok();
                    is_whole.then_some(self.text.as_str())
                }
            };
            self.scopes[scope as usize].count(&self.bounds, &attribute.key, value, weight);
        }
    }

    /// Puts back what was read from a checkpoint, as far as the bounds allow.
    pub(crate) fn restore(&mut self, scope: AttributeScope, key: &str, values: Values) {
        let Names { bounds, scopes, .. } = self;
        let scope = &mut scopes[scope as usize];
        if scope.keys.len() >= bounds.keys {
            scope.is_partial = true;
            return;
        }
        let known = scope.keys.entry(Text::from(key)).or_default();
        known.count = values.count;
        known.is_partial = values.is_partial || values.counts.len() > bounds.values;
        known.counts.extend(values.counts.into_iter().take(bounds.values));
    }

    /// Notes that a scope had more keys than are kept.
    pub(crate) fn restore_partial(&mut self, scope: AttributeScope) {
        self.scopes[scope as usize].is_partial = true;
    }

    pub(crate) fn keys(&self, scope: Option<AttributeScope>, part: &str, limit: usize) -> Suggestions {
        let mut found: BTreeMap<&Text, u64> = BTreeMap::new();
        let mut is_partial = false;
        for (_, known) in self.scopes().filter(|(at, _)| scope.is_none_or(|scope| scope == *at)) {
            is_partial |= known.is_partial;
            known.keys.iter().for_each(|(key, values)| *found.entry(key).or_default() += values.count);
        }
        suggest(found, part, limit, is_partial)
    }

    pub(crate) fn values(
        &self,
        scope: Option<AttributeScope>,
        key: &str,
        part: &str,
        limit: usize,
    ) -> Suggestions {
        let mut found: BTreeMap<&Text, u64> = BTreeMap::new();
        let mut is_partial = false;
        for (_, known) in self.scopes().filter(|(at, _)| scope.is_none_or(|scope| scope == *at)) {
            let Some(values) = known.keys.get(key) else { continue };
            is_partial |= values.is_partial;
            values.counts.iter().for_each(|(value, count)| *found.entry(value).or_default() += count);
        }
        suggest(found, part, limit, is_partial)
    }
}

impl Scope {
    /// Counts a key and its value, as far as the bounds allow; `None` stands for a value that is too long.
    pub(crate) fn count(&mut self, bounds: &Bounds, key: &str, value: Option<&str>, weight: u64) {
        let has_room = self.keys.len() < bounds.keys && key.len() <= KEY_BYTES;
        let values = match self.keys.get_mut(key) {
            Some(values) => values,
            None if has_room => self.keys.entry(Text::from(key)).or_default(),
            None => {
                self.is_partial = true;
                return;
            }
        };
        values.count = values.count.saturating_add(weight);
        let has_room = values.counts.len() < bounds.values;
        match value.map(|value| (value, values.counts.get_mut(value))) {
            Some((_, Some(count))) => *count = count.saturating_add(weight),
            Some((value, None)) if has_room => {
                values.counts.insert(Text::from(value), weight);
            }
            _ => values.is_partial = true,
        }
    }
}

/// Writes no more than a value may have, so that a large array is not written out in vain.
struct Short<'a>(&'a mut String);

impl fmt::Write for Short<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > VALUE_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

/// Tells sets of keys apart.
fn shape(hasher: &mut impl std::hash::Hasher, scope: AttributeScope, attributes: &[Attribute]) {
    hasher.write_u8(scope as u8);
    for attribute in attributes {
        hasher.write(attribute.key.as_bytes());
        hasher.write_usize(attribute.key.len());
    }
}

fn suggest(found: BTreeMap<&Text, u64>, part: &str, limit: usize, is_partial: bool) -> Suggestions {
    let part = part.to_lowercase();
    let matches = |name: &str| part.is_empty() || name.to_lowercase().contains(&part);
    let mut found: Vec<(&Text, u64)> = found.into_iter().filter(|(name, _)| matches(name)).collect();
    // Stable, so equal counts stay in the order of their names.
    found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let is_partial = is_partial || found.len() > limit;
    Suggestions { names: found.into_iter().take(limit).map(|(name, _)| name.clone()).collect(), is_partial }
}
