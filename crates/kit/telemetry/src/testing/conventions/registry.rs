//! Own registries in Weaver's form: YAML files with `groups` of attributes, metrics, events and entities.
//!
//! Read are the names, types, values, units, instruments and requirement levels. Spans of a registry have no attribute
//! by which one could be known and are left out; so are `imports` and dependencies, as the conventions are known anyway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::Deserialize;

use super::table::{Attribute, Entity, Event, Metric, Required, Source, Table, Wanted};
use crate::base::yaml;

/// A registry that cannot be used.
///
/// ```
/// use waypost_telemetry::testing::conventions::{Conventions, RegistryError};
///
/// let refused = Conventions::current().with_registry("groups: []");
/// assert!(matches!(refused, Err(RegistryError::Empty)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file or folder could not be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A text is not YAML of the form of a registry.
    #[error("not a registry: {0}")]
    Malformed(String),
    /// Nothing is declared.
    #[error("the registry declares nothing")]
    Empty,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    id: String,
    #[serde(default, rename = "type")]
    kind: String,
    extends: Option<String>,
    metric_name: Option<String>,
    name: Option<String>,
    instrument: Option<String>,
    unit: Option<String>,
    stability: Option<String>,
    deprecated: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    attributes: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    stability: Option<String>,
    deprecated: Option<Deprecated>,
    requirement_level: Option<Level>,
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Kind {
    Plain(String),
    Enumeration { members: Vec<Member> },
}

#[derive(Debug, Deserialize)]
struct Member {
    value: Scalar,
    deprecated: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Whole(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Deprecated {
    Structured { renamed_to: Option<String> },
    Prose(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Level {
    Plain(String),
    WithText(BTreeMap<String, String>),
}

/// Adds the definitions of several texts, which may refer to each other.
pub(super) fn add(table: &mut Table, texts: &[String]) -> Result<(), RegistryError> {
    let mut groups = Vec::new();
    for text in texts {
        let malformed = |reason: &dyn fmt::Display| RegistryError::Malformed(reason.to_string());
        let tree = yaml::parse(text, &|text| Ok(text.to_owned()))
            .map_err(|problem| malformed(&format_args!("line {}: {}", problem.line, problem.reason)))?;
        let file: Option<File> =
            serde_json::from_value(tree.into_json()).map_err(|problem| malformed(&problem))?;
        groups.extend(file.unwrap_or_default().groups);
    }
    if groups.iter().all(|group| group.attributes.is_empty() && group.metric_name.is_none()) {
        return Err(RegistryError::Empty);
    }
    for entry in groups.iter().flat_map(|group| &group.attributes) {
        if let (Some(name), Some(kind)) = (&entry.id, &entry.kind) {
            table.add_attribute(name, entry.attribute(kind), Source::Own);
        }
    }
    for group in &groups {
        let attributes = wanted(&groups, group)?;
        let deprecated = group.deprecated.as_ref().map(|_| "obsoleted".to_owned());
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        match group.kind.as_str() {
            "metric" => {
                let metric = Metric {
                    instrument: text(&group.instrument),
                    unit: text(&group.unit),
                    number: None,
                    stability: text(&group.stability),
                    deprecated,
                    bounds: None,
                    attributes,
                };
                table.add_metric(&text(&group.metric_name), metric, Source::Own);
            }
            "event" => table.add_event(&text(&group.name), Event { deprecated, attributes }),
            "entity" => table.entities.push(Entity { name: text(&group.name), attributes }),
            _ => {}
        }
    }
    Ok(())
}

/// The texts of the YAML files of a folder and of those below it.
pub(super) fn read_folder(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| RegistryError::Unreadable { path, source }
    };
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.is_dir() {
            texts.extend(read_folder(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            texts.push(fs::read_to_string(&path).map_err(unreadable(&path))?);
        }
    }
    Ok(texts)
}

impl Entry {
    fn attribute(&self, kind: &Kind) -> Attribute {
        let (kind, values) = match kind {
            Kind::Plain(kind) => (kind.clone(), Vec::new()),
            Kind::Enumeration { members } => {
                let whole = members.iter().any(|member| matches!(member.value, Scalar::Whole(_)));
                let value = |member: &Member| {
                    let text = match &member.value {
                        Scalar::Whole(number) => number.to_string(),
                        Scalar::Text(text) => text.clone(),
                    };
                    (text, member.deprecated.is_some())
                };
                let kind = if whole { "int" } else { "string" };
                (kind.to_owned(), members.iter().map(value).collect())
            }
        };
        let deprecated = self.deprecated.as_ref().map(|deprecated| match deprecated {
            Deprecated::Structured { renamed_to: Some(name) } => format!("renamed:{name}"),
            Deprecated::Structured { renamed_to: None } => "obsoleted".to_owned(),
            Deprecated::Prose(text) => text.clone(),
        });
        let stability = self.stability.clone().unwrap_or_else(|| "development".to_owned());
        Attribute { kind, stability, deprecated, values }
    }
}

/// The attributes of a group, those of the group that it extends first.
fn wanted(groups: &[Group], group: &Group) -> Result<Vec<Wanted>, RegistryError> {
    let mut all = Vec::new();
    if let Some(extends) = group.extends.as_ref() {
        let above = groups.iter().find(|above| above.id == *extends && above.id != group.id);
        let above = above.ok_or_else(|| {
            RegistryError::Malformed(format!("{}: there is no group {extends} here", group.id))
        })?;
        all = wanted(groups, above)?;
    }
    for entry in &group.attributes {
        let Some(name) = entry.reference.as_ref().or(entry.id.as_ref()) else { continue };
        let level = match &entry.requirement_level {
            None => Required::Recommended,
            Some(Level::Plain(level)) => level.parse().map_err(RegistryError::Malformed)?,
            Some(Level::WithText(levels)) => match levels.keys().next().map(String::as_str) {
                Some("recommended") => Required::RecommendedIf,
                other => other.unwrap_or_default().parse().map_err(RegistryError::Malformed)?,
            },
        };
        all.retain(|known: &Wanted| known.name != *name);
        let is_identifying = entry.role.as_deref() == Some("identifying");
        all.push(Wanted { name: name.clone(), level, is_identifying });
    }
    Ok(all)
}
