//! The forms of span names: `{method} {route}` for HTTP, `{rpc.method}` for RPC, the query's summary for databases,
//! `{operation} {destination}` for messaging.

use super::attribute::Attributes;
use super::report::{Findings, Level, Rule, Signal};
use super::table::Span;
use crate::base::finished::FinishedSpan;

/// Checks the name of a span of a group.
pub(super) fn check(group: &Span, span: &FinishedSpan, attributes: Attributes<'_>, findings: &mut Findings) {
    let at = (Signal::Span, group.id.as_str());
    let mut improve = |advice: String| {
        findings.add(Level::Improvement, Rule::SpanName, at, span.name(), advice);
    };
    if group.marker == "http.request.method" {
        if let Some((level, advice)) = http(group, span.name(), attributes) {
            findings.add(level, Rule::SpanName, at, span.name(), advice);
        }
        return;
    }
    let allowed = match group.marker.as_str() {
        "rpc.system.name" => rpc(attributes),
        "db.system.name" => database(attributes),
        "messaging.system" => messaging(attributes),
        _ => return,
    };
    if !allowed.is_empty() && !allowed.iter().any(|name| name == span.name()) {
        improve(format!("the conventions name it {:?}", allowed[0]));
    }
}

/// What is wrong with the name of an HTTP span.
fn http(group: &Span, name: &str, attributes: Attributes<'_>) -> Option<(Level, String)> {
    let method = match attributes.text("http.request.method")?.as_str() {
        "_OTHER" => "HTTP".to_owned(),
        known => known.to_owned(),
    };
    let target = attributes.text(if group.kind == "server" { "http.route" } else { "url.template" });
    let (given, given_target) =
        name.split_once(' ').map_or((name, None), |(given, rest)| (given, Some(rest)));
    let path = attributes.text("url.path").or_else(|| path_of(&attributes.text("url.full")?));
    if given != method {
        return Some((Level::Improvement, format!("the name begins with the method, {method}")));
    }
    match (given_target, target) {
        (None, Some(target)) => {
            Some((Level::Improvement, format!("the conventions name it \"{method} {target}\"")))
        }
        (Some(given), None) if path.as_deref() == Some(given) => Some((
            Level::Violation,
            "the path must not be in the name: its cardinality is not bounded".to_owned(),
        )),
        _ => None,
    }
}

fn path_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let path = &rest[rest.find('/')?..];
    path.split(['?', '#']).next().map(ToOwned::to_owned)
}

fn rpc(attributes: Attributes<'_>) -> Vec<String> {
    let method = attributes.text("rpc.method").filter(|method| method != "_OTHER");
    method.or_else(|| attributes.text("rpc.system.name")).into_iter().collect()
}

/// The name by the conventions, best first. Without a summary the target may be any of several.
fn database(attributes: Attributes<'_>) -> Vec<String> {
    if let Some(summary) = attributes.text("db.query.summary") {
        return vec![summary];
    }
    let operation = attributes.text("db.operation.name");
    let server = attributes.text("server.address").map(|address| match attributes.text("server.port") {
        Some(port) => format!("{address}:{port}"),
        None => address,
    });
    let targets = ["db.collection.name", "db.stored_procedure.name", "db.namespace"];
    let targets: Vec<String> =
        targets.iter().filter_map(|name| attributes.text(name)).chain(server).collect();
    let system = attributes.text("db.system.name");
    match operation {
        Some(operation) => {
            let with_target = targets.iter().map(|target| format!("{operation} {target}"));
            with_target.chain([operation.clone()]).collect()
        }
        None if targets.is_empty() => system.into_iter().collect(),
        None => targets,
    }
}

fn messaging(attributes: Attributes<'_>) -> Vec<String> {
    let Some(operation) = attributes.text("messaging.operation.name") else { return Vec::new() };
    let is_set = |name: &str| attributes.text(name).is_some_and(|value| value == "true");
    let passing = is_set("messaging.destination.temporary") || is_set("messaging.destination.anonymous");
    let target = attributes
        .text("messaging.destination.template")
        .or_else(|| attributes.text("messaging.destination.name").filter(|_| !passing))
        .or_else(|| {
            Some(format!("{}:{}", attributes.text("server.address")?, attributes.text("server.port")?))
        });
    vec![target.map_or(operation.clone(), |target| format!("{operation} {target}"))]
}
