//! The reference page of our own names, made from the registry.

use std::fmt::Write as _;

use super::model::{Attribute, Group, Kind, Model};

const HEAD: &str = "\
# Telemetry names

Attributes and metrics that the telemetry kit and the shop emit beside those of the OpenTelemetry semantic conventions.
Made by `cargo xtask conventions` from the YAML files beside it, which are a registry of
[Weaver](https://github.com/open-telemetry/weaver): `weaver registry live-check -r docs/telemetry` checks what a process
sends against the conventions and these names; `waypost_telemetry::testing::conventions` does so in a test. Do not edit
this page.
";

/// Writes the page.
pub(crate) fn write(model: &Model) -> anyhow::Result<String> {
    let mut page = HEAD.to_owned();
    let _ = write!(page, "\nIt builds on `{}`.\n", model.dependencies.join("`, `"));
    page.push_str("\n## Attributes\n");
    let listed = |group: &&Group| group.kind == Kind::Attributes && group.id.starts_with("registry.");
    for group in model.groups.values().filter(listed) {
        let title = if group.title.is_empty() { &group.id } else { &group.title };
        let _ = write!(page, "\n### {title}\n\n{}\n\n", group.brief);
        page.push_str("| attribute | type | meaning |\n|---|---|---|\n");
        for reference in &group.own {
            if let Some(attribute) = model.attributes.get(&reference.name) {
                attribute_row(&mut page, attribute);
            }
        }
    }
    page.push_str(
        "\n## Metrics\n\n| metric | instrument | unit | attributes | meaning |\n|---|---|---|---|---|\n",
    );
    for group in model.groups.values().filter(|group| group.kind == Kind::Metric) {
        let attributes = model.attributes_of(group)?;
        let attributes: Vec<_> = attributes.iter().map(|reference| format!("`{}`", reference.name)).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | `{}` | {} | {} |",
            group.name,
            group.instrument,
            group.unit,
            attributes.join(", "),
            group.brief
        );
    }
    Ok(page)
}

fn attribute_row(page: &mut String, attribute: &Attribute) {
    let mut meaning = attribute.brief.clone();
    if !attribute.note.is_empty() {
        let _ = write!(meaning, " {}", attribute.note);
    }
    let values: Vec<_> =
        attribute.values.iter().map(|value| format!("`{}` {}", value.value, value.brief)).collect();
    if !values.is_empty() {
        let _ = write!(meaning, "<br>{}", values.join("<br>"));
    }
    let kind = if values.is_empty() { attribute.kind.as_str() } else { "enumeration" };
    let _ = writeln!(page, "| `{}` | {kind} | {} |", attribute.name, meaning.replace('\n', " "));
}
