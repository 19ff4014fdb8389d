//! Rules about spans: which group of the conventions a span is of, and what that group asks for.

use opentelemetry::trace::SpanKind;

use super::attribute::{self, Attributes};
use super::log::check_exception;
use super::report::{Findings, Level, Rule, Signal};
use super::table::{Span, Table};
use super::{names, status};
use crate::base::finished::FinishedSpan;

/// The attributes by which a span is of a group; the first that is there decides.
const MARKERS: [&str; 4] = ["db.system.name", "messaging.system", "rpc.system.name", "http.request.method"];

/// Checks a span and its events.
pub(super) fn check(table: &Table, span: &FinishedSpan, findings: &mut Findings) {
    let attributes = Attributes(span.attributes());
    let group = group_of(table, span, attributes);
    let place = match &group {
        Group::Of(group) => group.id.as_str(),
        Group::WrongKind { .. } | Group::None => span.name(),
    };
    let at = (Signal::Span, place);
    for attribute in span.attributes() {
        attribute::check(table, at, attribute, findings);
    }
    match &group {
        Group::Of(group) => {
            attribute::check_presence(&group.attributes, at, attributes, findings);
            names::check(group, span, attributes, findings);
            status::check(group, span, attributes, findings);
        }
        Group::WrongKind { marker, allowed } => {
            let advice = format!("a span with {marker} is not {}; it is {allowed}", kind_name(&span.kind()));
            findings.add(Level::Violation, Rule::SpanKind, at, span.name(), advice);
        }
        Group::None => {}
    }
    for event in span.events() {
        let at = (Signal::Span, event.name());
        for attribute in event.attributes() {
            attribute::check(table, at, attribute, findings);
        }
        if let Some(known) = table.event(event.name()) {
            attribute::check_presence(&known.attributes, at, Attributes(event.attributes()), findings);
            if known.deprecated.is_some() {
                findings.add(
                    Level::Violation,
                    Rule::Deprecated,
                    at,
                    event.name(),
                    "this event is deprecated",
                );
            }
        } else {
            check_exception(at, Attributes(event.attributes()), findings);
        }
    }
}

enum Group<'a> {
    Of(&'a Span),
    /// The conventions have such spans, but not of this kind.
    WrongKind {
        marker: &'static str,
        allowed: String,
    },
    /// Nothing that the conventions describe.
    None,
}

fn group_of<'a>(table: &'a Table, span: &FinishedSpan, attributes: Attributes<'_>) -> Group<'a> {
    let marked = MARKERS.iter().find_map(|marker| Some((*marker, attributes.text(marker)?)));
    let Some((marker, value)) = marked else { return Group::None };
    let (own, general): (Vec<&Span>, Vec<&Span>) = table
        .spans
        .iter()
        .filter(|group| group.marker == marker)
        .filter(|group| group.value.as_ref().is_none_or(|only| *only == value))
        .partition(|group| group.value.is_some());
    let operation = attributes.text("messaging.operation.type");
    let is_of_operation =
        |group: &Span| group.operation.is_none() || operation.is_none() || group.operation == operation;
    let is_of_kind = |group: &Span| group.kind == kind_name(&span.kind()) || may_be_internal(marker, span);
    // A system with groups of its own leaves the rest to the general ones.
    for groups in [&own, &general] {
        let found = groups.iter().find(|group| is_of_kind(group) && is_of_operation(group));
        if let Some(group) = found {
            return Group::Of(group);
        }
    }
    let known = own.iter().chain(&general).copied();
    let of_operation: Vec<&Span> = known.clone().filter(|group| is_of_operation(group)).collect();
    if of_operation.is_empty() {
        // An operation of the program's own: the kind alone decides.
        return known.into_iter().find(|group| is_of_kind(group)).map_or(Group::None, Group::Of);
    }
    let mut allowed: Vec<&str> = of_operation.iter().map(|group| group.kind.as_str()).collect();
    allowed.sort_unstable();
    allowed.dedup();
    Group::WrongKind { marker, allowed: allowed.join(" or ") }
}

/// Calls of a database in the process may be INTERNAL.
fn may_be_internal(marker: &str, span: &FinishedSpan) -> bool {
    marker == "db.system.name" && span.kind() == SpanKind::Internal
}

fn kind_name(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    }
}
