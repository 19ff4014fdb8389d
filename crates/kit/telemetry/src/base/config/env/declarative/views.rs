//! `views` of metrics: which instruments, and what becomes of them.

use super::reader::{Reader, Section};
use crate::base::config::env::kinds::named;
use crate::base::config::{InstrumentKind, ViewSettings};
use crate::base::yaml::{Content, Node};

/// All views of a meter provider, in their order.
pub(super) fn views(reader: &mut Reader<'_, '_>, provider: &mut Section) {
    let path = provider.path_of("views");
    let mut views = Vec::new();
    for (place, node) in reader.list(provider, "views").into_iter().enumerate() {
        let mut section = reader.section(node, format!("{path}[{place}]"));
        let mut view = ViewSettings::default();
        if let Some(selector) = reader.within(&mut section, "selector") {
            selected(reader, selector, &mut view);
        }
        if let Some(stream) = reader.within(&mut section, "stream") {
            streamed(reader, stream, &mut view);
        }
        reader.finish(&section);
        views.push(view);
    }
    reader.set("metrics.views", |settings| settings.metrics.views = views);
}

fn selected(reader: &mut Reader<'_, '_>, mut selector: Section, view: &mut ViewSettings) {
    if let Some(name) = reader.text(&mut selector, "instrument_name") {
        view.instrument = name;
    }
    if let Some(name) = reader.text(&mut selector, "meter_name") {
        view.scope = name;
    }
    view.unit = reader.text(&mut selector, "unit");
    let (line, path) = (selector.line, selector.path_of("instrument_type"));
    if let Some(kind) = reader.text(&mut selector, "instrument_type") {
        view.kind = named(&InstrumentKind::NAMES, &kind);
        if view.kind.is_none() {
            reader.refuse(line, path, "is not a kind of instrument");
        }
    }
    reader.finish(&selector);
}

fn streamed(reader: &mut Reader<'_, '_>, mut stream: Section, view: &mut ViewSettings) {
    view.name = reader.text(&mut stream, "name");
    view.description = reader.text(&mut stream, "description");
    view.cardinality_limit = reader.size(&mut stream, "aggregation_cardinality_limit", 1);
    if let Some(mut keys) = reader.within(&mut stream, "attribute_keys") {
        let (line, path) = (keys.line, keys.path_of("included"));
        if let Some(node) = keys.take("included") {
            let texts = texts(node);
            if texts.is_none() {
                reader.refuse(line, path.as_str(), "is not a list of texts");
            }
            // Patterns are not had; a key with a star in it would leave out what it means.
            if texts.iter().flatten().any(|key| key.contains(['*', '?'])) {
                reader.not_had.push(path);
            } else {
                view.attributes = texts;
            }
        }
        reader.finish(&keys);
    }
    let path = stream.path_of("aggregation");
    if let Some(node) = stream.take("aggregation")
        && let Some((kind, node)) = reader.choice(node, &path)
    {
        let mut aggregation = reader.section(node, format!("{path}.{kind}"));
        match kind.as_str() {
            "drop" => view.drop = true,
            "default" => {}
            "explicit_bucket_histogram" => {
                let (line, path) = (aggregation.line, aggregation.path_of("boundaries"));
                if let Some(node) = aggregation.take("boundaries") {
                    let numbers = texts(node).and_then(|texts| {
                        texts.iter().map(|text| text.parse::<f64>().ok()).collect::<Option<Vec<f64>>>()
                    });
                    match numbers {
                        Some(bounds) => view.buckets = Some(bounds),
                        None => reader.refuse(line, path, "is not a list of numbers"),
                    }
                }
            }
            _ => reader.not_had.push(aggregation.path.clone()),
        }
        reader.finish(&aggregation);
    }
    reader.finish(&stream);
}

/// A list of scalars.
fn texts(node: Node) -> Option<Vec<String>> {
    let Content::List(items) = node.content else { return None };
    let text = |node: Node| if let Content::Text { text, .. } = node.content { Some(text) } else { None };
    items.into_iter().map(text).collect()
}
