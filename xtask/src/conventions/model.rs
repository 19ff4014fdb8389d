//! A registry of attributes and signals in Weaver's YAML, read from a folder: the conventions' own model or ours.
//!
//! Both forms of the files are read: `groups`, and `file_format: definition/2`. References, `extends` and
//! `ref_group` are resolved, so that a signal lists all its attributes. Only what a checker needs is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value as Yaml;

/// A folder of definitions.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// `schema_url` of the manifest.
    pub(crate) schema_url: String,
    /// `schema_url` of each registry that the manifest builds on.
    pub(crate) dependencies: Vec<String>,
    /// By name.
    pub(crate) attributes: BTreeMap<String, Attribute>,
    /// By id.
    pub(crate) groups: BTreeMap<String, Group>,
}

/// One attribute of the registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    /// `string`, `int[]`, `template[string[]]`, `any`...; for an enumeration the type of its values.
    pub(crate) kind: String,
    pub(crate) values: Vec<Member>,
    pub(crate) stability: String,
    pub(crate) deprecated: Option<String>,
    pub(crate) brief: String,
    pub(crate) note: String,
}

/// A value of an enumeration.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) value: String,
    pub(crate) is_deprecated: bool,
    pub(crate) brief: String,
}

/// What a group describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    #[default]
    Attributes,
    Span,
    Metric,
    Event,
    Entity,
}

/// A signal, or a list of attributes that signals share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// Of the metric, event or entity; the id for others.
    pub(crate) name: String,
    pub(crate) span_kind: String,
    pub(crate) stability: String,
    pub(crate) deprecated: Option<String>,
    pub(crate) instrument: String,
    pub(crate) unit: String,
    /// `int`, `double`, or nothing.
    pub(crate) number: String,
    /// `display_name`.
    pub(crate) title: String,
    pub(crate) brief: String,
    pub(crate) note: String,
    /// Groups whose attributes come first, in order.
    pub(crate) from: Vec<String>,
    pub(crate) own: Vec<Reference>,
}

/// An attribute of a group, as far as the group itself says something about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) level: Option<&'static str>,
    pub(crate) is_identifying: bool,
    pub(crate) note: String,
}

impl Model {
    /// Reads every YAML file below `folder`.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        find_files(folder, &mut files)?;
        files.sort();
        let mut model = Self::default();
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            model.add(&text).with_context(|| file.display().to_string())?;
        }
        ensure!(!model.attributes.is_empty(), "{}: no attributes are defined there", folder.display());
        Ok(model)
    }

    /// Adds the definitions of one file.
    pub(crate) fn add(&mut self, yaml: &str) -> anyhow::Result<()> {
        let document: Yaml = serde_saphyr::from_str(yaml)?;
        if let Some(url) = document["schema_url"].as_str() {
            url.clone_into(&mut self.schema_url);
        }
        self.dependencies.extend(list(&document["dependencies"]).map(|other| text(&other["schema_url"])));
        for group in list(&document["groups"]) {
            self.add_group(group)?;
        }
        for attribute in list(&document["attributes"]) {
            self.add_attribute(attribute, "key")?;
        }
        for (key, kind, name, prefix) in [
            ("attribute_groups", Kind::Attributes, "id", ""),
            ("spans", Kind::Span, "type", "span."),
            ("span_refinements", Kind::Span, "id", ""),
            ("metrics", Kind::Metric, "name", "metric."),
            ("events", Kind::Event, "name", "event."),
            ("entities", Kind::Entity, "type", "entity."),
        ] {
            for signal in list(&document[key]) {
                self.add_signal(signal, kind, name, prefix)?;
            }
        }
        Ok(())
    }

    /// All attributes of a group in order, with what the nearest group says about each.
    pub(crate) fn attributes_of(&self, group: &Group) -> anyhow::Result<Vec<Reference>> {
        let mut all: Vec<Reference> = Vec::new();
        for id in &group.from {
            let above = self.groups.get(id).with_context(|| format!("{}: no group {id}", group.id))?;
            self.attributes_of(above)?.into_iter().for_each(|reference| merge(&mut all, reference));
        }
        for reference in &group.own {
            merge(&mut all, reference.clone());
        }
        Ok(all)
    }

    fn add_group(&mut self, yaml: &Yaml) -> anyhow::Result<()> {
        let kind = match text(&yaml["type"]).as_str() {
            "attribute_group" | "attributes" | "" => Kind::Attributes,
            "span" => Kind::Span,
            "metric" | "metric_group" => Kind::Metric,
            "event" => Kind::Event,
            "entity" | "resource" => Kind::Entity,
            other => bail!("a group of type {other} is not known"),
        };
        let mut group = Self::group(yaml, kind, text(&yaml["id"]));
        group.name = match kind {
            Kind::Metric => text(&yaml["metric_name"]),
            Kind::Event | Kind::Entity => text(&yaml["name"]),
            Kind::Attributes | Kind::Span => group.id.clone(),
        };
        group.span_kind = text(&yaml["span_kind"]);
        group.from.extend(yaml["extends"].as_str().map(ToOwned::to_owned));
        self.add_references(&mut group, &yaml["attributes"])?;
        self.insert(group)
    }

    fn add_signal(&mut self, yaml: &Yaml, kind: Kind, name: &str, prefix: &str) -> anyhow::Result<()> {
        let name = text(&yaml[name]);
        let mut group = Self::group(yaml, kind, format!("{prefix}{name}"));
        group.name = name;
        group.span_kind = text(&yaml["kind"]);
        if let Some(refined) = yaml["ref"].as_str() {
            group.from.push(format!("span.{refined}"));
            // The kind is the last part of the name of every span that can be refined.
            refined.rsplit('.').next().unwrap_or_default().clone_into(&mut group.span_kind);
        }
        for part in ["attributes", "identity", "description"] {
            let first = group.own.len();
            self.add_references(&mut group, &yaml[part])?;
            group.own.iter_mut().skip(first).for_each(|own| own.is_identifying |= part == "identity");
        }
        self.insert(group)
    }

    fn group(yaml: &Yaml, kind: Kind, id: String) -> Group {
        Group {
            id,
            kind,
            stability: text(&yaml["stability"]),
            deprecated: deprecation(&yaml["deprecated"]),
            instrument: text(&yaml["instrument"]),
            unit: text(&yaml["unit"]),
            number: text(&yaml["annotations"]["code_generation"]["metric_value_type"]),
            title: text(&yaml["display_name"]),
            brief: text(&yaml["brief"]),
            note: text(&yaml["note"]),
            ..Group::default()
        }
    }

    fn insert(&mut self, group: Group) -> anyhow::Result<()> {
        let id = group.id.clone();
        ensure!(!id.is_empty(), "a group without a name");
        ensure!(self.groups.insert(id.clone(), group).is_none(), "{id} is defined twice");
        Ok(())
    }

    fn add_references(&mut self, group: &mut Group, yaml: &Yaml) -> anyhow::Result<()> {
        for entry in list(yaml) {
            if let Some(shared) = entry["ref_group"].as_str() {
                group.from.push(shared.to_owned());
                continue;
            }
            let name = match entry["ref"].as_str() {
                Some(name) => name.to_owned(),
                None => self.add_attribute(entry, "id")?,
            };
            group.own.push(Reference {
                name,
                level: level(&entry["requirement_level"])?,
                is_identifying: entry["role"].as_str() == Some("identifying"),
                note: text(&entry["note"]),
            });
        }
        Ok(())
    }

    fn add_attribute(&mut self, yaml: &Yaml, key: &str) -> anyhow::Result<String> {
        let name = text(&yaml[key]);
        ensure!(!name.is_empty(), "an attribute without a name");
        let members = &yaml["type"]["members"];
        let mut attribute = Attribute {
            name: name.clone(),
            kind: text(&yaml["type"]),
            stability: text(&yaml["stability"]),
            deprecated: deprecation(&yaml["deprecated"]),
            brief: text(&yaml["brief"]),
            note: text(&yaml["note"]),
            ..Attribute::default()
        };
        for member in list(members) {
            let kind = if member["value"].as_i64().is_some() { "int" } else { "string" };
            kind.clone_into(&mut attribute.kind);
            attribute.values.push(Member {
                value: text(&member["value"]),
                is_deprecated: !member["deprecated"].is_null(),
                brief: text(&member["brief"]),
            });
        }
        ensure!(!attribute.kind.is_empty(), "{name} has no type");
        let twice = self.attributes.insert(name.clone(), attribute).is_some();
        ensure!(!twice, "{name} is defined twice");
        Ok(name)
    }
}

fn merge(all: &mut Vec<Reference>, reference: Reference) {
    let Some(known) = all.iter_mut().find(|known| known.name == reference.name) else {
        all.push(reference);
        return;
    };
    known.level = reference.level.or(known.level);
    known.is_identifying |= reference.is_identifying;
    if !reference.note.is_empty() {
        known.note = reference.note;
    }
}

/// How much an attribute is asked for, in the words of the table; nothing if it is not said here.
fn level(yaml: &Yaml) -> anyhow::Result<Option<&'static str>> {
    if yaml.is_null() {
        return Ok(None);
    }
    let plain = yaml.as_str();
    let has = |key: &str| !yaml[key].is_null();
    let level = match plain {
        Some("required") => "required",
        Some("recommended") => "recommended",
        Some("opt_in") => "opt-in",
        _ if has("conditionally_required") => "conditional",
        _ if has("recommended") => "recommended-if",
        _ if has("opt_in") => "opt-in",
        _ => bail!("the requirement level {yaml:?} is not known"),
    };
    Ok(Some(level))
}

fn deprecation(yaml: &Yaml) -> Option<String> {
    if yaml.is_null() {
        return None;
    }
    let renamed = yaml["renamed_to"].as_str().map(|name| format!("renamed:{name}"));
    Some(renamed.unwrap_or_else(|| yaml["reason"].as_str().unwrap_or("obsoleted").to_owned()))
}

fn list(yaml: &Yaml) -> impl Iterator<Item = &Yaml> {
    yaml.as_array().into_iter().flatten()
}

/// A scalar as it was written; nothing for what is not there.
fn text(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) => text.trim().to_owned(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}
