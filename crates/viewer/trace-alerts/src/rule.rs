//! Rules that were read and found to make sense.

use crate::{
    condition::{Burn, Condition},
    finding::FindingMeasure,
    machine::Timing,
    numbers::Numbers,
    place::{Place, peer},
    settings::{RuleKind, RuleSettings, Threshold},
};
use std::{collections::BTreeMap, str::FromStr};
use waypost_settings::{Duration, Ratio};
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::Subject;

/// The most alerts of one rule; of the names in order, the first.
const MAX_PLACES: usize = 200;
const MINUTE: u64 = 60_000_000_000;
/// Figures are kept by the minute for an hour, by the hour for a day.
const LONGEST_WINDOW: u64 = 24 * 60 * MINUTE;

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub scope: Scope,
    /// What it measures, and against what.
    pub condition: Condition,
    /// The time that is looked at, in nanoseconds; of a burn rate the longest of its windows.
    pub window: u64,
    /// How long it must hold, and when it is forgotten.
    pub timing: Timing,
    /// With fewer calls nothing is said.
    pub min_calls: u64,
    /// A word for whoever is told.
    pub severity: String,
    /// What it means.
    pub summary: String,
    /// Address of the run-book, or nothing.
    pub runbook: String,
    /// Labels beside those of the place.
    pub labels: BTreeMap<String, String>,
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each service is an alert of its own.
    EachService,
    /// Each operation of a service that is entered from outside.
    EachOperation(Text),
    /// One thing.
    One(Subject),
}

impl Scope {
    /// What is looked at now.
    pub(crate) fn subjects(&self, numbers: &dyn Numbers) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = match self {
            Scope::One(subject) => vec![subject.clone()],
            Scope::EachService => numbers.services().into_iter().map(Subject::Service).collect(),
            Scope::EachOperation(service) => {
                let operations = numbers.operations(service).into_iter();
                let entries = operations.filter(|(_, kind)| matches!(kind, Kind::Server | Kind::Consumer));
                let subject = |(name, kind)| Subject::Operations {
                    service: service.clone(),
                    name: Some(name),
                    kinds: vec![kind],
                };
                entries.map(subject).collect()
            }
        };
        subjects.truncate(MAX_PLACES);
        subjects
    }

    /// The place that all of it is within.
    pub fn place(&self) -> Place {
        match self {
            Scope::EachService => Place::default(),
            Scope::EachOperation(service) => Place { service: Some(service.clone()), ..Place::default() },
            Scope::One(subject) => subject.into(),
        }
    }
}

/// Complaints about a rule: a key of it and a sentence about it.
type Complaints = Vec<(&'static str, String)>;

impl Rule {
    /// Checks a rule.
    ///
    /// # Errors
    /// All that is wrong, each with the key it is about.
    pub fn new(settings: &RuleSettings) -> Result<Rule, Complaints> {
        let mut wrong = Complaints::new();
        if settings.name.is_empty() || settings.name.len() > 100 {
            wrong.push(("name", "must have 1 to 100 characters".to_owned()));
        }
        let scope = scope(settings, &mut wrong);
        let condition = condition(settings, &mut wrong);
        let window = window(settings, &condition, &mut wrong);
        unused(settings, &mut wrong);
        let labels = &settings.labels;
        if labels.len() > 20
            || labels.iter().any(|(key, value)| key.is_empty() || key.len() + value.len() > 500)
        {
            wrong.push(("labels", "must be at most 20, each of at most 500 bytes".to_owned()));
        }
        if !(settings.runbook.is_empty()
            || settings.runbook.starts_with("https://")
            || settings.runbook.starts_with("http://"))
        {
            wrong.push(("runbook", "must be an address that begins with http:// or https://".to_owned()));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let hold = settings.hold.map_or(0, nanoseconds);
        let min_calls = settings.min_calls.unwrap_or(20).max(1);
        Ok(Rule {
            name: settings.name.clone(),
            scope,
            condition,
            window,
            timing: Timing { hold, forget: window.max(15 * MINUTE) },
            min_calls,
            severity: settings.severity.clone(),
            summary: settings.summary.clone(),
            runbook: settings.runbook.clone(),
            labels: settings.labels.clone(),
        })
    }
}

fn scope(settings: &RuleSettings, wrong: &mut Complaints) -> Scope {
    let RuleSettings { service, operation, span_kind, edge_from, edge_to, .. } = settings;
    if let (Some(from), Some(to)) = (edge_from, edge_to) {
        if service.is_some() || operation.is_some() || span_kind.is_some() {
            wrong.push(("edge_from", "cannot be given together with a service or an operation".to_owned()));
        }
        return match (peer(from), peer(to)) {
            (Some(from), Some(to)) => Scope::One(Subject::Edge { from, to }),
            (None, _) => {
                wrong.push(("edge_from", no_peer(from)));
                Scope::EachService
            }
            (_, None) => {
                wrong.push(("edge_to", no_peer(to)));
                Scope::EachService
            }
        };
    }
    if edge_from.is_some() || edge_to.is_some() {
        wrong.push(("edge_from", "and `edge_to` must be given together".to_owned()));
    }
    let Some(service) = service.as_deref().map(Text::from) else {
        if operation.is_some() || span_kind.is_some() {
            wrong.push(("service", "must be given with an operation".to_owned()));
        }
        return Scope::EachService;
    };
    match operation.as_deref() {
        Some("*") => Scope::EachOperation(service),
        None if span_kind.is_none() => Scope::One(Subject::Service(service)),
        name => {
            let kinds = span_kind.iter().copied().collect();
            Scope::One(Subject::Operations { service, name: name.map(Text::from), kinds })
        }
    }
}

fn no_peer(id: &str) -> String {
    format!(
        "`{id}` is not a point of the map; write service:, caller:, database:, cache:, messaging: or external: and the name"
    )
}

fn condition(settings: &RuleSettings, wrong: &mut Complaints) -> Condition {
    match settings.kind {
        RuleKind::ErrorShare => {
            let (above, resolve) = shares(settings, wrong);
            Condition::ErrorShare { above, resolve }
        }
        RuleKind::Latency => {
            let quantile = settings.quantile.unwrap_or(0.99);
            if !(quantile > 0.0 && quantile < 1.0) {
                wrong.push(("quantile", "must lie between 0 and 1, such as 0.99".to_owned()));
            }
            let (above, resolve) = thresholds::<Duration>(settings, wrong);
            let (above, resolve) = (nanoseconds(above), nanoseconds(resolve));
            if resolve > above {
                wrong.push(("resolve", "must not be more than the threshold".to_owned()));
            }
            Condition::Latency { quantile, above, resolve }
        }
        RuleKind::RateDrop => {
            let (by, resolve) = shares(settings, wrong);
            Condition::RateDrop { by, resolve }
        }
        RuleKind::NoData => Condition::NoData,
        RuleKind::Anomaly => Condition::Anomaly,
        RuleKind::Finding => finding(settings, wrong),
        RuleKind::BurnRate => burn_rate(settings, wrong),
    }
}

fn finding(settings: &RuleSettings, wrong: &mut Complaints) -> Condition {
    if settings.edge_from.is_some() {
        wrong.push(("edge_from", "has no meaning for a rule of this kind".to_owned()));
    }
    if settings.operation.as_deref() == Some("*") {
        wrong.push(("operation", "must be one operation for a rule of this kind".to_owned()));
    }
    let mut read = |key, threshold: &Option<Threshold>| {
        let found = threshold.as_ref().map(|threshold| finding_limit(&threshold.0));
        if found == Some(None) {
            let reason = "must be a number of traces such as 20, a share such as \"5%\", or a time that is lost such as \"10s\"";
            wrong.push((key, reason.to_owned()));
        }
        found.flatten()
    };
    let (above, resolve) = (read("threshold", &settings.threshold), read("resolve", &settings.resolve));
    if settings.threshold.is_none() {
        wrong.push(("threshold", "must be given for a rule of this kind".to_owned()));
    }
    let (measure, above) = above.unwrap_or((FindingMeasure::Traces, 0.0));
    let (resolve_measure, resolve) = resolve.unwrap_or((measure, above));
    if resolve_measure != measure || resolve > above {
        wrong.push(("resolve", "must be of the same sort as the threshold and not more".to_owned()));
    }
    Condition::Finding { kinds: settings.findings.clone(), measure, above, resolve }
}

/// Traces, a share of them, or what they lose.
#[expect(clippy::cast_precision_loss, reason = "a threshold has a few digits")]
fn finding_limit(text: &str) -> Option<(FindingMeasure, f64)> {
    if let Ok(traces) = text.parse::<u64>() {
        return Some((FindingMeasure::Traces, traces as f64));
    }
    if let Ok(share) = text.parse::<Ratio>() {
        return Some((FindingMeasure::Share, share.get()));
    }
    let lost = text.parse::<Duration>().ok()?;
    Some((FindingMeasure::Lost, nanoseconds(lost) as f64))
}

fn burn_rate(settings: &RuleSettings, wrong: &mut Complaints) -> Condition {
    let objective = settings.objective.map(Ratio::get).unwrap_or_default();
    if !(objective > 0.0 && objective < 1.0) {
        wrong.push((
            "objective",
            "must be given, more than 0 and less than 100%, such as \"99.9%\"".to_owned(),
        ));
    }
    let mut pairs: Vec<Burn> = Vec::new();
    for burn in &settings.burn {
        let (long, short) = (nanoseconds(burn.long), nanoseconds(burn.short));
        if short < MINUTE
            || short >= long
            || long > LONGEST_WINDOW
            || !(burn.factor > 0.0 && burn.factor.is_finite())
        {
            let reason = "must have a `short` window of at least 1m, a longer `long` one of at most 24h, and a `factor` of more than 0";
            wrong.push(("burn", reason.to_owned()));
        }
        pairs.push(Burn { long, short, factor: burn.factor });
    }
    if pairs.is_empty() {
        // The SRE workbook's, chapter 5: 2 % of a 30 days' budget in an hour, 5 % in six.
        pairs.push(Burn { long: 60 * MINUTE, short: 5 * MINUTE, factor: 14.4 });
        pairs.push(Burn { long: 360 * MINUTE, short: 30 * MINUTE, factor: 6.0 });
    }
    Condition::BurnRate { objective, latency: settings.latency.map(nanoseconds), pairs }
}

fn shares(settings: &RuleSettings, wrong: &mut Complaints) -> (f64, f64) {
    let (above, resolve) = thresholds::<Ratio>(settings, wrong);
    if resolve.get() > above.get() {
        wrong.push(("resolve", "must not be more than the threshold".to_owned()));
    }
    (above.get(), resolve.get())
}

fn thresholds<T: FromStr<Err = String> + Copy + Default>(
    settings: &RuleSettings,
    wrong: &mut Complaints,
) -> (T, T) {
    let mut read = |key, threshold: &Threshold| {
        threshold.0.parse::<T>().map_err(|reason| wrong.push((key, reason))).ok()
    };
    let above = settings.threshold.as_ref().map(|threshold| read("threshold", threshold));
    let resolve = settings.resolve.as_ref().and_then(|threshold| read("resolve", threshold));
    if above.is_none() {
        wrong.push(("threshold", "must be given for a rule of this kind".to_owned()));
    }
    let above = above.flatten();
    let resolve = resolve.or(above).unwrap_or_default();
    (above.unwrap_or(resolve), resolve)
}

fn window(settings: &RuleSettings, condition: &Condition, wrong: &mut Complaints) -> u64 {
    if let Condition::BurnRate { pairs, .. } = condition {
        return pairs.iter().map(|pair| pair.long).max().unwrap_or_default();
    }
    let window = settings.window.map_or(5 * MINUTE, nanoseconds);
    let longest = if matches!(condition, Condition::RateDrop { .. }) { 60 * MINUTE } else { LONGEST_WINDOW };
    if window < MINUTE || window > longest {
        let longest = if longest == LONGEST_WINDOW { "24h" } else { "1h" };
        wrong.push(("window", format!("must be 1m to {longest}: figures are kept by the minute")));
    }
    window
}

/// Keys that say nothing for this kind of rule are mistakes.
fn unused(settings: &RuleSettings, wrong: &mut Complaints) {
    let kind = settings.kind;
    let has_threshold =
        matches!(kind, RuleKind::ErrorShare | RuleKind::Latency | RuleKind::RateDrop | RuleKind::Finding);
    let is_burn = kind == RuleKind::BurnRate;
    let keys = [
        ("threshold", settings.threshold.is_some(), has_threshold),
        ("resolve", settings.resolve.is_some(), has_threshold),
        ("quantile", settings.quantile.is_some(), kind == RuleKind::Latency),
        ("objective", settings.objective.is_some(), is_burn),
        ("latency", settings.latency.is_some(), is_burn),
        ("burn", !settings.burn.is_empty(), is_burn),
        ("findings", !settings.findings.is_empty(), kind == RuleKind::Finding),
        ("window", settings.window.is_some(), !is_burn && kind != RuleKind::Anomaly),
        ("min_calls", settings.min_calls.is_some(), !matches!(kind, RuleKind::NoData | RuleKind::Anomaly)),
    ];
    for (key, _, _) in keys.into_iter().filter(|(_, is_given, is_used)| *is_given && !is_used) {
        wrong.push((key, "has no meaning for a rule of this kind".to_owned()));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
