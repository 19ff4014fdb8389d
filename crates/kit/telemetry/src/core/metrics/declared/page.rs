//! A declaration as documentation and as a registry.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Declaration, Declared, DeclaredAttribute};

// Writing to a String cannot fail.
impl Declaration {
    /// The metrics and their attributes as two tables in Markdown, by name. A test compares it with the page in the
    /// repository, so that the page stays true.
    pub fn markdown(&self) -> String {
        let mut page = String::from("| metric | instrument | unit | meaning |\n|---|---|---|---|\n");
        for declared in self.sorted() {
            let Declared { name, instrument, unit, description, .. } = declared;
            let _ = write!(page, "| `{name}` | {instrument} | `{unit}` | {}", cell(description));
            if !declared.attributes.is_empty() {
                let keys: Vec<String> =
                    declared.attributes.iter().map(|attribute| format!("`{}`", attribute.key)).collect();
                let _ = write!(page, "<br>By {}.", keys.join(", "));
            }
            if !declared.bounds.is_empty() {
                let bounds: Vec<String> = declared.bounds.iter().map(ToString::to_string).collect();
                let _ = write!(page, "<br>Buckets up to {}.", bounds.join(", "));
            }
            page.push_str(" |\n");
        }
        let attributes = self.attributes();
        if !attributes.is_empty() {
            page.push_str("\n| attribute | meaning | values |\n|---|---|---|\n");
        }
        for DeclaredAttribute { key, description, values } in attributes.values() {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            let _ = writeln!(page, "| `{key}` | {} | {} |", cell(description), values.join(", "));
        }
        page
    }

    /// The same as a registry in Weaver's form, for `testing::conventions::Conventions::with_registry` and for
    /// `weaver registry live-check`.
    pub fn registry(&self) -> String {
        let mut yaml = String::from("groups:\n");
        let attributes = self.attributes();
        if !attributes.is_empty() {
            yaml.push_str("  - id: registry.declared\n    type: attribute_group\n    brief: Attributes of declared metrics.\n    attributes:\n");
        }
        for DeclaredAttribute { key, description, values } in attributes.values() {
            let _ = writeln!(
                yaml,
                "      - id: {key}\n        stability: stable\n        brief: {}",
                quoted(description)
            );
            yaml.push_str("        type:\n          members:\n");
            for value in values {
                let _ = writeln!(
                    yaml,
                    "            - id: {}\n              value: {}\n              brief: {}\n              stability: stable",
                    quoted(value),
                    quoted(value),
                    quoted(value)
                );
            }
        }
        for Declared { name, instrument, unit, description, attributes, .. } in self.sorted() {
            let _ = writeln!(
                yaml,
                "  - id: metric.{name}\n    type: metric\n    metric_name: {name}\n    stability: stable\n    brief: {}\n    instrument: {instrument}\n    unit: {}",
                quoted(description),
                quoted(unit)
            );
            if !attributes.is_empty() {
                yaml.push_str("    attributes:\n");
            }
            for attribute in attributes {
                let _ = writeln!(yaml, "      - ref: {}\n        requirement_level: required", attribute.key);
            }
        }
        yaml
    }

    fn sorted(&self) -> Vec<&Declared> {
        let mut instruments: Vec<&Declared> = self.instruments.iter().collect();
        instruments.sort_by_key(|declared| declared.name);
        instruments
    }

    /// Each attribute once; the first declaration of a key counts.
    fn attributes(&self) -> BTreeMap<&'static str, &DeclaredAttribute> {
        let mut attributes = BTreeMap::new();
        for attribute in self.instruments.iter().flat_map(|declared| &declared.attributes) {
            attributes.entry(attribute.key).or_insert(attribute);
        }
        attributes
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}
