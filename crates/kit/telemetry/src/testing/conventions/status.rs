//! The status of spans of the conventions' groups, and `error.type` beside it.

use opentelemetry::Value;
use opentelemetry::trace::Status;

use super::attribute::Attributes;
use super::report::{Findings, Level, Rule, Signal};
use super::table::Span;
use crate::base::finished::FinishedSpan;

/// Codes of gRPC that are errors of a server; for a client every code but `OK` is one.
const GRPC_SERVER_ERRORS: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// Checks the status of a span of a group.
pub(super) fn check(group: &Span, span: &FinishedSpan, attributes: Attributes<'_>, findings: &mut Findings) {
    let at = (Signal::Span, group.id.as_str());
    let mut add = |level, rule, advice: String| findings.add(level, rule, at, span.name(), advice);
    if *span.status() == Status::Ok {
        let advice = "Ok is for the program to say, not for what it is instrumented with; leave it unset";
        add(Level::Violation, Rule::Status, advice.to_owned());
    }
    match (span.is_error(), attributes.has("error.type")) {
        (true, false) => add(Level::Violation, Rule::ErrorType, "an error without error.type".to_owned()),
        (false, true) => {
            let advice = "error.type on a span whose status is not Error; leave it out, or set the status";
            add(Level::Violation, Rule::ErrorType, advice.to_owned());
        }
        _ => {}
    }
    let is_server = group.kind == "server";
    if let Some(Value::I64(code)) = attributes.get("http.response.status_code")
        && group.marker == "http.request.method"
    {
        if is_server && (400..500).contains(code) && span.is_error() {
            let advice = format!("{code} is no error of a server; leave the status unset");
            add(Level::Violation, Rule::Status, advice);
        } else if (*code >= 500 || (*code >= 400 && !is_server)) && !span.is_error() {
            add(Level::Improvement, Rule::Status, format!("{code} is an error; set the status to Error"));
        }
        if let Status::Error { description } = span.status()
            && !description.is_empty()
            && attributes.text("error.type").is_some_and(|error| error == code.to_string())
        {
            let advice = "the status code says why; leave the description of the status empty";
            add(Level::Improvement, Rule::Status, advice.to_owned());
        }
    }
    if attributes.text("rpc.system.name").is_some_and(|system| system == "grpc")
        && let Some(code) = attributes.text("rpc.response.status_code")
    {
        let is_error = is_grpc_error(&code, is_server);
        if is_error && !span.is_error() {
            add(
                Level::Improvement,
                Rule::Status,
                format!("{code} is an error here; set the status to Error"),
            );
        } else if !is_error && span.is_error() && code != "OK" {
            let advice = format!("{code} is no error of a server; leave the status unset");
            add(Level::Improvement, Rule::Status, advice);
        }
    }
}

/// Whether a gRPC status code is an error of this side of the call.
pub(super) fn is_grpc_error(code: &str, is_server: bool) -> bool {
    if is_server { GRPC_SERVER_ERRORS.contains(&code) } else { code != "OK" }
}
