//! Rules about attributes, whatever they stand on: known names, types, values, and what a signal must have.

use opentelemetry::{Array, KeyValue, Value};

use super::report::{Findings, Level, Rule, Signal};
use super::table::{Required, Table, Wanted};

/// Enumerations whose values are all there can be. The others are open: a value of one's own is allowed.
const CLOSED: [&str; 7] = [
    "disk.io.direction",
    "http.request.method",
    "network.io.direction",
    "otel.span.parent.origin",
    "otel.span.sampling_result",
    "otel.status_code",
    "system.paging.fault.type",
];

/// How many values of an enumeration a finding shows.
const SHOWN: usize = 8;

/// Checks one attribute by itself.
pub(super) fn check(table: &Table, at: (Signal, &str), attribute: &KeyValue, findings: &mut Findings) {
    let name = attribute.key.as_str();
    let Some(known) = table.attribute(name) else {
        let (level, rule, advice) = if table.owns_attribute(name) {
            let advice = "not in the conventions, whose namespace it is; take a name of theirs or a namespace of your own";
            (Level::Violation, Rule::UnknownAttribute, advice)
        } else {
            let level = if at.0 == Signal::Log { Level::Information } else { Level::Improvement };
            (level, Rule::UndeclaredAttribute, "declare it in a registry (Conventions::with_registry)")
        };
        findings.add(level, rule, at, name, advice);
        return;
    };
    if let Some(reason) = &known.deprecated {
        let advice = match reason.strip_prefix("renamed:") {
            Some(new) => format!("deprecated; its name is now {new}"),
            None => "deprecated; leave it out or take what replaces it".to_owned(),
        };
        findings.add(Level::Violation, Rule::Deprecated, at, name, advice);
    } else if known.stability != "stable" {
        let advice = format!("still {}; the name may change", known.stability);
        findings.add(Level::Information, Rule::NotStable, at, name, advice);
    }
    if !is_of_type(&attribute.value, &known.kind) {
        let advice = format!("a {}, but must be {}", type_of(&attribute.value), known.kind);
        findings.add(Level::Violation, Rule::WrongType, at, name, advice);
    } else if !known.values.is_empty() {
        check_value(at, name, &attribute.value.to_string(), &known.values, findings);
    }
}

fn check_value(
    at: (Signal, &str),
    name: &str,
    value: &str,
    listed: &[(String, bool)],
    findings: &mut Findings,
) {
    match listed.iter().find(|(known, _)| known == value) {
        Some((_, true)) => {
            let advice = format!("the value {value:?} is deprecated");
            findings.add(Level::Violation, Rule::Deprecated, at, name, advice);
        }
        Some((_, false)) => {}
        None => {
            // A component of one's own is named by its type in the language, which looks like one.
            let is_unnamed = name == "otel.component.type" && !value.contains("::") && !value.contains('.');
            let level = if CLOSED.contains(&name) {
                Level::Violation
            } else if is_unnamed {
                Level::Improvement
            } else {
                Level::Information
            };
            let mut names: Vec<_> = listed
                .iter()
                .filter(|(_, is_deprecated)| !is_deprecated)
                .map(|(name, _)| name.as_str())
                .collect();
            let more = if names.len() > SHOWN {
                format!(" and {} more", names.len() - SHOWN)
            } else {
                String::new()
            };
            names.truncate(SHOWN);
            let advice = format!("the value {value:?} is none of {}{more}", names.join(", "));
            findings.add(level, Rule::UnlistedValue, at, name, advice);
        }
    }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    kind == "any" || type_of(value) == kind
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::I64(_) => "int",
        Value::F64(_) => "double",
        Value::String(_) => "string",
        Value::Array(Array::Bool(_)) => "boolean[]",
        Value::Array(Array::I64(_)) => "int[]",
        Value::Array(Array::F64(_)) => "double[]",
        Value::Array(Array::String(_)) => "string[]",
        _ => "any",
    }
}

/// Attributes of a signal, to look up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [KeyValue]);

impl<'a> Attributes<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.value)
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        self.get(name).map(ToString::to_string)
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// As [`Self::has`]; of a template any attribute will do.
    fn has_or_below(self, name: &str) -> bool {
        let is_below = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.has(name) || self.0.iter().any(|attribute| is_below(attribute.key.as_str()))
    }
}

/// Checks that a signal has what its group asks for.
pub(super) fn check_presence(
    wanted: &[Wanted],
    at: (Signal, &str),
    attributes: Attributes<'_>,
    findings: &mut Findings,
) {
    // What else describes the origin of telemetry is for its owner to choose.
    let recommended = if at.0 == Signal::Resource { Level::Information } else { Level::Improvement };
    for wanted in wanted.iter().filter(|wanted| !attributes.has_or_below(&wanted.name)) {
        let name = wanted.name.as_str();
        let demanded = demand(name, attributes);
        let (level, rule, advice) = match (wanted.level, demanded) {
            (Required::Always, _) | (Required::If, Demand::Must) => {
                (Level::Violation, Rule::MissingRequired, "required, and not there")
            }
            (_, Demand::Not) | (Required::OptIn, _) => continue,
            (Required::If | Required::RecommendedIf, Demand::Should)
            | (Required::RecommendedIf, Demand::Must)
            | (Required::Recommended, _) => {
                (recommended, Rule::MissingRecommended, "recommended, and not there")
            }
            (Required::If | Required::RecommendedIf, Demand::Unknown) => (
                Level::Information,
                Rule::MissingConditional,
                "not there; the conventions want it under a condition that cannot be known here",
            ),
        };
        findings.add(level, rule, at, name, advice);
    }
}

/// Whether a condition of the conventions holds for an attribute that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Must,
    Should,
    Not,
    Unknown,
}

/// The conditions that the other attributes tell.
fn demand(name: &str, attributes: Attributes<'_>) -> Demand {
    let is_other = |name: &str| attributes.text(name).is_some_and(|value| value == "_OTHER");
    let must_if = |holds| if holds { Demand::Must } else { Demand::Not };
    match name {
        // Has a rule of its own; batches of one are none; `http` needs no name; few errors of Rust have a trace, and few
        // messages a conversation.
        "error.type"
        | "client.port"
        | "db.operation.batch.size"
        | "network.protocol.name"
        | "exception.stacktrace"
        | "messaging.message.conversation_id" => Demand::Not,
        "http.request.method_original" => must_if(is_other("http.request.method")),
        "rpc.method_original" => must_if(is_other("rpc.method")),
        "exception.type" => must_if(!attributes.has("exception.message")),
        "exception.message" => must_if(!attributes.has("exception.type")),
        "network.peer.port" => port_of("network.peer.address", attributes),
        "server.port" => port_of("server.address", attributes),
        // Without an answer there is no status, and maybe nobody was reached; error.type says so.
        "http.response.status_code" if attributes.has("error.type") => Demand::Not,
        "network.peer.address" | "network.protocol.version" if !is_answered(attributes) => Demand::Not,
        _ => Demand::Unknown,
    }
}

/// Whether the other side answered, as far as it can be told: with a status of HTTP, or without an error.
fn is_answered(attributes: Attributes<'_>) -> bool {
    attributes.has("http.response.status_code") || !attributes.has("error.type")
}

/// A port belongs to an address, except to the path of a Unix domain socket.
fn port_of(address: &str, attributes: Attributes<'_>) -> Demand {
    match attributes.text(address) {
        Some(address) if !address.starts_with('/') => Demand::Should,
        _ => Demand::Not,
    }
}
