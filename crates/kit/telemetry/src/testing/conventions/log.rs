//! Rules about log records, and about exceptions wherever they are recorded.

use super::attribute::{self, Attributes};
use super::report::{Findings, Level, Rule, Signal};
use super::table::Table;
use crate::base::finished::FinishedLog;

/// Checks a log record.
pub(super) fn check(table: &Table, log: &FinishedLog, findings: &mut Findings) {
    let at = (Signal::Log, log.target());
    for attribute in log.attributes() {
        attribute::check(table, at, attribute, findings);
    }
    check_exception(at, Attributes(log.attributes()), findings);
}

/// An exception has a type or a message.
pub(super) fn check_exception(at: (Signal, &str), attributes: Attributes<'_>, findings: &mut Findings) {
    let is_exception = attributes.0.iter().any(|attribute| attribute.key.as_str().starts_with("exception."));
    if is_exception && !attributes.has("exception.type") && !attributes.has("exception.message") {
        let advice = "an exception without exception.type and without exception.message";
        findings.add(Level::Violation, Rule::MissingRequired, at, "exception.type", advice);
    }
}
