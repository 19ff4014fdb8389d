//! The compact table that the kit's checker reads: one line for each attribute and signal, fields apart by tabs.
//!
//! Facts only, no prose. The reader of the form is `testing/conventions/table.rs` of the kit; its head describes it.

use std::fmt::Write as _;

use super::bounds::Bounds;
use super::model::{Attribute, Group, Kind, Model, Reference};

/// The areas of the conventions whose spans, events and metrics are kept.
const AREAS: [&str; 7] = ["http", "rpc", "db", "messaging", "exception", "otel", "process"];

/// The entities of the conventions that are kept, by the first part of their names.
const ENTITIES: [&str; 7] = ["service", "process", "host", "os", "container", "telemetry", "deployment"];

/// Areas of spans with the attribute by which a span of the area is known.
const MARKERS: [(&str, &str); 4] = [
    ("http", "http.request.method"),
    ("rpc", "rpc.system.name"),
    ("db", "db.system.name"),
    ("messaging", "messaging.system"),
];

/// Whether a signal of the conventions can come from a program like ours.
pub(crate) fn is_kept(group: &Group) -> bool {
    let area = area(&group.name);
    match group.kind {
        Kind::Attributes => false,
        Kind::Entity => ENTITIES.contains(&area),
        Kind::Span => MARKERS.iter().any(|(known, _)| *known == area),
        Kind::Metric | Kind::Event => AREAS.contains(&area),
    }
}

/// Writes the attributes and the signals that are to be kept, in order of their names.
pub(crate) fn write(
    model: &Model,
    head: &str,
    bounds: &Bounds,
    keep: impl Fn(&Group) -> bool,
) -> anyhow::Result<String> {
    let mut table = String::new();
    for line in head.lines() {
        let _ = writeln!(table, "{}", format!("# {line}").trim_end());
    }
    let _ = writeln!(table, "schema\t{}", model.schema_url);
    for attribute in model.attributes.values() {
        let _ = writeln!(table, "{}", attribute_line(attribute));
    }
    let mut lines = Vec::new();
    for group in model.groups.values().filter(|group| group.kind != Kind::Attributes && keep(group)) {
        let mut attributes = model.attributes_of(group)?;
        // Nobody is asked for what was given up.
        let is_deprecated =
            |name: &str| model.attributes.get(name).is_some_and(|known| known.deprecated.is_some());
        attributes.retain(|reference| group.deprecated.is_some() || !is_deprecated(&reference.name));
        lines.push((group.kind, signal_line(group, &attributes, bounds)));
    }
    lines.sort();
    for (_, line) in lines {
        let _ = writeln!(table, "{line}");
    }
    Ok(table)
}

fn attribute_line(attribute: &Attribute) -> String {
    let values = attribute.values.iter().map(|member| {
        let mark = if member.is_deprecated { "!" } else { "" };
        format!("{mark}{}", member.value)
    });
    fields(&[
        "attribute",
        &attribute.name,
        &attribute.kind,
        &attribute.stability,
        attribute.deprecated.as_deref().unwrap_or_default(),
        &values.collect::<Vec<_>>().join("|"),
    ])
}

fn signal_line(group: &Group, attributes: &[Reference], bounds: &Bounds) -> String {
    let list = attribute_list(attributes);
    let deprecated = group.deprecated.as_deref().unwrap_or_default();
    match group.kind {
        Kind::Span => {
            let (marker, value) = marker(group, attributes);
            let id = group.id.trim_start_matches("span.");
            let operation = if marker == "messaging.system" { id.rsplit('.').nth(1) } else { None };
            let operation = operation.unwrap_or_default();
            fields(&["span", id, &group.span_kind, &group.stability, marker, &value, operation, &list])
        }
        Kind::Metric => {
            let bounds = bounds.get(&group.name).map(|bounds| match bounds.as_slice() {
                [] => "none".to_owned(),
                bounds => bounds.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            });
            fields(&[
                "metric",
                &group.name,
                &group.instrument,
                &group.unit,
                &group.number,
                &group.stability,
                deprecated,
                &bounds.unwrap_or_default(),
                &list,
            ])
        }
        Kind::Event => fields(&["event", &group.name, &group.stability, deprecated, &list]),
        Kind::Entity | Kind::Attributes => fields(&["entity", &group.name, &group.stability, &list]),
    }
}

/// The attribute that makes a span one of this group, and the value it must have, if only one makes it so.
fn marker(group: &Group, attributes: &[Reference]) -> (&'static str, String) {
    let area = area(&group.name);
    let Some((_, marker)) = MARKERS.iter().find(|(known, _)| *known == area) else {
        return ("", String::new());
    };
    let reference = attributes.iter().find(|reference| reference.name == *marker);
    let of_group = value_after(&group.note, &format!("`{marker}` MUST be set to `\""));
    let of_reference = reference.and_then(|reference| value_after(&reference.note, "MUST be set to `\""));
    (marker, of_group.or(of_reference).unwrap_or_default())
}

fn value_after(text: &str, before: &str) -> Option<String> {
    let (_, after) = text.split_once(before)?;
    after.split_once('"').map(|(value, _)| value.to_owned())
}

fn attribute_list(attributes: &[Reference]) -> String {
    let one = |reference: &Reference| {
        let mark = if reference.is_identifying { "*" } else { "" };
        format!("{}{mark}={}", reference.name, reference.level.unwrap_or("recommended"))
    };
    attributes.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn area(name: &str) -> &str {
    let name = name.trim_start_matches("span.");
    name.split('.').next().unwrap_or(name)
}

/// Fields apart by tabs; one that is empty is written as `-`.
fn fields(fields: &[&str]) -> String {
    fields.iter().map(|field| if field.is_empty() { "-" } else { field }).collect::<Vec<_>>().join("\t")
}
