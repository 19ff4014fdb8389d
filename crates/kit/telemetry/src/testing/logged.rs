//! Log records to assert on.

use std::fmt::Write as _;

use opentelemetry::logs::Severity;

use crate::base::finished::FinishedLog;

/// Compares log records, in their order, with lines of the form `SEVERITY "body" key=value`.
///
/// Attributes that are not named do not matter. A line `...` stands for any number of records. `*` as a value stands for any.
/// A body or a value with spaces is put in double quotes, `\"` and `\\` in it are a quote and a backslash.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, assert_logs};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("read").in_scope(|| {
///     waypost_telemetry::record_error(&std::io::Error::from(std::io::ErrorKind::NotFound));
/// });
/// assert_logs(&telemetry.finished_logs(), r#"ERROR "entity not found" error.type=not_found"#);
/// ```
///
/// # Panics
///
/// With both, if they differ; if the text is not of this form.
#[track_caller]
pub fn assert_logs(logs: &[FinishedLog], expected: &str) {
    let lines: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let wanted: Vec<Option<Line>> = lines
        .iter()
        .map(|line| match *line {
            "..." => None,
            line => match Line::read(line) {
                Some(line) => Some(line),
                None => panic!("{line:?} is not of the form SEVERITY \"body\" key=value"),
            },
        })
        .collect();
    assert!(matches(logs, &wanted), "expected\n{}\nbut there are\n{}", lines.join("\n"), rendered(logs));
}

/// One line a record, in the form of [`assert_logs`], with all attributes by their keys.
fn rendered(logs: &[FinishedLog]) -> String {
    let mut text = String::new();
    for log in logs {
        let _ = write!(text, "{} {:?}", log.severity.name(), log.body);
        let mut attributes: Vec<_> = log.attributes.iter().collect();
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        for attribute in attributes {
            let _ = write!(text, " {}={:?}", attribute.key, attribute.value.as_str());
        }
        text.push('\n');
    }
    text
}

struct Line {
    severity: Severity,
    body: String,
    attributes: Vec<(String, String)>,
}

const SEVERITIES: [(&str, Severity); 6] = [
    ("TRACE", Severity::Trace),
    ("DEBUG", Severity::Debug),
    ("INFO", Severity::Info),
    ("WARN", Severity::Warn),
    ("ERROR", Severity::Error),
    ("FATAL", Severity::Fatal),
];

impl Line {
    fn read(line: &str) -> Option<Self> {
        let (severity, rest) = line.split_once(' ')?;
        let severity = SEVERITIES.iter().find(|(name, _)| *name == severity)?.1;
        let (body, mut rest) = value(rest.trim_start())?;
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Some(Self { severity, body, attributes });
            }
            let (key, after) = rest.split_once('=')?;
            let (value, after) = value(after)?;
            attributes.push((key.to_owned(), value));
            rest = after;
        }
    }

    fn fits(&self, log: &FinishedLog) -> bool {
        let is = |wanted: &str, given: &str| wanted == "*" || wanted == given;
        self.severity == log.severity
            && is(&self.body, &log.body)
            && self
                .attributes
                .iter()
                .all(|(key, value)| log.attribute(key).is_some_and(|given| is(value, &given.as_str())))
    }
}

/// A word, or what stands in quotes; and the rest.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(' ').unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(end)?;
        return Some((word.to_owned(), rest));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, quoted.get(place + 1..)?)),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

fn matches(logs: &[FinishedLog], wanted: &[Option<Line>]) -> bool {
    match wanted.split_first() {
        None => logs.is_empty(),
        Some((None, rest)) => {
            (0..=logs.len()).any(|skipped| matches(logs.get(skipped..).unwrap_or_default(), rest))
        }
        Some((Some(line), rest)) => {
            logs.split_first().is_some_and(|(log, later)| line.fits(log) && matches(later, rest))
        }
    }
}
