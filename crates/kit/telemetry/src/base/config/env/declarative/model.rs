//! The parts of the model: resource, limits, propagators, providers.

use super::exporters::{Signal, processors, readers};
use super::reader::{Reader, Section};
use super::views::views;
use crate::base::config::env::kinds::{PROPAGATORS, list, named, pairs};
use crate::base::config::{Detector, ExemplarFilter, OtlpSettings, SamplerKind, Settings};
use crate::base::yaml::{Content, Node};

/// Where a limit is in the settings.
type Count = fn(&mut Settings) -> &mut u32;

/// The whole file.
pub(super) fn read(reader: &mut Reader<'_, '_>, root: Node) {
    let mut root = reader.section(root, String::new());
    let format = reader.text(&mut root, "file_format");
    match format.as_deref().map(|format| format.split_once('.')) {
        Some(Some(("1", _))) => {}
        Some(_) => reader.refuse(root.line, "file_format", "is not a version 1, such as \"1.0\""),
        None => reader.refuse(root.line, "file_format", "is missing"),
    }
    if let Some(disabled) = reader.truth(&mut root, "disabled") {
        reader.set("enabled", |settings| settings.enabled = !disabled);
    }
    named_unless(reader, &mut root, "log_level", "info");
    // The file is the whole truth: addresses of another layer do not reach into it.
    reader.set("otlp", |settings| {
        let additional = std::mem::take(&mut settings.otlp.additional);
        settings.otlp = OtlpSettings { additional, ..OtlpSettings::default() };
    });
    resource(reader, &mut root);
    general_limits(reader, &mut root);
    propagators(reader, &mut root);
    tracer_provider(reader, &mut root);
    meter_provider(reader, &mut root);
    logger_provider(reader, &mut root);
    // Sections that say nothing.
    for key in ["instrumentation/development", "distribution"] {
        if let Some(node) = root.take(key)
            && !is_empty(&node)
        {
            reader.not_had.push(key.to_owned());
        }
    }
    reader.finish(&root);
}

/// Also a map of nothing but nulls.
fn is_empty(node: &Node) -> bool {
    match &node.content {
        Content::Null => true,
        Content::Text { .. } => false,
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.iter().all(|(_, node)| is_empty(node)),
    }
}

/// A value that the kit cannot change: fine if it is what the kit does, else named.
pub(super) fn named_unless(reader: &mut Reader<'_, '_>, section: &mut Section, key: &str, own: &str) {
    let path = section.path_of(key);
    if reader.text(section, key).is_some_and(|value| value != own) {
        reader.not_had.push(path);
    }
}

fn resource(reader: &mut Reader<'_, '_>, root: &mut Section) {
    let Some(mut resource) = reader.within(root, "resource") else { return };
    let mut attributes = Vec::new();
    let mut lists: Vec<(String, Vec<String>)> = Vec::new();
    let line = resource.line;
    if let Some(text) = reader.text(&mut resource, "attributes_list") {
        match pairs(&text) {
            Some(pairs) => attributes.extend(pairs),
            None => reader.refuse(line, resource.path_of("attributes_list"), "is not a list of key=value"),
        }
    }
    for (place, node) in reader.list(&mut resource, "attributes").into_iter().enumerate() {
        let mut pair = reader.section(node, format!("resource.attributes[{place}]"));
        let kind = reader.text(&mut pair, "type");
        let name = reader.text(&mut pair, "name");
        let value = pair.take("value");
        match (name, value.map(|value| value.content)) {
            (Some(name), Some(Content::Text { text, .. })) => attributes.push((name, text)),
            (Some(name), Some(Content::List(items)))
                if kind.as_deref().is_none_or(|kind| kind == "string_array") =>
            {
                match items.into_iter().map(text_of).collect::<Option<Vec<_>>>() {
                    Some(texts) => lists.push((name, texts)),
                    None => reader.refuse(pair.line, pair.path.as_str(), "is not a list of texts"),
                }
            }
            (Some(_), Some(Content::Null)) => {}
            (Some(_), Some(_)) => reader.not_had.push(pair.path_of("value")),
            _ => reader.refuse(pair.line, pair.path.as_str(), "needs a name and a value"),
        }
        reader.finish(&pair);
    }
    for (key, value) in attributes {
        reader.set_resource_attribute(key, value);
    }
    for (key, texts) in lists {
        reader.set("resource_lists", |settings| drop(settings.resource_lists.insert(key, texts)));
    }
    if let Some(mut detection) = reader.within(&mut resource, "detection/development") {
        let mut chosen = Vec::new();
        for (place, node) in reader.list(&mut detection, "detectors").into_iter().enumerate() {
            let path = format!("{}.detectors[{place}]", detection.path);
            match reader.choice(node, &path).as_ref().map(|(name, _)| name.as_str()) {
                Some("container") => chosen.push(Detector::Container),
                Some("host") => chosen.extend([Detector::Host, Detector::Os]),
                Some("process") => chosen.push(Detector::Process),
                // service.name and service.instance.id are always there.
                Some("service") | None => {}
                Some(other) => reader.not_had.push(format!("{path}.{other}")),
            }
        }
        reader.set("detectors", |settings| settings.detectors = chosen);
        reader.finish(&detection);
    }
    reader.finish(&resource);
}

fn text_of(node: Node) -> Option<String> {
    if let Content::Text { text, .. } = node.content { Some(text) } else { None }
}

fn general_limits(reader: &mut Reader<'_, '_>, root: &mut Section) {
    let Some(mut limits) = reader.within(root, "attribute_limits") else { return };
    if let Some(length) = reader.size(&mut limits, "attribute_value_length_limit", 0) {
        reader
            .set("limits.attribute_value_length", |settings| settings.limits.attribute_value_length = length);
    }
    if let Some(count) = reader.number(&mut limits, "attribute_count_limit", 0) {
        reader.set("limits.span_attributes", |settings| settings.limits.span_attributes = count);
        reader.set("limits.event_attributes", |settings| settings.limits.event_attributes = count);
        reader.set("limits.link_attributes", |settings| settings.limits.link_attributes = count);
        reader.set("limits.log_attributes", |settings| settings.limits.log_attributes = count);
    }
    named_unless(reader, &mut limits, "attribute_value_depth_limit", "64");
    reader.finish(&limits);
}

fn propagators(reader: &mut Reader<'_, '_>, root: &mut Section) {
    let mut chosen = Vec::new();
    if let Some(mut section) = reader.within(root, "propagator") {
        let path = section.path_of("composite");
        let mut names = Vec::new();
        for node in reader.list(&mut section, "composite") {
            names.extend(reader.choice(node, &path).map(|(name, _)| name));
        }
        let more = reader.text(&mut section, "composite_list").unwrap_or_default();
        names.extend(list(&more).map(str::to_owned));
        for name in names {
            match named(&PROPAGATORS, &name) {
                Some(known) if chosen.contains(&known) => {}
                Some(known) => chosen.push(known),
                None if name == "none" => {}
                None => reader.not_had.push(format!("{path}.{name}")),
            }
        }
        reader.finish(&section);
    }
    reader.set("propagators", |settings| settings.propagators = chosen);
}

fn tracer_provider(reader: &mut Reader<'_, '_>, root: &mut Section) {
    let provider = reader.within(root, "tracer_provider");
    let Some(mut provider) = provider else {
        return reader.set("traces.exporters", |settings| settings.traces.exporters.clear());
    };
    processors(reader, &mut provider, Signal::Traces);
    if let Some(node) = provider.take("sampler") {
        sampler(reader, node);
    }
    if let Some(mut limits) = reader.within(&mut provider, "limits") {
        if let Some(length) = reader.size(&mut limits, "attribute_value_length_limit", 0) {
            reader.set("limits.span_attribute_value_length", |settings| {
                settings.limits.span_attribute_value_length = Some(length);
            });
        }
        let counts: [(&str, &'static str, Count); 5] = [
            ("attribute_count_limit", "limits.span_attributes", |s| &mut s.limits.span_attributes),
            ("event_count_limit", "limits.span_events", |s| &mut s.limits.span_events),
            ("link_count_limit", "limits.span_links", |s| &mut s.limits.span_links),
            ("event_attribute_count_limit", "limits.event_attributes", |s| &mut s.limits.event_attributes),
            ("link_attribute_count_limit", "limits.link_attributes", |s| &mut s.limits.link_attributes),
        ];
        for (key, setting, target) in counts {
            if let Some(count) = reader.number(&mut limits, key, 0) {
                reader.set(setting, |settings| *target(settings) = count);
            }
        }
        named_unless(reader, &mut limits, "attribute_value_depth_limit", "64");
        reader.finish(&limits);
    }
    reader.finish(&provider);
}

fn sampler(reader: &mut Reader<'_, '_>, node: Node) {
    let path = "tracer_provider.sampler";
    let Some((name, node)) = reader.choice(node, path) else { return };
    if name != "parent_based" {
        return match root_sampler(reader, &name, node, path) {
            Some((kind, _)) => reader.set("traces.sampler", |settings| settings.traces.sampler = kind),
            None => reader.not_had.push(format!("{path}.{name}")),
        };
    }
    let mut parents = reader.section(node, format!("{path}.parent_based"));
    let root_path = parents.path_of("root");
    let root = match parents.take("root") {
        Some(node) => reader.choice(node, &root_path),
        None => None,
    };
    let kind = match root {
        None => Some(SamplerKind::ParentBasedAlwaysOn),
        Some((name, node)) => {
            let kind = root_sampler(reader, &name, node, &root_path).map(|(_, below_parents)| below_parents);
            if kind.is_none() {
                reader.not_had.push(format!("{root_path}.{name}"));
            }
            kind
        }
    };
    if let Some(kind) = kind {
        reader.set("traces.sampler", |settings| settings.traces.sampler = kind);
    }
    // Here a parent always decides; a file that says the same is honoured.
    for (key, own) in [
        ("remote_parent_sampled", "always_on"),
        ("remote_parent_not_sampled", "always_off"),
        ("local_parent_sampled", "always_on"),
        ("local_parent_not_sampled", "always_off"),
    ] {
        let path = parents.path_of(key);
        if let Some(node) = parents.take(key)
            && reader.choice(node, &path).is_some_and(|(name, _)| name != own)
        {
            reader.not_had.push(path);
        }
    }
    reader.finish(&parents);
}

/// The sampler by itself, and at the root of a parent-based one.
fn root_sampler(
    reader: &mut Reader<'_, '_>,
    name: &str,
    node: Node,
    path: &str,
) -> Option<(SamplerKind, SamplerKind)> {
    match name {
        "always_on" => Some((SamplerKind::AlwaysOn, SamplerKind::ParentBasedAlwaysOn)),
        "always_off" => Some((SamplerKind::AlwaysOff, SamplerKind::ParentBasedAlwaysOff)),
        "trace_id_ratio_based" => {
            let mut section = reader.section(node, format!("{path}.{name}"));
            let ratio = reader.ratio(&mut section, "ratio").unwrap_or(1.0);
            reader.set("traces.ratio", |settings| settings.traces.ratio = ratio);
            reader.finish(&section);
            Some((SamplerKind::Ratio, SamplerKind::ParentBasedRatio))
        }
        _ => None,
    }
}

fn meter_provider(reader: &mut Reader<'_, '_>, root: &mut Section) {
    let provider = reader.within(root, "meter_provider");
    let Some(mut provider) = provider else {
        return reader.set("metrics.exporters", |settings| settings.metrics.exporters.clear());
    };
    readers(reader, &mut provider);
    let line = provider.line;
    let path = provider.path_of("exemplar_filter");
    if let Some(filter) = reader.text(&mut provider, "exemplar_filter") {
        match named(&ExemplarFilter::NAMES, &filter) {
            Some(filter) => reader.set("metrics.exemplars", |settings| settings.metrics.exemplars = filter),
            None => reader.refuse(line, path, "is not one of always_on, always_off, trace_based"),
        }
    }
    views(reader, &mut provider);
    reader.finish(&provider);
}

fn logger_provider(reader: &mut Reader<'_, '_>, root: &mut Section) {
    let provider = reader.within(root, "logger_provider");
    let Some(mut provider) = provider else {
        return reader.set("logs.exporters", |settings| settings.logs.exporters.clear());
    };
    processors(reader, &mut provider, Signal::Logs);
    if let Some(mut limits) = reader.within(&mut provider, "limits") {
        if let Some(length) = reader.size(&mut limits, "attribute_value_length_limit", 0) {
            reader.set("limits.log_attribute_value_length", |settings| {
                settings.limits.log_attribute_value_length = Some(length);
            });
        }
        if let Some(count) = reader.number(&mut limits, "attribute_count_limit", 0) {
            reader.set("limits.log_attributes", |settings| settings.limits.log_attributes = count);
        }
        named_unless(reader, &mut limits, "attribute_value_depth_limit", "64");
        reader.finish(&limits);
    }
    reader.finish(&provider);
}
