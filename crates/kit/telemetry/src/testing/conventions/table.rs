//! What the conventions say, as a table: read from the compact text that `cargo xtask conventions` writes.
//!
//! One line for each attribute and signal, fields apart by tabs, `-` for an empty one:
//!
//! ```text
//! attribute  name  type  stability  deprecation  values, with | between and ! before a deprecated one
//! span       id  kind  stability  marker attribute  its value  messaging operation  attributes
//! metric     name  instrument  unit  int or double  stability  deprecation  bounds, or none  attributes
//! event      name  stability  deprecation  attributes
//! entity     name  stability  attributes
//! ```
//!
//! The attributes of a signal are `name=level`, with a `*` behind the name of one that identifies an entity.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

/// The conventions and the kit's own names.
static CURRENT: LazyLock<Arc<Table>> = LazyLock::new(|| {
    let mut table = Table::default();
    let read = table.read(include_str!("semantic.tsv"), Source::Conventions);
    match read.and_then(|()| table.read(include_str!("kit.tsv"), Source::Own)) {
        Ok(()) => Arc::new(table),
        Err(problem) => panic!("the table of the conventions cannot be read: {problem}"),
    }
});

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Conventions,
    Own,
}

/// How much an attribute is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Required {
    Always,
    /// If something holds that the text of the conventions says.
    If,
    Recommended,
    RecommendedIf,
    OptIn,
}

impl FromStr for Required {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "required" => Ok(Self::Always),
            "conditional" | "conditionally_required" => Ok(Self::If),
            "recommended" => Ok(Self::Recommended),
            "recommended-if" => Ok(Self::RecommendedIf),
            "opt-in" | "opt_in" => Ok(Self::OptIn),
            other => Err(format!("the requirement level {other:?} is not known")),
        }
    }
}

/// An attribute of a signal.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) level: Required,
    pub(super) is_identifying: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Attribute {
    /// `string`, `int[]`, `any`...; for a template the type of what stands below it.
    pub(super) kind: String,
    pub(super) stability: String,
    pub(super) deprecated: Option<String>,
    /// Values of an enumeration, with whether each is deprecated.
    pub(super) values: Vec<(String, bool)>,
}

#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) id: String,
    pub(super) kind: String,
    /// The attribute by which a span is one of these.
    pub(super) marker: String,
    /// The one value of the marker; none if any will do.
    pub(super) value: Option<String>,
    /// `messaging.operation.type`, for messaging.
    pub(super) operation: Option<String>,
    pub(super) attributes: Vec<Wanted>,
}

#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) instrument: String,
    pub(super) unit: String,
    /// `int` or `double`, if it is said.
    pub(super) number: Option<String>,
    pub(super) stability: String,
    pub(super) deprecated: Option<String>,
    /// Empty for a single bucket; none if nothing is said.
    pub(super) bounds: Option<Vec<f64>>,
    pub(super) attributes: Vec<Wanted>,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) deprecated: Option<String>,
    pub(super) attributes: Vec<Wanted>,
}

#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) name: String,
    pub(super) attributes: Vec<Wanted>,
}

/// All definitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) schema_url: String,
    pub(super) spans: Vec<Span>,
    pub(super) entities: Vec<Entity>,
    attributes: BTreeMap<String, Attribute>,
    templates: BTreeMap<String, Attribute>,
    metrics: BTreeMap<String, Metric>,
    events: BTreeMap<String, Event>,
    /// First parts of the names that the conventions themselves define.
    attribute_namespaces: BTreeSet<String>,
    metric_namespaces: BTreeSet<String>,
}

impl Table {
    pub(super) fn current() -> Arc<Self> {
        Arc::clone(&CURRENT)
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name).or_else(|| {
            let mut below = self.templates.iter();
            below.find(|(prefix, _)| is_below(name, prefix)).map(|(_, template)| template)
        })
    }

    pub(super) fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.get(name)
    }

    pub(super) fn event(&self, name: &str) -> Option<&Event> {
        self.events.get(name)
    }

    /// Whether the conventions have attributes whose names begin like this one.
    pub(super) fn owns_attribute(&self, name: &str) -> bool {
        self.attribute_namespaces.contains(root(name))
    }

    /// Whether the conventions have metrics whose names begin like this one.
    pub(super) fn owns_metric(&self, name: &str) -> bool {
        self.metric_namespaces.contains(root(name))
    }

    pub(super) fn add_attribute(&mut self, name: &str, attribute: Attribute, source: Source) {
        if source == Source::Conventions {
            self.attribute_namespaces.insert(root(name).to_owned());
        }
        let below = attribute.kind.strip_prefix("template[").and_then(|kind| kind.strip_suffix(']'));
        match below.map(ToOwned::to_owned) {
            Some(kind) => self.templates.insert(name.to_owned(), Attribute { kind, ..attribute }),
            None => self.attributes.insert(name.to_owned(), attribute),
        };
    }

    pub(super) fn add_metric(&mut self, name: &str, metric: Metric, source: Source) {
        if source == Source::Conventions {
            self.metric_namespaces.insert(root(name).to_owned());
        }
        self.metrics.insert(name.to_owned(), metric);
    }

    pub(super) fn add_event(&mut self, name: &str, event: Event) {
        self.events.insert(name.to_owned(), event);
    }

    /// Adds the definitions of a table's text.
    pub(super) fn read(&mut self, text: &str, source: Source) -> Result<(), String> {
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            self.read_line(&fields, source).map_err(|problem| format!("{problem}: {line}"))?;
        }
        Ok(())
    }

    fn read_line(&mut self, fields: &[&str], source: Source) -> Result<(), String> {
        match *fields {
            ["schema", url] if source == Source::Conventions => url.clone_into(&mut self.schema_url),
            ["schema", _] => {}
            ["attribute", name, kind, stability, deprecated, values] => {
                let values = filled(values).into_iter().flat_map(|values| values.split('|'));
                let attribute = Attribute {
                    kind: kind.to_owned(),
                    stability: stability.to_owned(),
                    deprecated: owned(deprecated),
                    values: values
                        .map(|value| (value.trim_start_matches('!').to_owned(), value.starts_with('!')))
                        .collect(),
                };
                self.add_attribute(name, attribute, source);
            }
            ["span", id, kind, _stability, marker, value, operation, attributes] => self.spans.push(Span {
                id: id.to_owned(),
                kind: kind.to_owned(),
                marker: marker.to_owned(),
                value: owned(value),
                operation: owned(operation),
                attributes: wanted(attributes)?,
            }),
            ["metric", name, instrument, unit, number, stability, deprecated, bounds, attributes] => {
                let metric = Metric {
                    instrument: instrument.to_owned(),
                    unit: unit.to_owned(),
                    number: owned(number),
                    stability: stability.to_owned(),
                    deprecated: owned(deprecated),
                    bounds: filled(bounds).map(numbers).transpose()?,
                    attributes: wanted(attributes)?,
                };
                self.add_metric(name, metric, source);
            }
            ["event", name, _stability, deprecated, attributes] => {
                self.add_event(
                    name,
                    Event { deprecated: owned(deprecated), attributes: wanted(attributes)? },
                );
            }
            ["entity", name, _stability, attributes] => {
                self.entities.push(Entity { name: name.to_owned(), attributes: wanted(attributes)? });
            }
            _ => return Err("a line that is not understood".to_owned()),
        }
        Ok(())
    }
}

/// The first part of a dotted name.
fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn is_below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).is_some_and(|key| !key.is_empty())
}

fn filled(field: &str) -> Option<&str> {
    Some(field).filter(|field| *field != "-")
}

fn owned(field: &str) -> Option<String> {
    filled(field).map(ToOwned::to_owned)
}

fn numbers(field: &str) -> Result<Vec<f64>, String> {
    if field == "none" {
        return Ok(Vec::new());
    }
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a number"));
    field.split(',').map(number).collect()
}

fn wanted(field: &str) -> Result<Vec<Wanted>, String> {
    let one = |entry: &str| {
        let (name, level) = entry.split_once('=').ok_or("an attribute without a level")?;
        Ok(Wanted {
            name: name.trim_end_matches('*').to_owned(),
            level: level.parse()?,
            is_identifying: name.ends_with('*'),
        })
    };
    filled(field).into_iter().flat_map(|list| list.split(' ')).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_schema_url() {
        let table = Table::current();
        assert_eq!(table.schema_url, crate::attributes::SCHEMA_URL);
        assert!(table.attributes.len() > 800 && table.spans.len() > 50, "{}", table.attributes.len());
        assert!(table.metrics.len() > 50 && table.entities.len() > 10, "{}", table.metrics.len());
    }

    #[test]
    fn a_template_stands_for_what_is_below_it() {
        let table = Table::current();
        assert_eq!(table.attribute("http.request.header.accept").map(|a| a.kind.as_str()), Some("string[]"));
        assert!(table.attribute("http.request.header").is_none());
        assert!(table.attribute("http.request.headers").is_none());
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused() {
        let mut table = Table::default();
        for line in
            ["attribute\ta.b\tstring", "metric\tm\tcounter\t1\tint\tstable\t-\tx\t-", "event\te\t-\t-\ta=b"]
        {
            assert!(table.read(line, Source::Own).is_err(), "{line}");
        }
    }
}
