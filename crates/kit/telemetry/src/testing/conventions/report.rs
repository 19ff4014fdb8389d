//! Findings, exceptions and how they are shown.

use std::collections::BTreeMap;
use std::fmt;

/// How much a finding weighs.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, conventions::Level};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").attr("http.made_up", 1).in_scope(|| ());
/// let report = telemetry.conventions();
/// assert_eq!(report.findings().next().unwrap().level(), Level::Violation);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The conventions say it must be otherwise.
    Violation,
    /// The conventions say it should be otherwise, or a name is declared nowhere.
    Improvement,
    /// Worth knowing, and right in many cases. Does not make a report unclean.
    Information,
}

/// What a finding is about.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, conventions::Signal};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").attr("http.made_up", 1).in_scope(|| ());
/// assert_eq!(telemetry.conventions().findings().next().unwrap().signal(), Signal::Span);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// A span or one of its events.
    Span,
    /// A metric.
    Metric,
    /// A log record.
    Log,
    /// A resource.
    Resource,
    /// The list of exceptions.
    Exceptions,
}

/// The rule that a finding is of.
///
/// ```
/// use waypost_telemetry::testing::conventions::{Conventions, Rule};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").attr("shop.aisle", 7).in_scope(|| ());
/// let conventions = Conventions::current().exception_to(Rule::UndeclaredAttribute, "shop.aisle", "not in a registry yet");
/// conventions.check(&[&telemetry]).assert_clean();
/// assert_eq!(Rule::UndeclaredAttribute.as_str(), "undeclared-attribute");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// An attribute in a namespace of the conventions that they do not have.
    UnknownAttribute,
    /// An own attribute that no registry declares.
    UndeclaredAttribute,
    /// A value of another type than the attribute's.
    WrongType,
    /// An attribute, metric or value that the conventions have given up.
    Deprecated,
    /// A value that the conventions do not list.
    UnlistedValue,
    /// A required attribute is missing, or one whose condition holds.
    MissingRequired,
    /// A recommended attribute is missing.
    MissingRecommended,
    /// An attribute is missing whose condition the checker cannot know.
    MissingConditional,
    /// A kind of span that the conventions do not have for this work.
    SpanKind,
    /// A span name of another form.
    SpanName,
    /// A status that the conventions do not want.
    Status,
    /// `error.type` without an error, or an error without it.
    ErrorType,
    /// A metric in a namespace of the conventions that they do not have.
    UnknownMetric,
    /// An own metric that no registry declares.
    UndeclaredMetric,
    /// Another unit than the metric's.
    Unit,
    /// Another instrument than the metric's.
    Instrument,
    /// Floating point for whole numbers or the other way round.
    NumberType,
    /// Other bucket bounds than the metric's.
    Bounds,
    /// The conventions may still change this name.
    NotStable,
    /// An exception that nothing needed.
    UnneededException,
}

impl Rule {
    /// The name in reports, such as `missing-required`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownAttribute => "unknown-attribute",
            Self::UndeclaredAttribute => "undeclared-attribute",
            Self::WrongType => "wrong-type",
            Self::Deprecated => "deprecated",
            Self::UnlistedValue => "unlisted-value",
            Self::MissingRequired => "missing-required",
            Self::MissingRecommended => "missing-recommended",
            Self::MissingConditional => "missing-conditional",
            Self::SpanKind => "span-kind",
            Self::SpanName => "span-name",
            Self::Status => "status",
            Self::ErrorType => "error-type",
            Self::UnknownMetric => "unknown-metric",
            Self::UndeclaredMetric => "undeclared-metric",
            Self::Unit => "unit",
            Self::Instrument => "instrument",
            Self::NumberType => "number-type",
            Self::Bounds => "bounds",
            Self::NotStable => "not-stable",
            Self::UnneededException => "unneeded-exception",
        }
    }
}

/// Something that is not as the conventions have it.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, conventions::Rule};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").attr("shop.aisle", 7).in_scope(|| ());
/// let report = telemetry.conventions();
/// let finding = report.findings().find(|finding| finding.rule() == Rule::UndeclaredAttribute).unwrap();
/// assert_eq!((finding.place(), finding.name()), ("show", "shop.aisle"));
/// assert!(finding.advice().contains("registry"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    level: Level,
    signal: Signal,
    place: String,
    name: String,
    rule: Rule,
    advice: String,
}

impl Finding {
    /// How much it weighs.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What it is about.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Where: the group of the span in the conventions (`http.server`), else the span's name; the metric; the target of
    /// the log record; the entity of the resource.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The attribute, or the span or metric itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// What to do.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Violation => "violation",
            Level::Improvement => "improvement",
            Level::Information => "information",
        };
        let (rule, place, name) = (self.rule.as_str(), &self.place, &self.name);
        write!(f, "{level:<11} {rule:<20} {place}/{name}: {}", self.advice)
    }
}

/// Findings of one check, each with how often it was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings(BTreeMap<Finding, usize>);

impl Findings {
    pub(super) fn add(
        &mut self,
        level: Level,
        rule: Rule,
        (signal, place): (Signal, &str),
        name: &str,
        advice: impl Into<String>,
    ) {
        let (place, name) = (place.to_owned(), name.to_owned());
        let finding = Finding { level, signal, place, name, rule, advice: advice.into() };
        *self.0.entry(finding).or_default() += 1;
    }
}

/// A deviation that is meant, with its reason.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) rule: Option<Rule>,
    /// `name` or `place/name`, each with `*` for anything.
    pub(super) pattern: String,
    pub(super) reason: String,
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        let matches = match self.pattern.split_once('/') {
            Some((place, name)) => is_like(place, &finding.place) && is_like(name, &finding.name),
            None => is_like(&self.pattern, &finding.name),
        };
        matches && self.rule.is_none_or(|rule| rule == finding.rule)
    }
}

/// Whether `text` is what the pattern says; `*` is any text, also none.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| is_like(after, rest))
}

/// What was found, and what of it is excepted. It prints as a list, worst first; `{:#}` lists informations too.
///
/// ```
/// use waypost_telemetry::testing::{TestTelemetry, conventions::Conventions};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").attr("shop.aisle", 7).in_scope(|| ());
/// assert!(!telemetry.conventions().is_clean());
/// let conventions = Conventions::current().exception("shop.*", "not in a registry yet");
/// let report = conventions.check(&[&telemetry]);
/// report.assert_clean();
/// assert_eq!(report.excepted().next().unwrap().1, "not in a registry yet");
/// ```
#[derive(Clone, Debug)]
pub struct ConventionsReport {
    findings: Vec<(Finding, usize)>,
    excepted: Vec<(Finding, String)>,
    seen: String,
}

impl ConventionsReport {
    /// Sorts findings into those that stand and those that are excepted.
    pub(super) fn new(findings: Findings, exceptions: &[Exception], seen: String) -> Self {
        let mut report = Self { findings: Vec::new(), excepted: Vec::new(), seen };
        let mut is_needed = vec![false; exceptions.len()];
        for (finding, count) in findings.0 {
            let excused = finding.level < Level::Information;
            let found =
                exceptions.iter().zip(&mut is_needed).find(|(exception, _)| exception.covers(&finding));
            match found.filter(|_| excused) {
                Some((exception, is_needed)) => {
                    *is_needed = true;
                    report.excepted.push((finding, exception.reason.clone()));
                }
                None => report.findings.push((finding, count)),
            }
        }
        for (exception, _) in exceptions.iter().zip(is_needed).filter(|(_, is_needed)| !is_needed) {
            let mut unneeded = Findings::default();
            let of = (Signal::Exceptions, "exceptions");
            let advice = format!("nothing needs this exception; remove it ({})", exception.reason);
            unneeded.add(Level::Improvement, Rule::UnneededException, of, &exception.pattern, advice);
            report.findings.extend(unneeded.0);
        }
        report.findings.sort();
        report
    }

    /// What stands, worst first.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().map(|(finding, _)| finding)
    }

    /// What an exception covers, with the reason of the exception.
    pub fn excepted(&self) -> impl Iterator<Item = (&Finding, &str)> {
        self.excepted.iter().map(|(finding, reason)| (finding, reason.as_str()))
    }

    /// Whether there is no violation and no improvement.
    pub fn is_clean(&self) -> bool {
        self.findings().all(|finding| finding.level == Level::Information)
    }

    /// Asserts that [`Self::is_clean`].
    ///
    /// # Panics
    ///
    /// With the report, if it is not.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for ConventionsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |level: Level| self.findings().filter(|finding| finding.level == level).count();
        let (violations, improvements) = (of(Level::Violation), of(Level::Improvement));
        let (informations, excepted) = (of(Level::Information), self.excepted.len());
        write!(
            f,
            "conventions: {violations} violations, {improvements} improvements, {informations} informations, {excepted} \
             excepted in {}",
            self.seen
        )?;
        for (finding, count) in &self.findings {
            if finding.level < Level::Information || f.alternate() {
                write!(f, "\n  {finding}")?;
                if *count > 1 {
                    write!(f, " (x{count})")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(is_like("server.*", "server.address") && is_like("*", "") && is_like("*.a*e", "b.abe"));
        assert!(is_like("a", "a") && !is_like("a", "ab") && !is_like("a*c", "ab") && !is_like("*b", "a"));
        assert!(is_like("ü*", "üö") && !is_like("ü*ä", "üö"));
    }
}
