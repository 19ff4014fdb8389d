//! `GET /alerts`: what fires, the rules with what they measure, silences, history, receivers; `GET /alerts/summary` for the badge.

use super::{Api, NoParameters, values::Decimal};
use crate::{alerts::Account, problem::Problem, reads::json};
use axum::{extract::State, response::Response};
use serde::Serialize;
use std::collections::BTreeMap;
use waypost_trace_alerts::{
    Alert, Condition, Engine, Entry, Phase, Place, Rule, RuleState, Silence, Status, Unit,
};
use waypost_trace_model::TraceId;

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertPage"))]
pub(super) struct Page {
    /// When the rules were last held against figures.
    evaluated: Option<Decimal>,
    /// Nanoseconds between two evaluations.
    every: u64,
    alerts: Vec<AlertLine>,
    rules: Vec<RuleLine>,
    silences: Vec<SilenceLine>,
    history: Vec<EntryLine>,
    receivers: Vec<ReceiverLine>,
}

/// Numbers for a badge.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertSummary"))]
pub(super) struct Summary {
    firing: usize,
    pending: usize,
    /// Of the firing ones, those under a silence.
    silenced: usize,
    anomalies: usize,
}

/// An alert that is pending or firing.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertLine"))]
pub(super) struct AlertLine {
    fingerprint: String,
    rule: String,
    state: &'static str,
    severity: String,
    #[cfg_attr(test, ts(type = "Place"))]
    place: Place,
    labels: BTreeMap<String, String>,
    since: Decimal,
    /// When it began to fire.
    fired: Option<Decimal>,
    value: Option<f64>,
    threshold: Option<f64>,
    #[cfg_attr(test, ts(type = "FigureUnit | null"))]
    unit: Option<Unit>,
    sentence: String,
    summary: String,
    runbook: String,
    #[cfg_attr(test, ts(type = "Array<TraceId>"))]
    examples: Vec<TraceId>,
    silence: Option<SilenceLine>,
}

/// A rule of the configuration.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertRule"))]
pub(super) struct RuleLine {
    name: String,
    kind: &'static str,
    severity: String,
    #[cfg_attr(test, ts(type = "Place"))]
    place: Place,
    threshold: f64,
    #[cfg_attr(test, ts(type = "FigureUnit"))]
    unit: Unit,
    window: u64,
    hold: u64,
    summary: String,
    runbook: String,
    /// How many places it measures; the readings are of the worst.
    places: usize,
    readings: Vec<ReadingLine>,
}

/// What a rule measured at one place.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "RuleReading"))]
pub(super) struct ReadingLine {
    #[cfg_attr(test, ts(type = "Place"))]
    place: Place,
    state: &'static str,
    value: Option<f64>,
    calls: u64,
    sentence: String,
}

#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertSilence"))]
pub(super) struct SilenceLine {
    id: String,
    rule: Option<String>,
    labels: BTreeMap<String, String>,
    reason: String,
    created: Decimal,
    until: Decimal,
}

/// An alert that fired or was resolved.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertEntry"))]
pub(super) struct EntryLine {
    at: Decimal,
    state: &'static str,
    rule: String,
    #[cfg_attr(test, ts(type = "Place"))]
    place: Place,
    sentence: String,
    fired: Decimal,
    is_silenced: bool,
    #[cfg_attr(test, ts(type = "Array<TraceId>"))]
    examples: Vec<TraceId>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertReceiver"))]
pub(super) struct ReceiverLine {
    name: String,
    kind: &'static str,
    waiting: usize,
    /// Since the viewer started, as the numbers below.
    delivered: u64,
    failed: u64,
    refused: u64,
    /// Given up because too many waited.
    given_up: u64,
    trouble: Option<String>,
    last: Option<Decimal>,
}

pub(super) async fn alerts(State(api): State<Api>, _: NoParameters) -> Result<Response, Problem> {
    let every = u64::try_from(api.alerts.settings().every.as_nanos()).unwrap_or(u64::MAX);
    let kinds: BTreeMap<&str, &'static str> = api
        .alerts
        .settings()
        .receivers
        .iter()
        .map(|receiver| (receiver.name.as_str(), receiver.kind.name()))
        .collect();
    let page = api.alerts.look(|engine| Page {
        evaluated: Some(engine.evaluated()).filter(|time| *time > 0).map(Decimal),
        every,
        alerts: alert_lines(engine),
        rules: engine.rules().map(|(rule, state)| rule_line(rule, state)).collect(),
        silences: engine.silences().iter().map(SilenceLine::of).collect(),
        history: engine.history().map(entry_line).collect(),
        receivers: engine
            .receivers()
            .iter()
            .map(|receiver| {
                let kind = kinds.get(receiver.name.as_str()).copied().unwrap_or_default();
                receiver_line(engine, &receiver.name, kind, api.alerts.account(&receiver.name))
            })
            .collect(),
    });
    answer(&page)
}

pub(super) async fn summary(State(api): State<Api>, _: NoParameters) -> Result<Response, Problem> {
    let summary = api.alerts.look(|engine| {
        let firing = || engine.alerts().filter(|(_, alert)| alert.phase.is_firing());
        let silenced = firing().filter(|(_, alert)| engine.silence_of(&alert.rule, &alert.labels).is_some());
        Summary {
            firing: firing().count(),
            pending: engine.alerts().count() - firing().count(),
            silenced: silenced.count(),
            anomalies: engine.watch().active().count(),
        }
    });
    answer(&summary)
}

/// What is in memory needs no turn at the store.
pub(super) fn answer(value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be made into JSON");
        Problem::internal()
    })?;
    Ok(json(body.into()))
}

/// Firing first, each by its beginning, the latest first.
fn alert_lines(engine: &Engine) -> Vec<AlertLine> {
    let rules: BTreeMap<&str, &Rule> = engine.rules().map(|(rule, _)| (rule.name.as_str(), rule)).collect();
    let line = |(fingerprint, alert): (&str, &Alert)| {
        let rule = rules.get(alert.rule.as_str());
        let condition: Option<&Condition> = rule.map(|rule| &rule.condition);
        AlertLine {
            fingerprint: fingerprint.to_owned(),
            rule: alert.rule.clone(),
            state: alert.phase.name(),
            severity: alert.labels.get("severity").cloned().unwrap_or_default(),
            place: alert.place.clone(),
            labels: alert.labels.clone(),
            since: Decimal(alert.phase.since().unwrap_or_default()),
            fired: alert.phase.fired().map(Decimal),
            value: alert.value,
            threshold: rule.map(|rule| rule.condition.threshold(rule.window)),
            unit: condition.map(Condition::unit),
            sentence: alert.sentence.clone(),
            summary: rule.map(|rule| rule.summary.clone()).unwrap_or_default(),
            runbook: rule.map(|rule| rule.runbook.clone()).unwrap_or_default(),
            examples: alert.examples.clone(),
            silence: engine.silence_of(&alert.rule, &alert.labels).map(SilenceLine::of),
        }
    };
    let mut lines: Vec<AlertLine> = engine.alerts().map(line).collect();
    lines.sort_by_key(|line| (line.fired.is_none(), std::cmp::Reverse(line.since.0)));
    lines
}

fn rule_line(rule: &Rule, state: &RuleState) -> RuleLine {
    let reading = |(place, phase, reading): &(Place, Phase, waypost_trace_alerts::Reading)| ReadingLine {
        place: place.clone(),
        state: phase.name(),
        value: reading.value,
        calls: reading.calls,
        sentence: reading.sentence.clone(),
    };
    RuleLine {
        name: rule.name.clone(),
        kind: rule.condition.name(),
        severity: rule.severity.clone(),
        place: rule.scope.place(),
        threshold: rule.condition.threshold(rule.window),
        unit: rule.condition.unit(),
        window: rule.window,
        hold: rule.timing.hold,
        summary: rule.summary.clone(),
        runbook: rule.runbook.clone(),
        places: state.places,
        readings: state.readings.iter().map(reading).collect(),
    }
}

impl SilenceLine {
    pub(super) fn of(silence: &Silence) -> SilenceLine {
        SilenceLine {
            id: silence.id.clone(),
            rule: silence.rule.clone(),
            labels: silence.labels.clone(),
            reason: silence.reason.clone(),
            created: Decimal(silence.created),
            until: Decimal(silence.until),
        }
    }
}

fn entry_line(entry: &Entry) -> EntryLine {
    EntryLine {
        at: Decimal(entry.at),
        state: match entry.status {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        },
        rule: entry.rule.clone(),
        place: entry.place.clone(),
        sentence: entry.sentence.clone(),
        fired: Decimal(entry.fired),
        is_silenced: entry.is_silenced,
        examples: entry.examples.clone(),
    }
}

fn receiver_line(engine: &Engine, name: &str, kind: &'static str, account: Account) -> ReceiverLine {
    let Account { delivered, failed, refused, trouble, last } = account;
    ReceiverLine {
        name: name.to_owned(),
        kind,
        waiting: engine.waiting(name),
        delivered,
        failed,
        refused,
        given_up: engine.given_up(name),
        trouble,
        last: last.map(Decimal),
    }
}
