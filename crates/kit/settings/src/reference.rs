//! A configuration's documentation, made from its descriptions: a commented TOML file and a Markdown table.

use super::{FieldDoc, Sources};
use std::fmt::Write as _;

/// A file that sets every setting to its default, each below its description. Loading it changes nothing.
/// A setting without a default is commented out.
pub fn commented_toml(fields: &[FieldDoc]) -> String {
    let mut text = String::new();
    write_section(&mut text, fields, "");
    for section in fields.iter().filter(|field| field.is_section) {
        text.push('\n');
        write_comment(&mut text, &section.doc);
        // Writing to a String cannot fail.
        writeln!(text, "[{}]", section.key).ok();
        write_section(&mut text, fields, &section.key);
    }
    text
}

/// One row per setting: key, type, default, environment variable, description.
pub fn markdown_table(fields: &[FieldDoc], prefix: &str) -> String {
    let mut text =
        String::from("| setting | type | default | environment | meaning |\n|---|---|---|---|---|\n");
    for field in fields.iter().filter(|field| !field.is_section) {
        let default = field.default.as_ref().map_or_else(|| "unset".to_owned(), |value| format!("`{value}`"));
        let doc = field.doc.replace('\n', " ");
        let cells = [
            format!("`{}`", field.key),
            field.type_name.clone(),
            default,
            format!("`{}`", Sources::variable(prefix, &field.key)),
            doc,
        ];
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).ok();
    }
    text
}

fn write_section(text: &mut String, fields: &[FieldDoc], section: &str) {
    let own = fields.iter().filter(|field| !field.is_section && parent(&field.key) == section);
    for field in own {
        let name = field.key.rsplit('.').next().unwrap_or(&field.key);
        write_comment(text, &field.doc);
        match &field.default {
            Some(value) => writeln!(text, "{name} = {value}").ok(),
            None => writeln!(text, "# {name} = <{}>", field.type_name).ok(),
        };
    }
}

fn write_comment(text: &mut String, doc: &str) {
    for line in doc.lines() {
        writeln!(text, "{}", format!("# {line}").trim_end()).ok();
    }
}

fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(parent, _)| parent)
}
