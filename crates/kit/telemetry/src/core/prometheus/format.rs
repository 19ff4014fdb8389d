//! How lines look in the two text formats.

use std::fmt::{Display, Write as _};
use std::time::UNIX_EPOCH;

use crate::core::readings::exemplars::Exemplar;

/// A text format that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.0: it has exemplars, ends in a line of its own and allows no remarks.
    OpenMetrics,
}

impl Format {
    /// The bound of a bucket. OpenMetrics wants a number that looks like a real one.
    pub(super) fn bound(self, bound: f64) -> String {
        let text = number(&bound);
        let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if self == Self::OpenMetrics && is_whole { text + ".0" } else { text }
    }

    pub(super) fn escaped_help(self, text: &str) -> String {
        let text = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\0', "\u{fffd}");
        if self == Self::OpenMetrics { text.replace('"', "\\\"") } else { text }
    }
}

/// What stands on a line beside its value.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a str,
    /// Of a bucket.
    pub(super) bound: Option<&'a str>,
    pub(super) exemplar: Option<Exemplar>,
}

impl<'a> Line<'a> {
    pub(super) fn new(name: &'a str, labels: &'a str) -> Self {
        Self { name, labels, bound: None, exemplar: None }
    }
}

// Writing to a String cannot fail.
pub(super) fn line(lines: &mut String, format: Format, line: &Line<'_>, value: &impl Display) {
    let Line { name, labels, bound, exemplar } = line;
    let value = number(value);
    let _ = match (*labels, bound) {
        ("", None) => write!(lines, "{name} {value}"),
        ("", Some(bound)) => write!(lines, "{name}{{le=\"{bound}\"}} {value}"),
        (labels, None) => write!(lines, "{name}{{{labels}}} {value}"),
        (labels, Some(bound)) => write!(lines, "{name}{{{labels},le=\"{bound}\"}} {value}"),
    };
    if let Some(exemplar) = exemplar.filter(|_| format == Format::OpenMetrics) {
        push_exemplar(lines, exemplar);
    }
    lines.push('\n');
}

fn push_exemplar(lines: &mut String, exemplar: Exemplar) {
    let ids = exemplar.span.map(|(trace, span)| format!("trace_id=\"{trace}\",span_id=\"{span}\""));
    let since = exemplar.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let _ =
        write!(lines, " # {{{}}} {} {seconds}.{millis:03}", ids.unwrap_or_default(), number(&exemplar.value));
}

/// Rust writes `inf` and `NaN` where the formats want `+Inf` and `NaN`.
pub(super) fn number(value: &impl Display) -> String {
    match value.to_string().as_str() {
        "inf" => "+Inf".to_owned(),
        "-inf" => "-Inf".to_owned(),
        other => other.to_owned(),
    }
}
