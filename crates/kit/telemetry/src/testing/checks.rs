//! Rules that every trace obeys, whatever it is about.

use std::collections::HashSet;

use super::SpanTree;
use crate::base::finished::FinishedSpan;
use crate::core::handle::Telemetry;

/// Checks everything that these handles recorded: every trace connected, no key twice on a span, no span still
/// open, every span accounted for.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, checks};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("place-order").in_scope(|| ());
/// checks::assert_sound(&[&telemetry]);
/// ```
///
/// # Panics
///
/// With all problems, if there are any.
#[track_caller]
pub fn assert_sound(handles: &[&Telemetry]) {
    let spans: Vec<_> = handles.iter().flat_map(|handle| handle.finished_spans()).collect();
    let mut problems = problems(&spans);
    for handle in handles {
        let (name, ledger) = (handle.service_name(), handle.ledger());
        if ledger.open() > 0 {
            problems.push(format!("{name}: {} spans never ended", ledger.open()));
        }
        if !ledger.is_balanced() {
            problems.push(format!("{name}: the ledger does not add up: {ledger:?}"));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// What is wrong with these spans; nothing if all is well.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, checks};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("place").in_scope(|| waypost_telemetry::span("price").in_scope(|| ()));
/// assert!(checks::problems(&telemetry.finished_spans()).is_empty());
/// ```
pub fn problems(spans: &[FinishedSpan]) -> Vec<String> {
    let mut problems = Vec::new();
    for tree in SpanTree::all(spans) {
        if !tree.is_connected() {
            problems.push(format!("a trace does not hang together:\n{}", tree.render()));
        }
    }
    let mut ids = HashSet::new();
    for span in spans {
        if !ids.insert((span.trace_id(), span.span_id())) {
            problems.push(format!("{} was finished twice", span.name()));
        }
        let mut keys = HashSet::new();
        for attribute in span.attributes() {
            if !keys.insert(attribute.key.as_str()) {
                problems.push(format!("{} has {} twice", span.name(), attribute.key));
            }
        }
        if span.end() < span.start() {
            problems.push(format!("{} ends before it starts", span.name()));
        }
    }
    problems
}
